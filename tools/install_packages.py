"""Installs constraints.txt into this Python's environment and says how far it is. Needs nothing but pip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

EVERY = 20  # packages between two lines where there is no terminal
GIGABYTES = 8  # of all packages, unpacked: Linux on x86-64
_PACKAGE = re.compile(r"(?:Collecting|Ignoring|Requirement already satisfied:) ([A-Za-z0-9._-]+)")
_LARGE = re.compile(r"Downloading (\S+?)-[0-9].* (\([0-9.]+ [MG]B\))")


def steps(lines: Iterable[str], total: int) -> Iterator[tuple[int, str]]:
    """(packages so far, what to say) for the lines of pip's output that tell something.

    Warnings come as they are, with -1, and from the first error on every line.
    """
    count, failed = 0, False
    for line in map(str.strip, lines):
        failed = failed or line.startswith(("ERROR", "error:"))
        if failed:
            yield -1, line
        elif found := _PACKAGE.match(line):
            count += 1
            yield count, f"{count} of {total} packages: {found[1]}"
        elif found := _LARGE.match(line):
            yield count, f"{count} of {total} packages: {found[1]} {found[2]}"
        elif line.startswith("Installing collected packages"):
            new = line.count(",") + 1
            yield total, f"Unpacking {new} packages, at most {GIGABYTES} GB (a minute or more) ..."
        elif line.startswith("WARNING"):
            yield -1, line


def show(found: Iterable[tuple[int, str]], *, terminal: bool) -> None:
    """One line that changes, on a terminal; elsewhere a line now and then."""
    shown = 0
    for count, text in found:
        if count < 0:
            print(f"\r\033[K{text}" if terminal else text, flush=True)
        elif terminal:
            print(f"\r\033[K{text[:78]}", end="", flush=True)
        elif count >= shown + EVERY or not text[0].isdigit():
            print(text, flush=True)
            shown = count
    if terminal:
        print("\r\033[K", end="", flush=True)


def main() -> int:
    """Run pip; its exit code. The file lists everything that is needed, so pip need not look for more (--no-deps)."""
    listing = Path(__file__).resolve().parents[1] / "constraints.txt"
    total = sum("==" in line for line in listing.read_text().splitlines())
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--no-deps", "--require-hashes", "-r", str(listing)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as pip:
        assert pip.stdout is not None
        show(steps(pip.stdout, total), terminal=sys.stdout.isatty())
    return pip.returncode


if __name__ == "__main__":
    raise SystemExit(main())
