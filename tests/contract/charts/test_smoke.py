"""What `helm test` runs, run against all services here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.fixtures.here import running

SCRIPT = ROOT / "charts/spanstream/files/smoke.py"


def smoke(url: str, token: str) -> subprocess.CompletedProcess[str]:
    given = {"GATEWAY_URL": url, "INGEST_URL": url, "TOKEN": token, "SECONDS": "60"}
    command = [sys.executable, str(SCRIPT)]
    return subprocess.run(command, env=os.environ | given, capture_output=True, text=True, check=False, timeout=120)


def test_it_sends_a_document_finds_it_and_says_so_or_says_what_went_wrong(tmp_path: Path) -> None:
    with running(tmp_path) as here:
        done = smoke(here.url, here.key)
        assert (done.returncode, done.stdout) == (0, "smoke: sent, searchable, found, deleted\n"), done.stderr
        refused = smoke(here.url, "sps_no_key")
        assert refused.returncode == 1
        assert "401" in refused.stderr
        assert "sps_no_key" not in refused.stderr
