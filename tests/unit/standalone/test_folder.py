"""The data folder belongs to one process, and says what is wrong with it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from spanstream.client import config
from spanstream.runtime.auth import Authenticator
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.trouble import Trouble


def test_folder_is_made_private_and_locked(tmp_path: Path) -> None:
    first = DataFolder(tmp_path / "new" / "data")
    first.open()
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o700
    with pytest.raises(Trouble, match=r"Another Spanstream \(process \d+\)"):
        DataFolder(first.path).open()
    first.close()
    second = DataFolder(first.path)
    second.open()
    second.close()


def test_folder_in_use_names_the_address_there_and_a_command_that_meets_no_taken_port(tmp_path: Path) -> None:
    first = DataFolder(tmp_path)
    first.open()
    for address in ("", " (http://127.0.0.1:1234)"):
        with pytest.raises(Trouble) as caught:
            DataFolder(tmp_path).open()
        assert f"Use that one{address}, stop it" in caught.value.advice
        assert "spanstream up --data FOLDER --port 0 --admin-port 0." in caught.value.advice
        config.save(tmp_path, {"url": "http://127.0.0.1:1234"})
    first.close()


def test_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Trouble, match="cannot be written") as caught:
        DataFolder(tmp_path / "file" / "data").open()
    assert "SPANSTREAM_DATA=FOLDER make run" in caught.value.advice


def test_full_disk_is_explained(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="MB are needed"):
        DataFolder(tmp_path).open(free_bytes=1 << 60)


def test_key_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    key = folder.key()
    assert stat.S_IMODE(folder.keys.stat().st_mode) == 0o600
    config.save(folder.path, {"url": "http://127.0.0.1:1", "api_key": key})
    assert folder.key() == key
    assert Authenticator.from_file(str(folder.keys)).verify(f"Bearer {key}").tenant == "default"


def test_lost_key_is_replaced(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.key() != folder.key()  # nothing was saved in between


def test_damaged_saved_file_gets_a_new_key(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / config.FILE).write_text("{")
    assert folder.key()


def test_damaged_key_file_is_explained(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    for _ in range(2):
        folder.keys.write_text("{")
        with pytest.raises(Trouble, match="damaged"):
            folder.key()
        folder.keys.unlink()
        config.save(
            folder.path, {"url": "http://127.0.0.1:1", "api_key": folder.key()}
        )  # a key that was saved helps no more


def test_key_of_receipts_is_made_once_and_a_damaged_one_is_explained(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.make_receipt_key()
    made = folder.receipt_key.read_bytes()
    folder.make_receipt_key()
    assert folder.receipt_key.read_bytes() == made
    folder.receipt_key.write_bytes(b"")  # a kill before it was written
    with pytest.raises(Trouble, match="damaged") as caught:
        folder.make_receipt_key()
    assert "move it away" in caught.value.advice
