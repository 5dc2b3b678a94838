"""Disks that fill up: `python -m tests.chaos.full_disk --rounds 10 --json FILE`. The exit code is 1 if a promise was broken.

Log, files, index or temporary files lie on a small disk, in memory, in a namespace of its own, so that nobody need be root.
Under traffic so much of its size is taken away that none, too little for the index or too little for a document is left, and
given back. At the end the checker judges. With `--json FILE` the result is written after every place, and a run that was cut
off goes on where that file ends.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from spanstream.client import config
from spanstream.eventlog.opening import open_log
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime import logs
from spanstream.store.edge import MIN_FREE_BYTES
from tests.chaos.checker import Violation
from tests.chaos.kept import Kept
from tests.chaos.stage import ENCODER, Stage, judged
from tests.chaos.traffic import INSIST_SECONDS, Traffic, World
from tests.fixtures import here

ALONE = ["unshare", "--user", "--map-root-user", "--mount"]  # its own disks
PLACES = {"log": "kafka", "files": "blobs", "index": "index", "temporary": "temporary"}
DISK_BYTES = 4 << 30  # nothing is taken of the memory before it is written
LEAST_BYTES: int = IngestorSettings.model_fields["min_free_bytes"].default
BLOBS = {"INGESTOR_INLINE_TEXT_BYTES": "500"}  # so that all texts are files
LEFT = (LEAST_BYTES - (32 << 20), MIN_FREE_BYTES // 2, 0)  # too little for a document, for the index, for anything
DOCUMENTS = 15
RECEIPTS = 10  # before a disk is full, and after it


class Disk:
    """A small one at `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._mount(f"size={DISK_BYTES}")

    def leave(self, size: int) -> None:
        """So many bytes are free from now on."""
        while True:
            state = os.statvfs(self._folder)
            used = max(1, state.f_blocks - state.f_bfree) * state.f_frsize  # 0 would be without a limit
            with suppress(subprocess.CalledProcessError):  # somebody has written since
                self._mount(f"remount,size={used + size}")
                return

    def close(self) -> None:
        """It goes once nobody uses it."""
        subprocess.run(["umount", "--lazy", str(self._folder)], check=True)

    def heal(self) -> None:
        """There is room again."""
        self._mount(f"remount,size={DISK_BYTES}")

    def _mount(self, options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(self._folder)], check=True)


@dataclass
class Result(Kept):
    """What came of it so far; seconds by place."""

    seed: int
    rounds: int = 0  # of each place
    refused_after: dict[str, list[float]] = field(default_factory=dict)
    resumed_after: dict[str, list[float]] = field(default_factory=dict)
    ended: int = 0  # the product, by itself: a Kafka without room halts
    accepted: int = 0
    refused: int = 0
    violations: list[str] = field(default_factory=list)


def fill(traffic: Traffic, disk: Disk, left: int, refuses: bool, revive: Callable[[], None]) -> tuple[float, float]:
    """Fill a disk and heal it; seconds until a document was refused, and until one was accepted again."""
    traffic.wait(RECEIPTS)
    disk.leave(left)
    began = refused_at = time.monotonic()
    if refuses:
        _refused(traffic, 1)
        refused_at = time.monotonic()
        _refused(traffic, RECEIPTS if left else 6 * RECEIPTS)  # Kafka writes by itself every five seconds, or halts
    else:
        traffic.wait(RECEIPTS)
    refused_after = refused_at - began
    disk.heal()
    began = time.monotonic()
    revive()
    traffic.wait(1, revive)
    resumed_after = time.monotonic() - began
    traffic.wait(RECEIPTS)
    return refused_after, resumed_after


def _refused(traffic: Traffic, more: int) -> None:
    """Wait until so many more requests were."""
    notes = traffic.world.notes
    wanted, deadline = notes.refused + notes.broken + more, time.monotonic() + INSIST_SECONDS
    while notes.refused + notes.broken < wanted:
        assert traffic.failure is None, repr(traffic.failure)
        assert time.monotonic() < deadline, "nothing is refused"
        time.sleep(0.02)


def attack(place: str, result: Result, folder: Path) -> None:
    """`result.rounds` of filling one place of a product with a Kafka of its own."""
    chance = random.Random(f"{result.seed} {place}")
    (folder / "temporary").mkdir()
    disk = Disk(folder / PLACES[place])
    stage = Stage(folder, None, TMPDIR=str(folder / "temporary"), **BLOBS)
    world = World(place, DOCUMENTS)
    with ExitStack() as stack:
        stack.callback(disk.close)
        stack.callback(stage.close)
        stage.start()
        traffic = Traffic(world, stage.url, stage.key, chance.randrange(2**32))
        traffic.start()
        for number in range(result.rounds):
            left = LEFT[number % len(LEFT)] and chance.randrange(1 << 20, LEFT[number % len(LEFT)])
            refused, resumed = fill(traffic, disk, left, place != "temporary", stage.revive)
            print(
                f"{place}: {left >> 20} MiB left; refused after {refused:.2f} s, resumed after {resumed:.1f} s",
                flush=True,
            )
            if place != "temporary":  # which nothing needs
                result.refused_after.setdefault(place, []).append(round(refused, 2))
            result.resumed_after.setdefault(place, []).append(round(resumed, 2))
        traffic.stop()
        log = open_log(config.read(folder)["log_url"])
        stack.callback(log.close)
        violations = stage.judge(world, log)
    result.ended += stage.deaths
    _count(result, world, violations)


def short(result: Result, folder: Path) -> None:
    """One disk below files, index and audit log of services in this process. Something is left each time: where nothing is, the
    system kills a process that writes into a mapped file of the index, and this one nobody starts again.
    """
    os.environ |= BLOBS
    logs.configure("error")
    disk, log, world = Disk(folder), open_log(f"memory:{folder}"), World("full", DOCUMENTS)
    with ExitStack() as stack:
        stack.callback(disk.close)
        running = stack.enter_context(ExitStack())
        product = running.enter_context(here.running(folder, ENCODER))
        traffic = Traffic(world, product.url, product.key, result.seed)
        traffic.start()
        for left in filter(None, LEFT):
            refused, resumed = fill(traffic, disk, left, True, lambda: None)
            print(f"{left >> 20} MiB left; refused after {refused:.2f} s, resumed after {resumed:.1f} s", flush=True)
        traffic.stop()
        _count(result, world, judged(world, log, product.url, product.key, folder, stop=running.close))


def _count(result: Result, world: World, violations: list[Violation]) -> None:
    notes = world.notes
    result.accepted += notes.receipts
    result.refused += notes.refused + notes.broken
    result.violations += map(str, violations)
    print(f"{notes.receipts} accepted, {notes.refused} refused, {notes.broken} without an answer")
    print(*violations, sep="\n", flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.full_disk", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of each place; 0: the short form")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PLACES, help="one place")
    parser.add_argument("--json", type=Path, help="where the result is kept")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.alone:
        return subprocess.run(
            [*ALONE, sys.executable, "-m", "tests.chaos.full_disk", *arguments, "--alone"], check=False
        ).returncode
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything is stopped
    asked = Result(options.seed, options.rounds)
    result = Result.saved(options.json, seed=asked.seed, rounds=asked.rounds) or asked
    for place in [options.only] if options.only else PLACES if result.rounds else ["short"]:
        if place not in result.resumed_after:
            with tempfile.TemporaryDirectory(prefix="spanstream-full-") as folder:
                short(result, Path(folder)) if place == "short" else attack(place, result, Path(folder))
            result.save(options.json)
    return bool(result.violations)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
