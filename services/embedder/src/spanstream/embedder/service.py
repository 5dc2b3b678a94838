"""The embedder worker put together: the only place where its objects meet."""

from __future__ import annotations

from spanstream.embedder.handler import Embedding
from spanstream.embedder.settings import EmbedderSettings
from spanstream.encoder.encoder import Encoder
from spanstream.encoder.opening import open_encoder
from spanstream.eventlog.intervals import COMMIT_SECONDS
from spanstream.eventlog.log import Log
from spanstream.eventlog.loop import Loop
from spanstream.eventlog.opening import open_log
from spanstream.eventlog.provisioned import Provisioned, used_by
from spanstream.events.topics import PASSAGES
from spanstream.runtime import tracing
from spanstream.runtime.consumer import ConsumerObserver
from spanstream.runtime.fair_consumer import FairConsumer
from spanstream.runtime.free_space import FreeSpace
from spanstream.runtime.rehearsal import Rehearsal
from spanstream.runtime.service import Service, ThreadService

GROUP = "embedder"
LIVE_SECONDS = 300.0  # without a poll it hangs: twice the worst batch that the settings allow, and some


def build(
    settings: EmbedderSettings,
    *,
    log: Log | None = None,
    encoder: Encoder | None = None,
    loops: int | None = None,
    space: FreeSpace | None = None,
) -> Service:
    """The worker. What it is not given it makes from `settings`, and closes at the end. It waits while `space` lacks."""
    space = space or FreeSpace((), 0)
    owned: list[Log | Encoder] = []
    if log is None:
        owned.append(log := open_log(settings.log_url, settings.log_access))
    if encoder is None:
        encoder = open_encoder(
            settings.encoder_url,
            timeout=settings.encoder_timeout_seconds,
            in_flight=settings.encoder_in_flight,
            vectors="float16",  # which is what embeddings.v1 carries
            trace=tracing.current,
        )
        owned.append(encoder)
    observer = ConsumerObserver(GROUP)
    members, rehearsals = [], []
    for _ in range(loops or settings.loops):
        consumer = FairConsumer.over(log, GROUP, [PASSAGES.name], settings.max_poll_records, settings.ahead)
        handler = Embedding(encoder, span_similarity=settings.span_similarity)
        rehearsals.append(rehearsal := Rehearsal("spanstream.embedder.rehearsing", {}))
        members.append(
            Loop(
                GROUP,
                consumer,
                log.producer(),
                space.waiting(handler),
                observer=observer,
                commit_seconds=COMMIT_SECONDS,
                survives=rehearsal.survives,
            )
        )

    provisioned = Provisioned(log, used_by(GROUP))

    def unassigned() -> list[str]:
        # A group with more members than partitions leaves some without; one that reads makes the worker ready.
        return min((member.unready() for member in members), key=len)

    def close() -> None:
        for each in [*rehearsals, *owned]:
            each.close()

    return ThreadService(
        GROUP,
        [member.run for member in members],
        live=lambda: all(member.live(LIVE_SECONDS) for member in members),
        unready=lambda: [*(provisioned.unready() or unassigned()), *encoder.unready()],
        closed=close,
    )
