"""What a person is shown, and the exit codes, of commands that a running process answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from spanstream.standalone import upkeep_commands
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.migration import record
from spanstream.standalone.migration.record import Migration, Recorded, Stage
from spanstream.standalone.operations import Operation
from spanstream.standalone.ports import free_port
from tests.fixtures.asked import answering
from tests.fixtures.stepped import World

NO_ADDRESSES = {"LOG_URL": "", "STORE_URL": "", "COLUMNS": "200", "NO_COLOR": "1"}
app = typer.Typer()
for command in (upkeep_commands.audit, upkeep_commands.repair, upkeep_commands.backup, upkeep_commands.restore):
    app.command()(command)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Some documents, and a process that is asked."""
    with answering(tmp_path, tmp_path) as world:
        yield world


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner(env=NO_ADDRESSES).invoke(app, [*arguments, "--data", str(folder), "--wait", "0"])


def test_equal_is_exit_code_0_and_tells_the_digest(world: World, tmp_path: Path) -> None:
    done = run(tmp_path, "audit")
    assert done.exit_code == 0, done.output
    assert "3 documents in the log, 3 in the index" in done.stdout
    assert "Equal. Digest" in done.stdout


def test_what_is_counted_is_said_in_words(world: World, tmp_path: Path) -> None:
    world.delete("d0", 2)
    world.flow()
    said = run(tmp_path, "audit").stdout
    assert "3 documents in the log, 3 in the index (both with those that were deleted), " in said
    assert "0 of 32 sums differed, so 0 documents were looked at one by one" in said
    page = (Path(__file__).parents[3] / "docs/operations.md").read_text()
    told = set(json.loads((text := run(tmp_path, "audit", "--json").stdout)[text.index("{\n") :]))
    assert [name for name in sorted(told - {"seconds", "kinds", "differences"}) if f"`{name}`" not in page] == []


def test_differences_are_exit_code_1_and_a_table(world: World, tmp_path: Path) -> None:
    world.lose_head("d1")
    done = run(tmp_path, "audit")
    assert done.exit_code == 1
    assert "in the log, not in the index" in done.stdout
    assert "acme/wiki/d1" in done.stdout
    done = run(tmp_path, "audit", "--json")
    assert done.exit_code == 1
    found = json.loads(
        done.stdout[done.stdout.index("{\n") :]
    )  # behind the log lines of the process, which is this one
    assert found["kinds"] == {"missing": 1}


def test_a_dry_run_says_what_would_be_sent(world: World, tmp_path: Path) -> None:
    world.lose_head("d1")
    before = world.log.end_offsets("documents.v1")
    done = run(tmp_path, "repair", "--dry-run")
    assert done.exit_code == 1
    assert "1 records would be sent again." in done.stdout
    assert world.log.end_offsets("documents.v1") == before


def test_a_repair_shows_what_is_left_afterwards(world: World, tmp_path: Path) -> None:
    world.lose_head("d1")
    done = run(tmp_path, "repair")
    assert "1 records were sent again." in done.stdout
    assert "Afterwards:" in done.stdout
    assert "undecided" in done.stdout  # nobody applies it here
    world.flow()
    assert run(tmp_path, "audit").exit_code == 0


@pytest.mark.parametrize(("length", "told"), [(618_400_000, True), (51_000_000, False)])
def test_a_backup_tells_what_it_takes_of_the_disk(tmp_path: Path, length: int, told: bool) -> None:
    made = {"folder": "/b", "files": 1214, "bytes": length, "disk_bytes": 51_000_000, "seconds": 1.5}
    more: dict[str, Operation] = {"backup": lambda *_: made | {"generation": "g", "seal": "s"}}
    with answering(tmp_path, tmp_path, more):
        done = run(tmp_path, "backup", "/b")
    assert done.exit_code == 0, done.output
    assert "/b: 1,214 files that take 51.0 MB of the disk, in 1.5 s" in done.stdout
    assert ("without their holes they are 618.4 MB" in done.stdout) is told


def test_what_is_refused_is_a_line_and_exit_code_4(world: World, tmp_path: Path) -> None:
    done = run(tmp_path, "backup", str(tmp_path / "taken"))
    assert done.exit_code == 4
    assert "no snapshots" in done.stderr


def test_a_restore_beside_a_running_spanstream_is_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.open(free_bytes=0)
    try:
        done = CliRunner(env=NO_ADDRESSES).invoke(app, ["restore", str(tmp_path / "copy"), "--data", str(tmp_path)])
    finally:
        folder.close()
    assert done.exit_code == 4
    assert "Another Spanstream" in done.stderr


def test_what_does_not_answer_is_exit_code_3(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    done = run(tmp_path, "audit", "--log-url", f"memory:{tmp_path}", "--store-url", f"http://{nobody}")
    assert done.exit_code == 3, done.output


def test_an_address_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    done = run(tmp_path, "audit", "--log-url", "nonsense", "--store-url", "http://127.0.0.1:1")
    assert done.exit_code == 2, done.output


@pytest.mark.parametrize(
    ("stage", "command", "told"),
    [
        (Stage.SWITCHED, "backup", "between two generations"),
        (Stage.RETIRED, "backup", "between two generations"),
        (Stage.RETIRED, "restore", "start Spanstream once"),
    ],
)
def test_a_stopped_one_is_not_copied_or_replaced_in_the_midst_of_a_migration(
    stage: Stage, command: str, told: str, tmp_path: Path
) -> None:
    names = {name: name for name in ("encoder", "release", "generation", "old_release", "old_generation", "group")}
    migration = Migration(**names, rate=0.0, overlap=0.2, success_drop=0.05, stage=stage)  # type: ignore[arg-type]
    record.write(tmp_path, Recorded(migration=migration))
    wait = ["--wait", "0"] if command == "backup" else []
    done = CliRunner(env=NO_ADDRESSES).invoke(app, [command, str(tmp_path / "copy"), "--data", str(tmp_path), *wait])
    assert done.exit_code == 4, done.output
    assert told in done.stderr
    assert not (tmp_path / "kafka").exists()


def test_without_a_spanstream_it_says_what_to_name(tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", "audit")
    assert done.exit_code == 3
    assert "--log-url" in done.stderr
