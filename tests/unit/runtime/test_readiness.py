"""What a process says of its readiness: all reasons, at once, and in the log where they change."""

from __future__ import annotations

from structlog.testing import capture_logs

from spanstream.runtime.metrics import SERVICE_UNREADY
from spanstream.runtime.readiness import STALE_SECONDS, Readiness
from spanstream.runtime.service import ThreadService


class Part(ThreadService):
    """Says what it is told to."""

    def __init__(self, name: str, *reasons: str) -> None:
        self.reasons = list(reasons)
        super().__init__(name, [], unready=lambda: self.reasons)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_every_reason_is_a_line_of_its_own() -> None:
    parts = [Part("gateway", "the store is away", "the encoder is away"), Part("http"), Part("indexer", "no topic")]
    readiness = Readiness(parts)
    assert readiness.text() == "not ready\nprocess: it is starting\n"
    readiness.look()
    assert readiness.text() == (
        "not ready\ngateway: the store is away\ngateway: the encoder is away\nindexer: no topic\n"
    )
    assert [SERVICE_UNREADY.labels(part.name)._value.get() for part in parts] == [1, 0, 1]
    for part in parts:
        part.reasons = []
    readiness.look()
    assert (readiness.text(), readiness.reasons()) == ("ok\n", {})


def test_reasons_are_logged_where_they_change_and_not_at_every_look() -> None:
    part = Part("gateway", "the store is away")
    readiness = Readiness([part])
    with capture_logs() as lines:
        for reasons in (part.reasons, part.reasons, ["the encoder is away"], [], [], ["the store is away"]):
            part.reasons = reasons
            readiness.look()
    assert [(line["event"], line.get("reasons")) for line in lines] == [
        ("not_ready", {"gateway": ["the store is away"]}),
        ("not_ready", {"gateway": ["the encoder is away"]}),
        ("ready", None),
        ("not_ready", {"gateway": ["the store is away"]}),
    ]


def test_what_was_said_too_long_ago_does_not_count() -> None:
    clock = Clock()
    readiness = Readiness([Part("gateway")], clock)
    readiness.look()
    clock.now = STALE_SECONDS
    assert readiness.reasons() == {}
    clock.now += 1
    assert "process" in readiness.reasons()
    readiness.look()
    assert readiness.reasons() == {}
