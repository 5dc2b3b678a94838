"""Child processes that do not outlive us, and those of an earlier life that did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

START_SECONDS = 10.0
KILL_SECONDS = 0.5  # kept back from a stop's deadline for SIGKILL

# Runs in a fresh interpreter that then becomes the program: Linux keeps the parent-death signal across exec. The check
# closes the gap between fork and prctl. Elsewhere than on Linux the pid file is what finds a survivor.
_TRAMPOLINE = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def start(command: Sequence[str], output: IO[bytes], pid_file: Path) -> subprocess.Popen[bytes]:
    """Run `command`, its output appended to `output`; it gets SIGTERM when the *thread* that called this ends.

    A session of its own: Ctrl-C in the terminal is ours to handle, and must not reach it before its clients are done. Raises
    OSError, and leaves no process then.
    """
    wrapped = [sys.executable, "-I", "-S", "-c", _TRAMPOLINE, str(os.getpid()), *command]
    process = subprocess.Popen(
        wrapped, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        pid_file.write_text(str(process.pid))
    except OSError:
        process.kill()  # nobody would find it
        process.wait()
        raise
    return process


def watched(
    command: Sequence[str],
    output: IO[bytes],
    pid_file: Path,
    watch: Callable[[subprocess.Popen[bytes]], None],
    name: str,
) -> subprocess.Popen[bytes]:
    """As `start`, from a thread that then does `watch`: the process ends with that thread, so with ours. Raises OSError."""
    started: Future[subprocess.Popen[bytes]] = Future()

    def run() -> None:
        try:
            process = start(command, output, pid_file)
        except OSError as error:
            started.set_exception(error)
            return
        started.set_result(process)
        watch(process)

    threading.Thread(target=run, name=name, daemon=True).start()
    return started.result(START_SECONDS)


def stop(process: subprocess.Popen[bytes], pid_file: Path, deadline: float) -> None:
    """SIGTERM, and SIGKILL shortly before the deadline."""
    process.terminate()
    try:
        process.wait(max(0.0, deadline - KILL_SECONDS - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    pid_file.unlink(missing_ok=True)


def stop_survivor(pid_file: Path, mark: str, seconds: float) -> None:
    """Stop the process that `pid_file` names, if it still runs and has `mark` on its command line; SIGKILL after `seconds`."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    deadline = time.monotonic() + seconds
    sent = None
    while mark in command_line(pid):
        wanted = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        if sent != wanted:
            os.kill(pid, wanted)
            sent = wanted
        time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def command_line(pid: int) -> str:
    """The command line of a running process; empty if there is none, or if it has ended and awaits its parent."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout
