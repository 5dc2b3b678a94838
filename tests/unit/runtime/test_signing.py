from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from spanstream.runtime.signing import KeyUnreadable, Signer, Unverified, verify

STATEMENT = {"b": [1, {"c": None}], "a": "Grüße"}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.create(tmp_path / "key.pem")


def test_what_was_signed_is_verified_with_the_public_key_in_any_order_of_its_fields(signer: Signer) -> None:
    signed = signer.sign(STATEMENT)
    verify(signed, signer.public_key)
    verify(dict(reversed(signed.items())), signer.public_key)


@pytest.mark.parametrize("change", [{"a": "Gruss"}, {"b": [1, {"c": 0}]}, {"d": 1}])
def test_what_was_changed_is_found(signer: Signer, change: dict[str, object]) -> None:
    with pytest.raises(Unverified, match="changed"):
        verify(signer.sign(STATEMENT) | change, signer.public_key)


def test_a_signature_of_somebody_else_is_found(signer: Signer, tmp_path: Path) -> None:
    other = Signer.create(tmp_path / "other.pem")
    signed = other.sign(STATEMENT)
    with pytest.raises(Unverified, match="another key"):
        verify(signed, signer.public_key)
    signed["signature"] |= {"key": signer.sign(STATEMENT)["signature"]["key"]}
    with pytest.raises(Unverified, match="changed"):
        verify(signed, signer.public_key)


@pytest.mark.parametrize("signature", [None, "x", {}, {"algorithm": "none"}])
def test_what_is_not_signed_is_not_verified(signer: Signer, signature: object) -> None:
    with pytest.raises(Unverified, match="not signed"):
        verify(STATEMENT | {"signature": signature}, signer.public_key)


def test_the_key_is_read_again_and_its_file_is_the_owners_alone(signer: Signer, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    verify(Signer.read(file).sign(STATEMENT), signer.public_key)
    with pytest.raises(FileExistsError):
        Signer.create(file)


def test_a_key_that_could_not_be_written_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file counted as made, and nothing could be signed with it."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "key.pem"
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            Signer.create(file)
    assert not file.exists()
    Signer.create(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_no_key_is_refused(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no key")
    (tmp_path / "public.pem").write_bytes(signer.public_key)
    for name in ("no.pem", "public.pem"):
        with pytest.raises(KeyUnreadable):
            Signer.read(tmp_path / name)
    with pytest.raises(KeyUnreadable):
        verify(signer.sign(STATEMENT), b"no key")
