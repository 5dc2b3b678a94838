"""What a full disk refuses is refused, and room heals it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.chaos.full_disk import ALONE

MOUNTS = [*ALONE, "mount", "-t", "tmpfs", "none", "/mnt"]


@pytest.mark.promise("I20")
@pytest.mark.timeout(600)
def test_a_disk_that_fills_up_loses_nothing_and_room_heals_it() -> None:
    if sys.platform != "linux" or subprocess.run(MOUNTS, capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody but root mount anything")
    seed = time.time_ns() % 2**32
    print(f"seed {seed}")
    command = [sys.executable, "-m", "tests.chaos.full_disk", "--rounds", "0", "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
