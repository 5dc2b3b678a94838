"""`spanstream audit`, `repair`, `backup` and `restore` on one machine: beside the running product, and once it has stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.fixtures.product import Product, command


@pytest.mark.timeout(600)
def test_an_index_is_audited_backed_up_lost_and_restored(tmp_path: Path) -> None:
    folder, taken = tmp_path / "data", str(tmp_path / "taken")
    with Product.start(folder, "--no-samples", "--encoder-url", "hash:64") as product:
        product.wait_ready()
        lines = "".join(json.dumps({"id": f"d{number}", "text": f"Words of {number}."}) + "\n" for number in range(20))
        (tmp_path / "documents.jsonl").write_text(lines)
        assert product.run("ingest", str(tmp_path / "documents.jsonl"), "--source", "notes").returncode == 0
        live = product.json("audit")
        assert (live["equal"], live["logged"], live["heads"]) == (True, 20, 20)
        made = product.json("backup", taken)
        assert 0 < made["disk_bytes"] < made["bytes"]  # holes are copied as holes
        repaired = product.json("repair", "--dry-run")
        assert (repaired["sent"], repaired["equal"]) == (0, True)
        refused = product.run("restore", taken)
        assert refused.returncode == 4
        assert b"stop it first" in refused.stderr
        product.stop(seconds=120)
    shutil.rmtree(folder / "index")
    wrong = command(folder, "restore", taken, "--seal", "0" * 64)
    assert wrong.returncode == 4
    assert b"seal" in wrong.stderr
    restored = command(folder, "restore", taken, "--seal", made["seal"])
    assert restored.returncode == 0, restored.stderr.decode()
    audited = command(folder, "audit", "--json")
    assert audited.returncode == 0, audited.stderr.decode()
    found = json.loads(audited.stdout)
    assert (found["equal"], found["digest"]) == (True, live["digest"])
