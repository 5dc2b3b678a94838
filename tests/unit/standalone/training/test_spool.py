from __future__ import annotations

from pathlib import Path

import pytest

from spanstream.representations.training.objective import Document
from spanstream.standalone.encoder.texts import Piece
from spanstream.standalone.training import spool


@pytest.mark.parametrize(("count", "kept"), [(spool.MIN_SOURCES - 1, False), (spool.MIN_SOURCES, True)])
def test_whole_documents_are_held_out_where_there_are_enough(count: int, kept: bool, tmp_path: Path) -> None:
    pieces = (Piece(f"Passage {n} of {part}.", "", str(n)) for n in range(count) for part in "ab")
    spool.write(spool.documents(pieces), tmp_path)
    passages = list(spool.source(tmp_path)())
    assert len(passages) == 2 * count
    assert {each.source for each in passages} == ({str(n) for n in range(count)} if kept else {""})
    as_before = {each.source for each in spool.source(tmp_path, not kept)()}
    assert as_before == ({""} if kept else {str(n) for n in range(count)})


def test_the_digest_is_of_the_passages(tmp_path: Path) -> None:
    found = []
    for texts in (["One.", "Two."], ["One.", "Two."], ["Two.", "One."]):
        spool.write((Document(text) for text in texts), tmp_path)
        found.append(spool.digest(tmp_path))
    assert found[0] == found[1] != found[2]


def test_passages_with_questions_come_often_enough_with_all_that_is_known(tmp_path: Path) -> None:
    negative = Document("Another.", "Notes", queries=("else?",))
    asked = Document("The answer.", "Notes", ((0, 11),), ("what?",), negatives={"what?": (negative,)})
    spool.write([asked, *(Document(f"Passage {n}.") for n in range(39))], tmp_path)
    found = [each for each in spool.source(tmp_path)() if each.queries]
    assert found == [asked] * 10  # a quarter of forty
    assert spool.count(tmp_path) == (40, 1, 1)
