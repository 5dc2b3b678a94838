"""What a person sees of a migration, and what a script reads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spanstream.eventlog.memory import MemoryLog
from spanstream.standalone import control
from spanstream.standalone.migration.record import MigrationRefused
from spanstream.standalone.migration_commands import app
from spanstream.store.memory import MemoryStore

MOVED: dict[str, Any] = {
    "release": "new",
    "generations": [{"name": "new-8", "live": True, "documents": 7}, {"name": "old-8", "live": False, "documents": 7}],
    "migration": {
        "release": "new",
        "stage": "switched",
        "documents": 7,
        "old_documents": 7,
        "events": 9,
        "events_left": 0,
        "events_per_second": 3.5,
        "failed": {"EMPTY_TEXT": 1},
        "waits_for": "",
        "problem": "",
        "bridge_used": True,
        "over_bridge": {"queries": 5, "overlap": 0.7, "old_success": 1.0, "new_success": 0.9},
        "report": {
            "coverage": {
                "live": 7,
                "lacking": 0,
                "stale": 1,
                "named": [{"tenant": "acme", "source": "wiki", "id": "d[3]\n"}],
            },
            "bridge": {"queries": 5, "overlap": 0.6, "old_success": 0.8, "new_success": 1.0},
            "shadow": {"queries": 5, "overlap": 0.8, "old_success": 1.0, "new_success": 1.0},
        },
    },
    "settled": True,
}


PLANNED: dict[str, Any] = {
    "from": {"release": "old"},
    "to": {"release": "new", "dimension": 8},
    **dict.fromkeys(("documents", "passages", "characters", "tokens", "vectors"), 7),
    "vector_bytes": 5_000_000,
    "documents_per_second": 3.5,
    "hours": 0.1,
}


@contextmanager
def answering(folder: Path, answers: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """A running Spanstream that gives these answers; what it was asked."""
    asked: list[dict[str, Any]] = []

    def answer(what: str) -> Any:
        def given(log: object, store: object, options: Any, progress: object) -> Any:
            asked.append({"ask": what, **options})
            if isinstance(answers[what], Exception):
                raise answers[what]
            return answers[what]

        return given

    service = control.service(folder, MemoryLog(), MemoryStore(), {f"migrate {what}": answer(what) for what in answers})
    service.start(lambda error: None)
    deadline = time.monotonic() + 60
    while not (folder / control.FOLDER / "socket").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    try:
        yield asked
    finally:
        service.stop(time.monotonic() + 60)


def run(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(app, [*words, "--data", str(folder)])


def test_where_nothing_runs_it_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "status")
    assert done.exit_code == 3
    assert "No Spanstream runs" in done.output


def test_a_rate_below_what_a_consumer_can_wait_for_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, "apply", "minilm", "--rate", "0.05").exit_code == 2


def test_where_services_are_moved_apply_needs_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path, "apply").exit_code == 2
    monkeypatch.setenv("NEXT_ENCODER_URL", "http://other-encoder:8082")
    with answering(tmp_path, {"apply": MOVED}) as asked:
        assert run(tmp_path, "apply").exit_code == 0
    assert asked[0]["encoder"] == "http://other-encoder:8082"


@pytest.mark.parametrize("words", [("apply", "new"), ("status",), ("rollback",), ("retire",)])
def test_what_was_done_is_shown_to_people_and_as_json(tmp_path: Path, words: tuple[str, ...]) -> None:
    with answering(tmp_path, {words[0]: MOVED}) as asked:
        shown = run(tmp_path, *words)
        read = run(tmp_path, *words, "--json")
    assert (shown.exit_code, read.exit_code) == (0, 0), shown.output + read.output
    assert "Live: new" in shown.output
    assert "    acme/wiki/d[3]" in shown.output
    told = " ".join(shown.output.split())
    assert "the new release answers over the bridge" in told
    assert "over the bridge 90% of 5 sentences find their document, 100% with the old release; 70%" in told
    assert "the bridge: 80% of 5 sentences over it, 100% in the new index; 60%" in told
    assert "100% found" in shown.output.replace("\n", " ")
    assert (
        json.loads(read.output[read.output.index("{") :]) == MOVED
    )  # behind a line of the log, which is this process's here
    assert [each["ask"] for each in asked] == [words[0]] * 2


@pytest.mark.parametrize(
    ("free", "told"),
    [(None, "not known here"), (4_000_000, "Make room first"), (6_000_000, "6.0 MB of the index's disk")],
)
def test_a_plan_says_whether_the_disk_has_room(tmp_path: Path, free: int | None, told: str) -> None:
    with answering(tmp_path, {"plan": PLANNED | {"free_bytes": free}}):
        done = run(tmp_path, "plan", "new")
    assert done.exit_code == 0
    assert told in " ".join(done.output.split())


def test_a_release_that_is_not_good_enough_ends_with_one(tmp_path: Path) -> None:
    refused = MOVED | {"migration": MOVED["migration"] | {"stage": "refused"}}
    with answering(tmp_path, {"apply": refused}):
        assert run(tmp_path, "apply", "new").exit_code == 1


def test_a_refusal_is_told_in_a_line(tmp_path: Path) -> None:
    with answering(tmp_path, {"apply": MigrationRefused("it is live already")}):
        done = run(tmp_path, "apply", "new")
    assert done.exit_code == 4
    assert done.output.splitlines()[-1] == "it is live already"


def test_what_is_not_given_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with answering(tmp_path, {"apply": MOVED}) as asked:
        run(tmp_path, "apply", "new")
        run(tmp_path, "apply", "new", "--bridge", "bridge.safetensors", "--rate", "2")
    nothing = {"rate": None, "overlap": None, "success_drop": None, "bridge": None}
    assert asked[0] == {"ask": "apply", "encoder": "new"} | nothing
    given = {"rate": 2.0, "bridge": str(tmp_path / "bridge.safetensors")}
    assert asked[1] == {"ask": "apply", "encoder": "new"} | nothing | given


def test_a_path_is_told_as_the_running_process_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "release.yaml").write_text("")
    with answering(tmp_path, {"apply": MOVED}) as asked:
        run(tmp_path, "apply", "release.yaml")
    assert asked[0]["encoder"] == str(tmp_path / "release.yaml")
