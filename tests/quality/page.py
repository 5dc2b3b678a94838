"""Tables of a documentation page, each between two comments that name it, so that a measurement can write it anew."""

from __future__ import annotations

import re
from pathlib import Path


def write(page: Path, name: str, table: str) -> None:
    """Put `table` where the page has the one of this name; raises KeyError where it has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    place = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    text, found = place.subn(lambda _: f"{begin}\n{table}\n{end}", page.read_text())
    if not found:
        raise KeyError(f"{page} has no table {name}")
    page.write_text(text)
