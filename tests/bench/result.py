"""The shape of every measurement: figures, rows for the table, and guards without which no figure counts."""

from __future__ import annotations

from typing import Any, TypedDict


class Row(TypedDict):
    """A line of the table. `met` is none where there is no target to meet."""

    what: str
    value: str
    target: str
    met: bool | None


class Result(TypedDict):
    """What a measurement returns; JSON-able. `guards`: name -> whether it held."""

    rows: list[Row]
    guards: dict[str, bool]
    figures: dict[str, Any]


def row(what: str, value: str, target: str = "", met: bool | None = None) -> Row:
    """A row."""
    return {"what": what, "value": value, "target": target, "met": met}
