from __future__ import annotations

from pathlib import Path

import pytest

from spanstream.standalone.encoder.texts import Unreadable, draw, sample


def test_files_and_records_of_a_folder_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain")
    (tmp_path / "b.md").write_text("# marked")
    (tmp_path / "c.jsonl").write_text(
        '{"_id": "1", "title": "t", "text": "record"}\n\n{"title": "only title"}\n{"_id": 2}\n'
    )
    (tmp_path / "d.pdf").write_bytes(b"%PDF")
    (tmp_path / "e.bin").write_bytes(b"\0")
    found = sample([tmp_path], 10)
    assert found.texts == ["plain", "# marked", "record", "only title"]
    assert (found.of, found.skipped) == (4, 2)


def test_a_sample_is_drawn_over_everything_and_the_same_each_time() -> None:
    texts = [str(number) for number in range(1000)]
    drawn = draw(texts, 100)
    assert len(drawn.texts) == 100
    assert drawn.of == 1000
    assert drawn == draw(texts, 100)
    assert sorted(drawn.texts, key=int) == drawn.texts
    assert 350 < sum(map(int, drawn.texts)) / 100 < 650


def test_blank_texts_and_repetitions_are_left_out() -> None:
    assert draw(["a", " \n", "a", "b"], 10).texts == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [("a.jsonl", b"{}\n[1]\n", r"a.jsonl:2 is not a JSON object"), ("a.bin", b"\0\1", "not a text file")],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Unreadable, match=message):
        sample([tmp_path / name], 10)
