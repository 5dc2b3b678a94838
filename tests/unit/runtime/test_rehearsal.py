from __future__ import annotations

from collections.abc import Iterator

import pytest

from spanstream.eventlog.log import Record
from spanstream.runtime.rehearsal import Rehearsal

PATIENT = 120.0  # seconds: who answers does so at once, however busy the machine is


@pytest.fixture
def rehearsal() -> Iterator[Rehearsal]:
    made = Rehearsal("tests.unit.runtime.killers", {}, PATIENT)
    yield made
    made.close()


def record(value: str) -> Record:
    return Record("t", 0, 7, b"k", value.encode())


def test_what_a_child_dies_of_is_told_from_what_it_survives(rehearsal: Rehearsal) -> None:
    outcomes = {
        value: rehearsal.survives(record(value)) for value in ("good", "raise", "segfault", "4 GB", "exit(0)", "fine")
    }
    assert outcomes == {
        "good": True,
        "raise": True,  # which the consumer loop isolates itself
        "segfault": False,
        "4 GB": False,
        "exit(0)": False,
        "fine": True,
    }


@pytest.mark.parametrize("value", ["loop", "silence"])
def test_who_does_not_answer_is_ended(value: str) -> None:
    rehearsal = Rehearsal("tests.unit.runtime.killers", {}, seconds=0.5)
    assert not rehearsal.survives(record(value))
    assert rehearsal._process is None


def test_where_the_canary_dies_nothing_is_said_of_a_record() -> None:
    rehearsal = Rehearsal("tests.unit.runtime.killers", {"canary_dies": True}, PATIENT)
    assert rehearsal.survives(record("segfault"))


@pytest.mark.promise("I14")
def test_where_the_system_starts_no_process_nothing_is_said_of_a_record() -> None:
    rehearsal = Rehearsal("x" * 2**22, {}, PATIENT)  # more than it takes to start one
    assert rehearsal.survives(record("segfault"))
    assert rehearsal._folder is None
