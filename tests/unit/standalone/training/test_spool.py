from __future__ import annotations

from pathlib import Path

import pytest

from spanstream.standalone.encoder.texts import Piece
from spanstream.standalone.training import spool


@pytest.mark.parametrize(("count", "kept"), [(spool.MIN_SOURCES - 1, False), (spool.MIN_SOURCES, True)])
def test_whole_documents_are_held_out_where_there_are_enough(count: int, kept: bool, tmp_path: Path) -> None:
    spool.write((Piece(f"Passage {n} of {part}.", "", str(n)) for n in range(count) for part in "ab"), tmp_path)
    passages = list(spool.source(tmp_path)())
    assert len(passages) == 2 * count
    assert {each.source for each in passages} == ({str(n) for n in range(count)} if kept else {""})


def test_the_digest_is_of_the_passages(tmp_path: Path) -> None:
    found = []
    for texts in (["One.", "Two."], ["One.", "Two."], ["Two.", "One."]):
        spool.write((Piece(text, "") for text in texts), tmp_path)
        found.append(spool.digest(tmp_path))
    assert found[0] == found[1] != found[2]
