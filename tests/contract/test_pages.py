"""The pages of docs/: tables are whole, and links lead to files and headings that there are."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> list[str]:
    """Its lines, without what is in fences."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL).splitlines()


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them, and those that are set."""
    headings = [line.lstrip("#").strip() for line in prose(page) if re.match(r"#+ ", line)]
    own = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return own | set(re.findall(r'<a id="([^"]+)">', page.read_text()))


@each_page
def test_a_table_begins_with_its_head(page: Path) -> None:
    """An empty line in the middle of one makes text of what is below it."""
    lines = ["", *prose(page), ""]
    for number, (before, line) in enumerate(pairwise(lines)):
        if line.startswith("|") and not before.startswith("|"):
            assert re.match(r"\|[\s:|-]+$", lines[number + 2]), line


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose(page))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target
