"""What the commands on topics say where the log is in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from spanstream.client import config
from spanstream.eventlog.errors import EventLogError, Fatal, LogUnavailable
from spanstream.events.topics import ALL, MATCHES
from spanstream.standalone.commands import topics
from spanstream.standalone.named_log import opened_log

HINT = "; start one with `spanstream up`, or name one with --log-url.\n"


@pytest.mark.parametrize(
    ("url", "error", "said", "code"),
    [
        ("memory:given", LogUnavailable("Kafka: no"), "No log answers at memory:given" + HINT, 3),
        (
            None,
            LogUnavailable("Kafka: no"),
            "No log answers at memory:saved, which {folder}/client.json names" + HINT,
            3,
        ),
        ("memory:given", Fatal("no such group"), "The log at memory:given does not do this: no such group\n", 4),
    ],
)
def test_log_that_fails_is_named_with_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str | None,
    error: EventLogError,
    said: str,
    code: int,
) -> None:
    monkeypatch.setenv("SPANSTREAM_DATA", str(tmp_path))
    config.save(tmp_path, {"log_url": "memory:saved"})
    with pytest.raises(typer.Exit) as caught, opened_log(url):
        raise error
    assert caught.value.exit_code == code
    assert capsys.readouterr().err == said.format(folder=tmp_path)


def test_topics_are_made_with_as_many_partitions_as_asked_for_and_others_beside_them_are_refused() -> None:
    url = "memory:made-by-hand"
    asked = CliRunner().invoke(topics, ["create", "--partitions", "24", "--log-url", url])
    assert asked.exit_code == 0, asked.output
    with opened_log(url) as log:
        assert {len(log.end_offsets(topic.name)) for topic in ALL} == {24}
    other = "memory:made-in-parts"
    with opened_log(other) as log:
        log.ensure_topics([MATCHES])
    asked = CliRunner().invoke(topics, ["create", "--partitions", "24", "--log-url", other])
    assert asked.exit_code == 4
    assert "documents.v1 24" in asked.output
    assert "matches.v1 6" in asked.output
