"""Up to where in documents.v1 everything has been applied to the index, while more is coming.

Stage after stage: what the stage had before it when it was asked has been committed by it. An event whose «unchanged»
was a wrong guess is sent round once more by the indexer, hence the last two stages twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES, PASSAGES
from spanstream.standalone.audit.reading import Progress, silent

LOOK_SECONDS = 0.2
Reading = tuple[str, tuple[str, ...]]  # a group and its topics
_STAGES: tuple[Reading, ...] = (
    ("ingestor", (DOCUMENTS.name,)),
    ("embedder", (PASSAGES.name,)),
    ("indexer", (EMBEDDINGS.name, FAILURES.name)),
    ("embedder", (PASSAGES.name,)),
    ("indexer", (EMBEDDINGS.name, FAILURES.name)),
)


def settled(
    log: Log,
    seconds: float,
    progress: Progress = silent,
    *,
    more: Sequence[Reading] = (),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[int, int]:
    """Partition -> the end of documents.v1 as of now, of those before which everything was applied within `seconds`, also
    by the groups in `more`, which read beside the services.
    """
    stages = (*_STAGES, *more)
    deadline = clock() + seconds
    ends = log.end_offsets(DOCUMENTS.name)
    late: set[int] = set()
    for number, (group, topics) in enumerate(stages):
        for topic in topics:
            wanted = ends if topic == DOCUMENTS.name else log.end_offsets(topic)
            while behind := _behind(log, group, topic, wanted):
                if clock() >= deadline:
                    late |= behind
                    break
                progress(f"waiting for {group}", number, len(stages))
                sleep(LOOK_SECONDS)
    return {partition: end for partition, end in ends.items() if partition not in late}


def _behind(log: Log, group: str, topic: str, wanted: dict[int, int]) -> set[int]:
    """The partitions that the group has not committed up to there."""
    committed = log.committed(group, topic)
    return {partition for partition, end in wanted.items() if committed.get(partition, 0) < end}
