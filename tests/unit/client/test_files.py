"""Which files are documents."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanstream.client import Document, File, Line, files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "My Notes!"
    for name in (
        "a.md",
        "sub/b.txt",
        "sub/deep/c.pdf",
        ".git/x.md",
        "node_modules/y.md",
        ".hidden.txt",
        "d.exe",
        "raw",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("words")
    (root / "r.jsonl").write_text('{"_id":"1"}\n\n{"_id":"2"}\n')
    (root / "link.md").symlink_to(root / "a.md")
    return root


def test_folder_gives_known_files_in_order_and_counts_the_rest(folder: Path) -> None:
    selection = files.select(folder)
    assert [path.relative_to(folder).as_posix() for path in selection.paths] == [
        "a.md",
        "r.jsonl",
        "sub/b.txt",
        "sub/deep/c.pdf",
    ]
    assert dict(selection.skipped) == {".exe": 1, "no suffix": 1}
    assert selection.total() == 5


def test_items_are_documents_files_and_lines(folder: Path) -> None:
    items = list(files.select(folder).items())
    assert items[0] == Document("a.md", "words", content_type="text/markdown")
    assert items[1:3] == [Line(b'{"_id":"1"}\n', "r.jsonl:1"), Line(b'{"_id":"2"}\n', "r.jsonl:3")]
    assert items[4] == File("sub/deep/c.pdf", folder / "sub/deep/c.pdf", "application/pdf")


def test_a_byte_order_mark_is_no_part_of_the_first_record(folder: Path) -> None:
    (folder / "r.jsonl").write_bytes(b'\xef\xbb\xbf{"_id":"1"}\n{"_id":"2"}')
    (folder / "s.jsonl").write_bytes(b"\xef\xbb\xbf\n")
    selection = files.select(folder)
    assert selection.total() == 5
    assert [item for item in selection.items() if isinstance(item, Line)] == [
        Line(b'{"_id":"1"}\n', "r.jsonl:1"),
        Line(b'{"_id":"2"}', "r.jsonl:2"),
    ]


def test_text_that_is_not_utf8_or_is_large_travels_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (tmp_path / "large.txt").write_bytes(b"x" * (files.BATCHED_BYTES + 1))
    assert all(isinstance(item, File) for item in files.select(tmp_path).items())


@pytest.fixture
def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, with one below it that cannot be read: by root either."""
    entries = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path.name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied")
        return entries(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    return folder


def test_what_cannot_be_read_is_left_to_be_reported_and_the_rest_goes_on(closed: Path) -> None:
    """One text of a colleague's ended the whole ingest in a traceback."""
    selection = files.select(closed)
    (closed / "a.md").unlink()
    (closed / "r.jsonl").unlink()
    deep = File("sub/deep", closed / "sub/deep")
    assert selection.total() == 4
    assert list(selection.items()) == [
        File("a.md", closed / "a.md", "text/markdown"),
        File("r.jsonl", closed / "r.jsonl"),
        Document("sub/b.txt", "words"),
        deep,
    ]
    with pytest.raises(PermissionError):
        files.select(closed / "sub/deep")


def test_prefix_keeps_ids_of_several_folders_apart(folder: Path) -> None:
    assert next(files.select(folder, prefix=True).items()).id == "My Notes!/a.md"  # type: ignore[union-attr]


def test_single_file_is_taken_whatever_its_suffix(folder: Path) -> None:
    assert list(files.select(folder / "d.exe").items()) == [File("d.exe", folder / "d.exe")]


def test_source_name_is_valid(folder: Path, tmp_path: Path) -> None:
    assert files.source_name(folder) == "my-notes"
    assert files.source_name(folder / "a.md") == "my-notes"
    (tmp_path / "…").mkdir()
    assert files.source_name(tmp_path / "…") == "files"


def test_lines_know_their_file_and_number(folder: Path) -> None:
    selected = files.select(folder, prefix=True)
    assert [item.place for item in selected.items() if isinstance(item, Line)] == [
        "My Notes!/r.jsonl:1",
        "My Notes!/r.jsonl:3",
    ]
