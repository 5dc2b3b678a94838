from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spanstream.runtime.signing import Signer
from spanstream.standalone.erasure_commands import app, shown

RUNNER = CliRunner()
RECEIPT = {"state": "erased", "at": "2030-01-01T00:00:00Z", "tenant": "acme"}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    Signer.create(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def verified(receipt: Path, key: Path) -> tuple[int, str]:
    done = RUNNER.invoke(app, ["verify", str(receipt), "--key", str(key)])
    return done.exit_code, done.output


def test_a_receipt_is_verified_with_the_public_key_alone(key: Path, tmp_path: Path) -> None:
    receipt, public = tmp_path / "receipt.json", tmp_path / "public.pem"
    receipt.write_text(json.dumps(Signer.read(key).sign(RECEIPT), indent=2))
    public.write_text(RUNNER.invoke(app, ["key", "--key", str(key)]).stdout)
    assert "PRIVATE" not in public.read_text()
    for file in (key, public):
        code, told = verified(receipt, file)
        assert (code, "erased at 2030" in told) == (0, True)


def test_who_verifies_a_receipt_of_what_nobody_sent_is_told_that_nothing_is_known_of_it(
    key: Path, tmp_path: Path
) -> None:
    receipt = tmp_path / "receipt.json"
    for known, said in (({}, False), ({"known": True}, False), ({"known": False}, True)):
        receipt.write_text(json.dumps(Signer.read(key).sign(RECEIPT | known)))
        code, told = verified(receipt, key)
        assert (code, "nothing that was read tells of it" in told) == (0, said)


@pytest.mark.parametrize(
    ("state", "known", "said"),
    [
        ("erased", {}, "erased"),
        ("erased", {"known": True}, "erased"),
        ("erased", {"known": False}, "not known"),
        ("remaining", {"known": False}, "remaining"),  # a log that keeps for ever may hold it
    ],
)
def test_what_nobody_sent_is_not_called_erased(state: str, known: dict[str, bool], said: str) -> None:
    told = {"source": "wiki", "id": "a", "places": [], "not_looked_at": [], "signature": None}
    lines = shown({**RECEIPT, **told, "state": state, **known}).plain.splitlines()
    assert lines[0] == f"{said}  acme/wiki/a"
    assert ("nothing that was read tells of it" in lines[1]) is (known == {"known": False})


def test_a_receipt_that_was_changed_is_found(key: Path, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(Signer.read(key).sign(RECEIPT) | {"tenant": "beta"}))
    assert verified(receipt, key)[0] == 1


@pytest.mark.parametrize("text", ["no json", "[]", ""])
def test_what_is_no_receipt_is_refused(key: Path, tmp_path: Path, text: str) -> None:
    receipt = tmp_path / "receipt.json"
    receipt.write_text(text)
    assert verified(receipt, key)[0] == 2


def test_a_new_key_never_replaces_one(tmp_path: Path) -> None:
    file = tmp_path / "new.pem"
    assert RUNNER.invoke(app, ["key", "--new", "--key", str(file)]).exit_code == 0
    before = file.read_bytes()
    assert RUNNER.invoke(app, ["key", "--new", "--key", str(file)]).exit_code == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["delete"],
        ["delete", "--source", "a", "--everything"],
        ["receipt"],
        ["receipt", "a"],
        ["receipt", "a/b", "--source", "b"],
        ["receipt", "a/b", "--out", "/there/is/no/such/folder/receipt.json"],
    ],
)
def test_it_must_be_said_what_is_meant(words: list[str]) -> None:
    assert RUNNER.invoke(app, words).exit_code == 2
