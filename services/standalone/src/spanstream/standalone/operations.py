"""What is asked of log and index together: compare, mend, back up. From options to plain JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanstream.eventlog.log import Log
from spanstream.standalone.audit.comparing import Limits, Report, Settle, compare
from spanstream.standalone.audit.reading import Progress
from spanstream.standalone.audit.repairing import mendable, send
from spanstream.standalone.audit.settled import settled
from spanstream.standalone.audit.verdicts import MEANINGS, Difference
from spanstream.standalone.backup.manifest import STORE
from spanstream.standalone.backup.taking import take
from spanstream.store.snapshots import generation
from spanstream.store.store import Store

SHOWN = 1_000  # differences that are told one by one; all are counted
Options = Mapping[str, Any]
Answer = dict[str, Any]
Operation = Callable[[Log, Store, Options, Progress], Answer]


def audit(log: Log, store: Store, options: Options, progress: Progress, settle: Settle = settled) -> Answer:
    """Log against index."""
    began, listed = time.monotonic(), _Listed()
    report = compare(log, store, listed.add, limits=_limits(options), progress=progress, settle=settle)
    return _told(report, listed) | {"seconds": round(time.monotonic() - began, 1)}


def repair(log: Log, store: Store, options: Options, progress: Progress, settle: Settle = settled) -> Answer:
    """Compare, send what mends the differences as they are found, and compare again. A dry run only says what would be sent."""
    began, listed, sent, unmendable = time.monotonic(), _Listed(), 0, 0
    producer = log.producer()

    def mend(found: Sequence[Difference]) -> None:
        nonlocal sent, unmendable
        listed.add(found)
        chosen = [each for each in found if mendable(each, delete_unlogged=options["delete_unlogged"])]
        unmendable += len(found) - len(chosen)
        sent += len(chosen) if options["dry_run"] else send(log, producer, chosen, options["rate"], progress=progress)

    try:
        report = compare(log, store, mend, limits=_limits(options), progress=progress, settle=settle)
    finally:
        producer.close()
    answer = _told(report, listed) | {"sent": sent, "unmendable": unmendable, "dry_run": options["dry_run"]}
    if sent and not options["dry_run"]:
        answer["after"] = audit(log, store, options, progress, settle)
    return answer | {"seconds": round(time.monotonic() - began, 1)}


def backup(log: Log, store: Store, options: Options, progress: Progress) -> Answer:
    """Take a backup. `bytes` are those of its files, `disk_bytes` what they take of the disk: holes take nothing."""
    began = time.monotonic()
    folder = Path(options["folder"])
    manifest = take(log, store, folder, time.time_ns() // 1000, seconds=options["wait"], progress=progress)
    return {
        "folder": str(folder),
        "files": len(manifest.files),
        "bytes": sum(size for size, _ in manifest.files.values()),
        "disk_bytes": sum((folder / name).stat().st_blocks * 512 for name in manifest.files),
        "seal": manifest.seal,
        "generation": generation(folder / STORE),
        "seconds": round(time.monotonic() - began, 1),
    }


OPERATIONS: dict[str, Operation] = {
    "audit": audit,
    "repair": repair,
    "backup": backup,
}


def _limits(options: Options) -> Limits:
    return Limits(settle_seconds=options["wait"])


class _Listed:
    """The first differences."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def add(self, found: Sequence[Difference]) -> None:
        """Some more."""
        for each in found[: SHOWN - len(self.rows)]:
            tenant, source, id = each.key
            row = {"kind": each.kind.value, "tenant": tenant, "source": source, "id": id, "detail": each.detail}
            self.rows.append(row | {"logged": each.logged, "shown": each.shown})


def _told(report: Report, listed: _Listed) -> Answer:
    return {
        "equal": report.equal,
        "logged": report.logged,
        "heads": report.heads,
        "passages": report.passages,
        "buckets": report.buckets,
        "buckets_differing": report.buckets_differing,
        "looked_at": report.looked_at,
        "undecided": report.undecided,
        "beyond_log": report.beyond_log,
        "left_out": report.left_out,
        "digest": {"heads": report.heads_digest, "passages": report.passages_digest},
        "kinds": {kind.value: report.differences[kind] for kind in MEANINGS if report.differences[kind]},
        "differences": listed.rows,
    }
