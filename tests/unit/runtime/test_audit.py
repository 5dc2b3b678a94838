"""The audit log: one line each, chained, whole in the face of crashes and several writers; and whoever changes it shows."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from spanstream.runtime.audit import FIRST, MAX_FIELD, AuditLog, AuditUnavailable, Broken, verify
from spanstream.runtime.settings import SettingsError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def written(path: Path, count: int = 5) -> list[bytes]:
    audit = AuditLog(path, now=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    for number in range(count):
        audit.append([{"event": "write", "id": str(number)}])
    return path.read_bytes().splitlines(keepends=True)


def test_lines_are_chained_and_verify(path: Path) -> None:
    lines = [json.loads(line) for line in written(path)]
    assert [line["id"] for line in lines] == ["0", "1", "2", "3", "4"]
    assert [line["previous"] for line in lines] == [FIRST, *(line["hash"] for line in lines[:-1])]
    assert lines[0]["time"] == "2030-01-01T00:00:00.000000+00:00"
    found = verify(path)
    assert (found.lines, found.torn, found.last) == (5, 0, lines[-1]["hash"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_chain_goes_on_after_a_restart_and_with_several_writers(path: Path) -> None:
    written(path)
    one, two = AuditLog(path), AuditLog(path)
    for _ in range(3):
        one.append([{"event": "write"}, {"event": "write"}])
        two.append([{"event": "denied"}])
    assert verify(path).lines == 5 + 9


def test_processes_that_write_at_once_keep_one_chain(path: Path) -> None:
    code = "import sys; from pathlib import Path; from spanstream.runtime.audit import AuditLog\n"
    code += "audit = AuditLog(Path(sys.argv[1])); print(flush=True); input()\n"
    code += "for _ in range(300): audit.append([{'event': 'write'}] * 2)"
    command = [sys.executable, "-c", code, str(path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for writer in writers:
        assert writer.stdout
        writer.stdout.readline()
    for writer in writers:  # all are there: now at once
        assert writer.stdin
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert verify(path).lines == 1800


def test_long_lines_are_chained_too(path: Path) -> None:
    audit = AuditLog(path)
    for _ in range(3):
        audit.append([{str(number): "x" * MAX_FIELD for number in range(300)}])  # longer than what is read at a time
    assert verify(path).lines == 3


@pytest.mark.parametrize("at", range(5))
@pytest.mark.promise("I25")
def test_any_change_shows(path: Path, at: int) -> None:
    lines = written(path)
    damaged = {
        "changed": [*lines[:at], lines[at].replace(b'"id":"%d"' % at, b'"id":"9"'), *lines[at + 1 :]],
        "made anew": [*lines[:at], AuditForger(lines[at]).line, *lines[at + 1 :]],
        "put between": [*lines[:at], lines[at - 1], *lines[at:]],
        "repeated": [*lines[: at + 1], lines[at], *lines[at + 1 :]],
    }
    if at < 4:  # what is cut off at the end shows only to who noted the last hash
        damaged["taken out"] = [*lines[:at], *lines[at + 1 :]]
        damaged["swapped"] = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
        damaged["garbled"] = [*lines[:at], b"x" * len(lines[at]) + b"\n", *lines[at + 1 :]]
    else:
        del damaged["made anew"]
    unseen = []
    for name, changed in damaged.items():
        path.write_bytes(b"".join(changed))
        with suppress(Broken):
            verify(path)
            unseen.append(name)
    assert unseen == []


class AuditForger:
    """Changes a line and gives it a hash that fits."""

    def __init__(self, line: bytes) -> None:
        stream = io.StringIO()
        fields = json.loads(line)
        log = AuditLog(stream=stream)
        log._last = fields["previous"]
        log.append([{"event": "write", "id": "9"}])
        self.line = stream.getvalue().encode()


def test_line_that_a_crash_cut_short_is_passed_over(path: Path) -> None:
    lines = written(path)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    AuditLog(path).append([{"event": "write", "id": "after"}])
    found = verify(path)
    assert (found.lines, found.torn) == (4, 1)
    assert json.loads(path.read_bytes().splitlines()[-1])["previous"] == json.loads(lines[2])["hash"]


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\r\u2028\u0085", '","hash":"0"}', "\ud800", "ä" * 9])
def test_nothing_in_an_id_makes_a_second_line(path: Path, text: str) -> None:
    AuditLog(path).append([{"event": "write", "id": text}])
    (line,) = path.read_bytes().splitlines(keepends=True)
    assert all(32 <= byte < 127 for byte in line[:-1])
    assert json.loads(line)["id"] == text
    assert verify(path).lines == 1


def test_long_texts_are_cut(path: Path) -> None:
    AuditLog(path).append([{"event": "denied", "source": "x" * 100_000}])
    assert len(path.read_bytes()) < 2 * MAX_FIELD


def test_file_that_was_moved_away_is_begun_anew(path: Path) -> None:
    audit = AuditLog(path)
    audit.append([{"event": "write"}])
    path.rename(path.with_suffix(".1"))
    audit.append([{"event": "write"}])
    assert verify(path).lines == verify(path.with_suffix(".1")).lines == 1


def test_what_cannot_be_written_is_an_error(path: Path) -> None:
    audit = AuditLog(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(AuditUnavailable) as caught, capture_logs() as lines:
        audit.append([{"event": "write"}])
    assert (caught.value.status, caught.value.retry_after) == (503, 5)
    assert [line["event"] for line in lines] == ["audit_unavailable"]
    with pytest.raises(SettingsError, match="AUTH_AUDIT_FILE"):
        AuditLog(path)


@pytest.mark.promise("I20", "I25")
def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond a limit."""
    path = tmp_path / "audit.jsonl"
    whole = len(b"".join(written(path)))
    code = "import resource, signal, sys; from pathlib import Path\n"
    code += "from spanstream.runtime.audit import AuditLog, AuditUnavailable\n"
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    code += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({whole + 30}, {whole + 30}))\n"
    code += (
        "try:\n    AuditLog(Path(sys.argv[1])).append([{'event': 'write'}])\nexcept AuditUnavailable: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "refused" in done.stdout
    assert os.path.getsize(path) == whole
    assert verify(path).lines == 5


def test_without_a_file_lines_go_to_the_stream() -> None:
    stream = io.StringIO()
    audit = AuditLog(stream=stream)
    audit.append([{"event": "write"}])
    audit.append([{"event": "denied"}])
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["previous"], second["previous"]) == (FIRST, first["hash"])
