"""How large a nested request may be, told before it is read: depth comes from outside, so nothing here is recursive."""

from __future__ import annotations

from typing import Any


def check_nesting(value: Any, *, parts: int, depth: int, message: str) -> Any:
    """The raw JSON if its `all`, `any` and `not` hold at most so many parts, so deep; else raises ValueError(message)."""
    level, deep, count = [value], 0, 0
    while level:
        deep, count = deep + 1, count + len(level)
        if deep > depth or count > parts:
            raise ValueError(message)
        level = [inner for outer in level for inner in _inner(outer)]
    return value


def _inner(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        return []
    found: list[Any] = [value["not"]] if "not" in value else []
    for name in ("all", "any"):
        parts = value.get(name)
        found += parts if isinstance(parts, list) else []
    return found
