"""A table of a page is replaced, the rest of it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quality import page

PAGE = """# Title
<!-- pairs: begin -->
| old |
| older |
<!-- pairs: end -->
Between.
<!-- collections: begin -->
<!-- collections: end -->
"""


def test_a_table_is_written_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    page.write(path, "collections", r"| a \1 |")
    page.write(path, "pairs", "| new |")
    page.write(path, "pairs", "| newer |")
    assert path.read_text() == PAGE.replace("| old |\n| older |", "| newer |").replace(
        "<!-- collections: begin -->\n", "<!-- collections: begin -->\n| a \\1 |\n"
    )


def test_a_page_without_the_place_says_so(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    with pytest.raises(KeyError, match="no table scores"):
        page.write(path, "scores", "| new |")
    assert path.read_text() == PAGE
