"""Moving a live index to another encoder under constant queries and writes, and back: nothing fails, nothing is stale."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from spanstream.client.documents import Document
from spanstream.encoder.encoder import Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.representations.bridge import fit
from spanstream.standalone import control, upkeep_commands
from tests.chaos.kept import RESULTS, Kept
from tests.fixtures import here
from tests.fixtures.editions import SECONDS, Traffic, text

OLD, NEW = "hash:48", "hash:80"
GATES: dict[str, Any] = {"rate": 0.0, "overlap": 0.1, "success_drop": 0.5}


app = typer.Typer()
app.command()(upkeep_commands.restore)


def ask(folder: Path, what: str, **options: Any) -> dict[str, Any]:
    return control.ask(folder, f"migrate {what}", options, lambda *_: None)


def apply(folder: Path, encoder: str = NEW, **options: Any) -> dict[str, Any]:
    return ask(folder, "apply", encoder=encoder, **GATES | options)


def until(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The status once it is as wanted."""
    deadline = time.monotonic() + SECONDS
    while not wanted(told := ask(folder, "status")):
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def at(stage: str) -> Callable[[dict[str, Any]], bool]:
    return lambda told: told["migration"] is not None and told["migration"]["stage"] == stage


@contextmanager
def traffic(product: here.Here, documents: int) -> Iterator[Traffic]:
    with product.client() as client:
        made = Traffic([client], documents)
        made.begin()
        try:
            yield made
        finally:
            made.end()


def bridge(folder: Path) -> str:
    """Between both, fitted on texts like those of the documents."""
    texts = [Text(text(number, number), np.zeros((0, 2), np.int32)) for number in range(300)]
    old, new = (np.stack([each.whole for each in HashEncoder(size).encode(texts)]) for size in (48, 80))
    path = folder / "bridge.safetensors"
    fit(old, new, source="hash-48", target="hash-80")[0].save(path)
    return str(path)


def test_over_a_bridge_nothing_fails_and_nothing_is_stale_while_the_new_index_is_filled(tmp_path: Path) -> None:
    with here.running(tmp_path, OLD) as product, traffic(product, 24) as load:
        load.goes_on()
        told = apply(tmp_path, rate=1.0, bridge=bridge(tmp_path))
        assert (told["release"], told["migration"]["bridge_used"]) == ("hash-48", True)
        load.goes_on()
        assert ask(tmp_path, "status")["migration"]["bridge_used"]
        apply(tmp_path)
        told = until(tmp_path, at("switched"))
        assert (told["release"], told["migration"]["bridge_used"]) == ("hash-80", False)
        assert told["migration"]["report"]["bridge"]["queries"] > 0
        load.goes_on()
        load.end()
        assert load.wrong == []


@dataclass
class Result(Kept):
    """Nothing was wrong with any answer, or there is no result."""

    switches: int
    queries: int
    writes: int


@pytest.mark.timeout(7200)  # of the long form, and of a busy machine
@pytest.mark.promise("I23")
def test_a_live_index_moves_to_another_release_and_back_while_it_is_asked_and_written(
    tmp_path: Path, long: bool
) -> None:
    flips, queries = (20, 2_500) if long else (1, 12)
    with here.running(tmp_path, OLD) as product, traffic(product, 400 if long else 24) as load:
        load.goes_on(queries)
        apply(tmp_path)
        told = until(tmp_path, at("switched"))
        assert told["release"] == "hash-80"
        assert told["migration"]["report"]["coverage"]["lacking"] == 0
        for _ in range(flips):
            load.goes_on(queries)
            told = ask(tmp_path, "rollback", wait=60.0)
            assert (told["release"], told["settled"]) == ("hash-48", True)
            load.goes_on(queries)
            apply(tmp_path)
            told = until(tmp_path, at("switched"))
        load.goes_on(queries)
        assert ask(tmp_path, "retire")["migration"]["stage"] == "retired"
        load.goes_on(queries)
        load.end()
        assert load.wrong == []
        if long:
            Result(2 * flips + 1, load.queries, load.writes).save(RESULTS / "migration.json")
        shown = {f"d{number}" for number, edition in load.shown.items() if edition >= 0}
    with here.running(tmp_path, OLD) as product, product.client() as client:
        told = until(tmp_path, lambda told: True)
        assert (told["release"], told["migration"]) == ("hash-80", None)
        assert [each["live"] for each in told["generations"]] == [True]
        assert told["generations"][0]["documents"] == len(shown)
        receipt = client.put("wiki", Document(id="new", text="A quince ripens late."))
        client.wait_searchable([receipt], timeout=SECONDS)
        assert "new" in [hit.id for hit in client.search("a quince ripens late").hits]


def test_a_backup_from_before_a_migration_is_put_back_on_purpose_only_and_then_needs_its_encoder(
    tmp_path: Path,
) -> None:
    taken, data = str(tmp_path / "taken"), tmp_path
    restore = [taken, "--data", str(data), "--log-url", f"memory:{data}"]
    with here.running(data, OLD) as product, product.client() as client:
        assert client.ingest("wiki", [Document(id="d", text=text(1, 0))]).counts.failed == 0
        made = control.ask(data, "backup", {"folder": taken, "wait": SECONDS}, lambda *_: None)
        assert "hash-48" in made["generation"]
        apply(data)
        until(data, at("switched"))
        ask(data, "retire")
    with here.running(data, OLD):
        until(data, lambda told: told["release"] == "hash-80" and told["migration"] is None)
    refused = CliRunner().invoke(app, restore)
    assert refused.exit_code == 4
    assert "--other-release" in refused.output
    with here.running(data, OLD):
        until(data, lambda told: told["release"] == "hash-80")
    done = CliRunner().invoke(app, [*restore, "--other-release"])
    assert done.exit_code == 0, done.output
    with pytest.raises(AssertionError, match="INDEXER_REPLACES_GENERATION"), here.running(data, NEW):
        pass
    with here.running(data, OLD) as product, product.client() as client:
        assert [hit.id for hit in client.search("by the water").hits] == ["d"]
