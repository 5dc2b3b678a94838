"""Flipped bits, in short; the long form is `python -m tests.chaos.corruption`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.corruption.__main__ import Result, attacked
from tests.chaos.corruption.attack import Surfaces

FLIPS = 100


@pytest.mark.promise("I18")
def test_nothing_is_shown_that_a_disk_has_changed(tmp_path: Path) -> None:
    surfaces, result = Surfaces(tmp_path), Result(seed=1)
    attacked(surfaces, result, FLIPS)
    assert result.wrong == []
    assert sum(count for name, count in result.ended.items() if name.endswith("refused")) > FLIPS // 2, result.ended
