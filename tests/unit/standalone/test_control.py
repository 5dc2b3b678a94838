"""A running process is asked through the socket in its data folder."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from spanstream.standalone import control
from spanstream.standalone.audit.reading import silent
from tests.fixtures.asked import answering
from tests.fixtures.stepped import World

OPTIONS = {"wait": 0.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Deeper than the address of a socket may be long."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    return deep


@pytest.fixture
def world(folder: Path, tmp_path: Path) -> Iterator[World]:
    """Some documents, and a service that answers for them."""
    with answering(folder, tmp_path) as world:
        yield world
    assert not (folder / control.FOLDER / "socket").exists()


def test_it_answers_and_tells_how_far_it_is(world: World, folder: Path) -> None:
    told: list[str] = []
    answer = control.ask(folder, "audit", OPTIONS, lambda what, done, total: told.append(what))
    assert answer["equal"]
    assert answer["heads"] == 3
    assert "documents.v1" in told
    world.lose_head("d1")
    answer = control.ask(folder, "audit", OPTIONS, silent)
    assert answer["kinds"] == {"missing": 1}
    assert [each["id"] for each in answer["differences"]] == ["d1"]


def test_a_repair_says_what_it_sent_and_a_dry_run_sends_nothing(world: World, folder: Path) -> None:
    world.lose_head("d1")
    options = OPTIONS | {"dry_run": True, "rate": 1000.0, "delete_unlogged": False}
    assert control.ask(folder, "repair", options, silent)["sent"] == 1
    world.flow()
    assert world.kinds() == {"d1": "missing"}
    answer = control.ask(folder, "repair", options | {"dry_run": False}, silent)
    assert answer["sent"] == 1
    assert not answer["after"]["equal"]  # nobody applies it here before it is compared again
    world.flow()
    assert world.compare().equal


def test_what_goes_wrong_is_told_and_it_goes_on(world: World, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(control.Refused, match="another version"):
        control.ask(folder, "dance", {}, silent)
    with pytest.raises(control.Refused, match="KeyError"):
        control.ask(folder, "audit", {}, silent)
    options = {"folder": str(tmp_path / "taken"), "wait": 0.0}
    with pytest.raises(control.Refused, match="no snapshots"):
        control.ask(folder, "backup", options, silent)
    assert control.ask(folder, "audit", OPTIONS, silent)["equal"]


def test_who_hangs_up_or_talks_nonsense_does_not_stop_it(world: World, folder: Path) -> None:
    for said in (b"", b"{\n", b"[]\n", b"\xff\n"):
        with socket.socket(socket.AF_UNIX) as calling, control._address(folder / control.FOLDER) as address:
            calling.connect(address)
            calling.sendall(said)
    assert control.ask(folder, "audit", OPTIONS, silent)["equal"]


def test_only_the_owner_reaches_it(world: World, folder: Path) -> None:
    assert stat.S_IMODE((folder / control.FOLDER).stat().st_mode) == 0o700


def test_without_a_running_process_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(control.NobodyThere):
        control.ask(tmp_path, "audit", OPTIONS, silent)
