"""`spanstream plan`: tables, JSON, values and prices; what is wrong is named."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from spanstream.standalone.planning import calibration
from spanstream.standalone.planning.command import app
from tests.unit.standalone.planning.costs import COSTS

LOAD = ("--documents", "10000000", "--document-rate", "100", "--query-rate", "50")
WIDE = {"COLUMNS": "300", "TERMINAL_WIDTH": "300"}


def plan(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["capacity", *LOAD, *arguments], env=WIDE)


def report(*arguments: str) -> dict[str, Any]:
    done = plan(*arguments, "--json")
    assert done.exit_code == 0, done.output
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_the_table_gives_a_reason_for_each_number_and_says_what_was_measured() -> None:
    done = plan()
    assert done.exit_code == 0
    for word in ("partitions", "ingestorWorker", "tokens/s", "cost driver core", "Measured:", "copies"):
        assert word in done.stdout


def test_json_holds_the_plan_with_its_values() -> None:
    found = report("--tenants", "4", "--freshness", "600")
    assert found["workload"]["largest_tenant"] == 0.25
    assert found["partitions"] == found["values"]["global"]["kafka"]["partitions"]
    assert {each["service"] for each in found["pods"]} <= found["values"].keys()
    assert "month" not in found


def test_values_are_yaml_and_nothing_else() -> None:
    done = plan("--values", "--compression", "turbo4")
    assert yaml.safe_load(done.stdout) == report("--compression", "turbo4")["values"]
    assert yaml.safe_load(done.stdout)["global"]["index"]["compression"] == "turbo4"


def test_late_is_allowed_to_run_none() -> None:
    assert report("--freshness", "3600")["values"]["indexer"]["autoscaling"]["minReplicas"] == 0
    soon = report("--freshness", "30")
    scaling = soon["values"]["indexer"]["autoscaling"]
    assert scaling["minReplicas"] == next(each["most"] for each in soon["pods"] if each["service"] == "indexer")
    assert scaling["lagSeconds"] == 7


def test_prices_are_the_readers(tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('{"currency": "EUR", "month": {"core": 2, "disk_gib": 0.5}}')
    found = report("--prices", str(prices))
    assert found["month"] == {
        "currency": "EUR",
        "core": 2 * found["drivers"]["core"],
        "disk_gib": found["drivers"]["disk_gib"] / 2,
    }
    assert "EUR a month" in plan("--prices", str(prices)).stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"currency": "EUR", "month": {"cpu": 2}}', "cpu is none of core"),
        ('{"currency": "EUR", "month": {"core": -1}}', "the price of core"),
        ('{"month": {}}', "it needs"),
        ("EUR", "it needs"),
    ],
)
def test_wrong_prices_are_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(text)
    done = plan("--prices", str(prices))
    assert done.exit_code == 2
    assert told in done.stderr


def test_an_impossible_load_is_refused_by_name() -> None:
    done = plan("--availability", "1")
    assert done.exit_code == 2
    assert "availability" in done.stderr
    assert plan("--tenants", "0").exit_code == 2


def test_large_numbers_may_be_written_short() -> None:
    assert (
        report("--documents", "1e9", "--file-bytes", "2e3")["workload"]
        == (report("--documents", "1000000000", "--file-bytes", "2000")["workload"])
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--documents", "nan"),
        ("--documents", "inf"),
        ("--documents", "0.5"),
        ("--documents", "1e13"),
        ("--document-rate", "nan"),
        ("--query-rate", "inf"),
        ("--tokens-per-document", "0"),
        ("--file-bytes", "-1"),
        ("--freshness", "-1"),
        ("--gpu-tokens", "nan"),
        ("--node-memory-gib", "0"),
    ],
)
def test_what_is_no_load_is_refused_by_its_option(option: str, value: str) -> None:
    done = plan(option, value)
    assert done.exit_code == 2
    assert f"Invalid value for {option}: must be " in done.stderr


def test_values_and_json_are_not_asked_at_once() -> None:
    done = plan("--values", "--json")
    assert (done.exit_code, done.stdout) == (2, "")


def results(folder: Path, *, short: bool = False, **figures: Any) -> Path:
    """As `python -m tests.bench` writes them: a document of two passages costs 100 ms."""
    costs = {name: value for name, value in asdict(COSTS).items() if name[:6] not in ("accept", "broker")}
    stages = {"costs": costs, "measured": "2026-01-01", "release": "r", "dtype": "d", "documents": 10, "passages": 20}
    pipeline = {"cpu_ms_per_document": {"services": 100.0, "broker": 2.0}}
    machine = {"cores": 2, "cpu": "x", "flags": ["amx"], "memory_gib": 8, "packages": {"torch": "3"}, "commit": "c"}
    both = {"stages": {"figures": stages | figures}, "pipeline": {"figures": pipeline}}
    path = folder / "results.json"
    path.write_text(json.dumps({"machine": machine, "short": short, "results": both}))
    return path


def test_a_calibration_is_made_of_results_and_used(tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    done = CliRunner().invoke(app, ["calibrate", str(results(tmp_path)), "--out", str(out)])
    assert done.exit_code == 0, done.output
    made = calibration.read(out)
    # 100 ms less 2 passages of 4 ms and 20 ms for their tokens: 52 ms, a quarter for each hop, half of it a passage.
    assert made.costs.accept_document_seconds == pytest.approx(0.013)
    assert made.costs.parse_passage_seconds == pytest.approx(0.001 + 0.0065)
    assert made.costs.broker_document_seconds == 0.002
    told = report("--calibration", str(out))["calibration"]["provenance"]
    assert (told["commit"], told["machine"], told["packages"]) == ("c", "2 cores of x (amx), 8 GiB", "torch 3")


@pytest.mark.parametrize(("fact", "other"), [("cpu", "y"), ("cores", 4), ("commit", "d")])
def test_results_of_two_machines_make_no_calibration(tmp_path: Path, fact: str, other: object) -> None:
    path = results(tmp_path)
    whole = json.loads(path.read_text())
    second = tmp_path / "second.json"
    second.write_text(json.dumps(whole | {"machine": whole["machine"] | {fact: other}}))
    done = CliRunner().invoke(app, ["calibrate", str(path), str(second), "--out", str(tmp_path / "out.json")], env=WIDE)
    assert done.exit_code == 2
    assert "measured on another machine" in " ".join(done.stderr.split())
    assert not (tmp_path / "out.json").exists()


def test_results_that_say_nothing_are_refused(tmp_path: Path) -> None:
    for path, told in (
        (results(tmp_path, short=True), "short form"),
        (tmp_path / "absent.json", "No such file"),
        (Path(__file__), "no JSON"),
    ):
        done = CliRunner().invoke(app, ["calibrate", str(path), "--out", str(tmp_path / "out.json")], env=WIDE)
        assert done.exit_code == 2
        assert told in " ".join(done.stderr.split())
    assert not (tmp_path / "out.json").exists()


def test_a_calibration_with_a_cost_missing_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    whole = json.loads(calibration.read().text())
    del whole["costs"]["encode_token_seconds"]
    path.write_text(json.dumps(whole))
    done = plan("--calibration", str(path))
    assert done.exit_code == 2
    assert "encode_token_seconds" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["capacity", "--help"], ["calibrate", "--help"]])
def test_help_is_whole_in_eighty_columns(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert done.exit_code == 0
    assert "…" not in done.output
