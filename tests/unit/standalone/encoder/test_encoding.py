"""An encoder for as long as a command needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import typer

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


def test_files_that_could_not_be_copied_are_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "weights").symlink_to(tmp_path / "gone")
    with pytest.raises(typer.BadParameter, match="No such file or directory"), encoding.told():
        shutil.copytree(tmp_path / "from", tmp_path / "to")  # its error has neither a reason nor a name of its own
