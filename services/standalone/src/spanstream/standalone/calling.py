"""How to call the `spanstream` command from here, for what a person is told to type."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def command() -> str:
    """`spanstream` if that finds the one beside this Python, else its path, relative if it is below this folder."""
    beside = Path(sys.executable).parent / "spanstream"
    found = shutil.which("spanstream")
    if found and Path(found).resolve() == beside.resolve():
        return "spanstream"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def elsewhere() -> str:
    """How to start with another data folder; `make run` takes no options."""
    return f"SPANSTREAM_DATA=FOLDER make run, or {command()} up --data FOLDER"


def on_free_ports(folder: Path | None = None) -> str:
    """How to start beside what runs: whoever has the data folder or one port mostly has the other ports as well."""
    return f"{command()} up --data {shlex.quote(str(folder)) if folder else 'FOLDER'} --port 0 --admin-port 0"
