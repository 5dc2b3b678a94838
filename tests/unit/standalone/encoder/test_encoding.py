"""An encoder for as long as a command needs it."""

from __future__ import annotations

from pathlib import Path

import torch

from spanstream.standalone.encoder import encoding
from tests.unit.representations.tiny import build


def test_torch_gets_its_threads_back(tmp_path: Path) -> None:
    model = str(build(tmp_path / "bert", "bert", {"pooling_mode_mean_tokens": True}, normalize=True))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with encoding.progress(quiet=True) as bar, encoding.opened(model, bar), encoding.opened(model, bar):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
