"""Takes a backup of a running index, in an order that makes catching up enough.

1 wait until what is in the log now is in the index; note up to where in documents.v1 that is
2 note what the indexer has committed
3 take the store's snapshot: it holds all of 2, and perhaps more, which doing again does not change
4 hash the files, and write the manifest, which makes it a backup
"""

from __future__ import annotations

from pathlib import Path

from spanstream.eventlog.log import Log
from spanstream.events.topics import DOCUMENTS, EMBEDDINGS, FAILURES
from spanstream.standalone.audit.reading import Progress, silent
from spanstream.standalone.audit.settled import settled
from spanstream.standalone.backup.manifest import STORE, Manifest, Unfit, hashed, is_empty, paths, write
from spanstream.store.store import Store

INDEXER = "indexer"
INDEXED = (EMBEDDINGS.name, FAILURES.name)


def take(
    log: Log,
    store: Store,
    folder: Path,
    now_us: int,
    *,
    seconds: float = 60.0,
    progress: Progress = silent,
) -> Manifest:
    """Into a folder that is empty or not there. `seconds` for 1; what does not settle then only makes catching up longer.

    Raises Unfit, and what log and store do.
    """
    if not is_empty(folder):
        raise Unfit(f"{folder} is not empty: a backup needs a folder of its own")
    (folder / STORE).mkdir(parents=True)
    applied = {**dict.fromkeys(log.end_offsets(DOCUMENTS.name), 0), **settled(log, seconds, progress)}  # 1
    indexed = {topic: log.committed(INDEXER, topic) for topic in INDEXED}  # 2
    store.snapshot(folder / STORE)  # 3
    found = dict(paths(folder))  # 4
    files: dict[str, tuple[int, str]] = {}
    for name, path in found.items():
        files[name] = (path.stat().st_size, hashed(path))
        progress("files", len(files), len(found))
    manifest = Manifest(now_us, log.identity(), indexed, applied, files)
    write(folder, manifest)
    return manifest
