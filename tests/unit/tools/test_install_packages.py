"""What a person sees while packages are installed."""

from __future__ import annotations

import pytest

from tools.install_packages import show, steps

PIP = """
Collecting anyio==4.1 (from -r constraints.txt (line 5))
  Downloading anyio-4.1-py3-none-any.whl (107 kB)
Ignoring colorama: markers 'sys_platform == "win32"' don't match your environment
Collecting torch==2.9 (from -r constraints.txt (line 9))
  Downloading torch-2.9-cp311-linux.whl (899.7 MB)
Installing collected packages: anyio, torch
WARNING: odd
ERROR: No space left on device
  look here
"""


def test_packages_are_counted_and_large_ones_named_with_their_size() -> None:
    assert list(steps(PIP.splitlines(), 3)) == [
        (1, "1 of 3 packages: anyio"),
        (2, "2 of 3 packages: colorama"),
        (3, "3 of 3 packages: torch"),
        (3, "3 of 3 packages: torch (899.7 MB)"),
        (3, "Unpacking 2 packages, at most 8 GB (a minute or more) ..."),
        (-1, "WARNING: odd"),
        (-1, "ERROR: No space left on device"),
        (-1, "look here"),
    ]


def test_without_a_terminal_there_is_a_line_now_and_then_and_every_error(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"Collecting package{number}" for number in range(1, 51)]
    show(steps([*lines, *PIP.splitlines()[-4:]], 50), terminal=False)
    assert capsys.readouterr().out.splitlines() == [
        "20 of 50 packages: package20",
        "40 of 50 packages: package40",
        "Unpacking 2 packages, at most 8 GB (a minute or more) ...",
        "WARNING: odd",
        "ERROR: No space left on device",
        "look here",
    ]


def test_on_a_terminal_one_line_changes_and_is_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    show(steps(["Collecting anyio"], 1), terminal=True)
    assert capsys.readouterr().out == "\r\033[K1 of 1 packages: anyio\r\033[K"
