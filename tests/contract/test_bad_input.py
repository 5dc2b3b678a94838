"""The page on bad input against the tests: every row of the catalogue is there, and every test that a row names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from spanstream.eventlog.kafka.client import CONSUMER
from tests.conftest import ROOT

ROWS = {"A": 18, "B": 19, "C": 5, "D": 13, "E": 9, "F": 5}
UNTESTED = {"C5"}  # cannot be; the page says why
_ROW = re.compile(r"^\| ([A-F]\d+) \|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`([a-z0-9_/]+\.py)::(\w+)`")


def rows() -> dict[str, list[tuple[str, str]]]:
    """Row -> (file below tests, test)."""
    page = (ROOT / "docs" / "bad-input.md").read_text()
    return {name: _TEST.findall(rest) for name, rest in _ROW.findall(page)}


@cache
def named_in(path: Path) -> frozenset[str]:
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_every_row_of_the_catalogue_is_told() -> None:
    assert list(rows()) == [f"{part}{number}" for part, most in ROWS.items() for number in range(1, most + 1)]


def test_every_row_names_tests_that_exist() -> None:
    named = rows()
    assert {row for row, tests in named.items() if not tests} == UNTESTED
    missing = [
        f"{row}: {file}::{test}"
        for row, tests in named.items()
        for file, test in tests
        if not (path := ROOT / "tests" / file).is_file() or test not in named_in(path)
    ]
    assert missing == []


def test_consumers_check_what_the_broker_sends() -> None:
    assert CONSUMER["check_crcs"] is True
