from __future__ import annotations

from pathlib import Path

from spanstream.standalone.encoder.texts import Reader


def test_files_and_records_of_a_folder_are_documents(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("plain")
    (tmp_path / "b.html").write_text("<title>t</title><p>marked</p>")
    (tmp_path / "c.jsonl").write_text('{"_id": "1", "title": "t", "text": "record"}\n\n{"_id": ')
    (tmp_path / "e.bin").write_bytes(b"\0")
    reader = Reader([str(tmp_path)])
    assert [(piece.text, piece.title) for piece in reader.documents()] == [
        ("plain", ""),
        ("marked", "t"),
        ("record", "t"),
    ]
    assert reader.skipped == 1
    assert [line.partition(",")[0] for line in reader.unread] == [f"{tmp_path}/c.jsonl:3: not valid JSON"]


def test_without_a_name_it_is_the_documentation_of_python() -> None:
    assert next(Reader([]).documents()).title
