"""The short form of `python -m tests.quality.static`: its parts, on few texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from spanstream.encoder.encoder import Text
from spanstream.encoder.hashing import HashEncoder
from tests.quality import static
from tests.quality.measures import load


def test_an_encoder_differs_from_itself_in_nothing(development_data: Path, long: bool) -> None:
    data = load(development_data / "cranfield")
    one, other = HashEncoder(256), HashEncoder(256)
    own, asymmetric = static.retrieval(data, one, other)
    assert own["teacher"] == own["ours"] > 10  # bags of words find something
    assert own["difference"] == asymmetric["difference"] == [0, 0, 0]
    row = static.similarity(development_data / "sts16" / "pairs.tsv", one, HashEncoder(16))
    assert row["difference"][2] < 0  # 16 dimensions lose


def test_figures_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    one = HashEncoder(8)
    rates = static.speed(one, one, [Text("a cat", np.empty((0, 2), np.int32))] * 50, 3)
    row = static._row("set", "nDCG@10", "static", 40, 30, (-10, -12, -8))
    static.show({"static": "name", "quality": [row], "texts/s": {"queries": rates}}, Console(width=120))
    printed = capsys.readouterr().out
    assert "-10.00 [-12.00, -8.00]" in printed
    assert "times the texts/s" in printed
