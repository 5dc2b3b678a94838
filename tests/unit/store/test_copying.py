from __future__ import annotations

import os
from pathlib import Path

from spanstream.store.copying import CHUNK, copy_folder


def test_a_folder_is_copied_with_its_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner" / "empty").mkdir(parents=True)
    (source / "inner" / "words.txt").write_text("words")
    (source / "nothing").touch()
    with open(source / "room", "wb") as file:
        os.truncate(file.fileno(), 64 * CHUNK)
        os.pwrite(file.fileno(), b"x" * (CHUNK + 7), 3 * CHUNK - 5)
        os.pwrite(file.fileno(), b"end", 64 * CHUNK - 3)
    copy_folder(source, tmp_path / "target")
    names = sorted(path.relative_to(source) for path in source.rglob("*"))
    assert sorted(path.relative_to(tmp_path / "target") for path in (tmp_path / "target").rglob("*")) == names
    for name in names:
        if (source / name).is_file():
            assert (tmp_path / "target" / name).read_bytes() == (source / name).read_bytes()
    blocks = [(folder / "room").stat().st_blocks for folder in (source, tmp_path / "target")]
    assert blocks[1] <= 2 * blocks[0]
