"""Puts a backup in place and sets the log back to where it was taken: what came since is applied again.

    1 the backup is whole, of the generation that is there, and of this very log, which still goes on from where it was taken
    2 the groups go back
    3 the snapshot takes the index's place

2 before 3: a crash between them only applies to the old index what it has already. The services do not run meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS
from spanstream.standalone.audit.reading import Progress, silent
from spanstream.standalone.backup.manifest import STORE, Manifest, Unfit, check_files, read
from spanstream.standalone.backup.taking import INDEXED, INDEXER
from spanstream.store.snapshots import generation
from spanstream.store.store import Store

PARSER = "ingestor"
Moves = Mapping[tuple[str, str], Mapping[int, int]]  # group, topic -> partition -> offset


def restore(
    log: Log,
    store: Store,
    folder: Path,
    *,
    seal: str | None = None,
    filled: str | None = None,
    other: bool = False,
    progress: Progress = silent,
) -> Moves:
    """Where the groups go on. `store` is not open. Raises Unfit, and what log and store do.

    `filled`: the generation that the services fill, None: the one that is live. `other`: the backup may be of another one.
    """
    manifest = read(folder, seal)  # 1
    check_files(folder, manifest, lambda done, total: progress("bytes", done, total))
    if not other:
        _refuse_other(generation(folder / STORE), filled or _live(store))
    moves = plan(log, manifest)
    for (group, topic), positions in moves.items():  # 2
        log.move(group, topic, positions)
    store.restore(folder / STORE)  # 3
    return moves


def _live(store: Store) -> str | None:
    return next((name for name, live in store.generations().items() if live), None)


def _refuse_other(needed: str, there: str | None) -> None:
    if there not in (None, needed):
        raise Unfit(
            f"the backup is of generation {needed}, made with another release of the encoder (or other SPANS) than the index"
            f" that is there, {there}: after it every start would need that release. If you have it and mean to go back to"
            " it: --other-release. Else take a newer backup, or build anew. Nothing was changed"
        )


def plan(log: Log, manifest: Manifest) -> Moves:
    """Where the groups have to go on: where embeddings were read to, or, where these have expired, where the documents were.

    Raises Unfit for another log, one that ends before the backup, and one that lacks what came since.
    """
    if log.identity() != manifest.cluster:
        raise Unfit("the backup is of another log: its positions mean nothing here. Rebuild from this log instead")
    for topic, positions in {**manifest.indexed, DOCUMENTS.name: manifest.applied}.items():
        ends = log.end_offsets(topic)
        if len(ends) != len(positions) or any(ends[partition] < offset for partition, offset in positions.items()):
            raise Unfit(
                f"the backup is newer than the log: {topic} ends before the place where it was taken."
                " Records were lost; rebuild from what the log has"
            )
    if all(_held(log, topic, positions) for topic, positions in manifest.indexed.items()):
        return {(INDEXER, topic): manifest.indexed[topic] for topic in INDEXED}
    if _held(log, DOCUMENTS.name, manifest.applied):
        return {(PARSER, DOCUMENTS.name): manifest.applied}
    raise Unfit("the log no longer holds what came after the backup: it is too old. Rebuild from what the log has")


def _held(log: Log, topic: str, positions: Mapping[int, int]) -> bool:
    """Whether nothing from there on has expired."""
    reader = log.reader(topic, positions)
    try:
        found = reader.positions()
        return all(found[partition] == offset for partition, offset in positions.items())
    finally:
        reader.close()
