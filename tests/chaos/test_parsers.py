"""Mutated files, in short; the long form is `python -m tests.chaos.parsers`."""

from __future__ import annotations

import warnings

import pytest

from spanstream.ingestor.parsing.parsed import Limits
from spanstream.ingestor.parsing.parser import Parser
from tests.chaos.parsers.attack import attacked, file_of

FILES = 400


@pytest.mark.promise("I27")
def test_whatever_is_in_a_file_it_becomes_text_or_a_refusal_and_the_next_is_read() -> None:
    limits = Limits(seconds=60)  # on a busy machine
    parser = Parser(limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the module that makes damaged archives
            done = attacked(parser, 1, range(FILES), limits)
    finally:
        parser.close()
    assert done.wrong == []
    assert len(done.ended) > 12, "hardly anything but one kind of outcome was tried"


def test_a_seed_always_makes_the_same_files() -> None:
    assert file_of(1, 7) == file_of(1, 7) != file_of(2, 7)
