"""A Spanstream of our own in a temporary folder, for as long as a measurement takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from spanstream.client import Client, config

STOP_SECONDS = 20.0


class NotStarted(Exception):
    """It did not start; the message is what it said."""


@contextmanager
def scratch() -> Iterator[Client]:
    """Start one with the settings of this environment, on free ports, and end it with everything in it. Raises NotStarted."""
    with tempfile.TemporaryDirectory(prefix="spanstream-eval-") as name, tempfile.TemporaryFile() as errors:
        folder = Path(name) / "data"
        command = [sys.executable, "-m", "spanstream.client", "up", "--data", str(folder), "--no-samples", "--json"]
        process = subprocess.Popen(
            [*command, "--port", "0", "--admin-port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={name: value for name, value in os.environ.items() if not name.startswith("SPANSTREAM_")},
            start_new_session=True,  # Ctrl-C is for this process, which then ends that one in order
        )
        try:
            assert process.stdout is not None
            _await(process.stdout, errors)
            saved = config.read(folder)
            with Client(saved["url"], api_key=saved["api_key"]) as client:
                yield client
        finally:
            _end(process)


def _await(out: IO[bytes], errors: IO[bytes]) -> None:
    """Until it has told its addresses, which it does when all of it is ready."""
    told = b""
    for line in out:
        told += line
        try:
            json.loads(told)
        except ValueError:
            continue
        return
    errors.seek(0)
    raise NotStarted(errors.read().decode(errors="replace").strip() or "it ended without a word")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
