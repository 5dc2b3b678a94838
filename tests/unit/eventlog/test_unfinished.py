from __future__ import annotations

import pytest

from spanstream.eventlog.log import Record
from spanstream.eventlog.unfinished import Unfinished


def at(offset: int, partition: int = 0) -> Record:
    return Record("topic", partition, offset, b"k", b"v")


def test_what_is_known_stays_until_it_is_taken() -> None:
    known: Unfinished[str] = Unfinished()
    known.put(at(1), "one")
    assert (known.get(at(1)), known.get(at(2)), known.get(at(1, partition=1))) == ("one", None, None)
    assert known.take(at(1)) == "one"
    assert known.get(at(1)) is None
    with pytest.raises(KeyError):
        known.take(at(1))


def test_what_lies_before_a_poll_is_forgotten_in_its_partitions_alone() -> None:
    known: Unfinished[str] = Unfinished()
    for partition in (0, 1):
        for offset in range(3):
            known.put(at(offset, partition), f"{partition}/{offset}")
    known.begin([at(2), at(1)])
    found = [[known.get(at(offset, partition)) for offset in range(3)] for partition in (0, 1)]
    assert found == [[None, "0/1", "0/2"], ["1/0", "1/1", "1/2"]]
