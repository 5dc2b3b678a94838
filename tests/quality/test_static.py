"""The short form of `python -m tests.quality.static`: its parts, on few texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from spanstream.encoder.encoder import Text
from spanstream.encoder.hashing import HashEncoder
from spanstream.standalone.encoder.judgements import Collection, Pairs, read
from tests.quality import static


def test_an_encoder_differs_from_itself_in_nothing(development_data: Path) -> None:
    data = read(development_data / "cranfield")
    assert isinstance(data, Collection)
    found = static.retrieval(data, HashEncoder(256), HashEncoder(256))
    assert list(found) == ["static", "asymmetric"]
    for ndcg, *_ in found.values():
        assert ndcg.a == ndcg.b > 10  # bags of words find something
        assert ndcg.difference == (0, 0, 0)


def test_fewer_dimensions_lose(development_data: Path) -> None:
    data = read(development_data / "sts16")
    assert isinstance(data, Pairs)
    spearman, *_ = static.similarity(data, HashEncoder(256), HashEncoder(16))["static"]
    assert spearman.difference.high < 0


def test_figures_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    one = HashEncoder(8)
    rates = static.speed(one, one, [Text("a cat", np.empty((0, 2), np.int32))] * 50, 3)
    row = {"set": "set", "way": "static", "measure": "nDCG@10", "a": 40.0, "b": 30.0, "difference": (-10, -12, -8)}
    static.show({"static": "name", "quality": [row], "texts/s": {"queries": rates}}, Console(width=120))
    printed = capsys.readouterr().out
    assert "-10.00 [-12.00, -8.00]" in printed
    assert "times the texts/s" in printed
