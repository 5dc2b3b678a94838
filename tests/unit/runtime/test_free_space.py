from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from spanstream.eventlog.errors import Retry
from spanstream.eventlog.log import Record
from spanstream.eventlog.loop import Result
from spanstream.runtime.free_space import FreeSpace, free_bytes

MIB = 1 << 20
A, B = Path("/a"), Path("/b")


def test_the_disk_with_too_little_is_named() -> None:
    free = {A: 300 * MIB, B: 100 * MIB}
    space = FreeSpace([A, B], 200 * MIB, free.__getitem__)
    assert space.lack() == "the disk of /b is full: 100 MiB free, 200 MiB needed; make room and it goes on"
    free[B] = 200 * MIB
    assert space.lack() == ""


def test_a_folder_that_is_not_made_yet_has_what_its_disk_has(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0


def test_records_wait_for_room() -> None:
    free = {A: 0}
    handled: list[Sequence[Record]] = []

    def handle(records: Sequence[Record]) -> Iterable[Result]:
        handled.append(records)
        return ()

    waiting = FreeSpace([A], 1, free.__getitem__).waiting(handle)
    with pytest.raises(Retry, match="the disk of /a is full"):
        waiting([])
    assert handled == []
    free[A] = 1
    waiting([])
    assert handled == [[]]


def test_a_disk_that_does_not_answer_is_waited_for_as_one_that_is_full() -> None:
    def cut_off(folder: Path) -> int:
        raise OSError(116, "Stale file handle")

    assert (
        FreeSpace([Path("/srv/blobs")], 1, cut_off).lack()
        == "the disk of /srv/blobs does not answer: Stale file handle"
    )
