from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spanstream.runtime.audit import AuditLog
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.problems import Problem
from spanstream.standalone.audit_commands import app as audit_log
from spanstream.standalone.commands import keys

RUNNER = CliRunner()


def run(file: Path, *words: str) -> str:
    done = RUNNER.invoke(keys, [*words, "--file", str(file)])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def verified(file: Path, token: str) -> Identity | None:
    try:
        return Authenticator.from_file(str(file)).verify(f"Bearer {token}")
    except Problem:
        return None


def listed(file: Path) -> Any:
    return json.loads(run(file, "list", "--json"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_created_key_is_accepted_and_kept_hashed(file: Path) -> None:
    token = run(file, "create", "ops", "--tenant", "acme", "--scopes", "read,admin", "--source", "wiki", "--days", "2")
    identity = verified(file, token)
    assert identity == Identity("acme", frozenset({"read", "admin"}), "key:ops", None, ("wiki",))
    assert token.rpartition("_")[2] not in file.read_text()


def test_a_key_is_not_replaced_by_another_of_its_name_until_it_is_revoked(file: Path) -> None:
    token = run(file, "create", "ops", "--tenant", "acme")
    again = RUNNER.invoke(keys, ["create", "ops", "--tenant", "other", "--file", str(file)])
    assert again.exit_code == 2
    assert "rotate it" in " ".join(again.output.replace("│", " ").split())
    assert verified(file, token) == Identity("acme", frozenset({"read", "write"}), "key:ops", None, None)
    run(file, "revoke", "ops")
    assert verified(file, run(file, "create", "ops", "--tenant", "other")) is not None


@pytest.mark.parametrize(
    ("options", "groups", "scopes"),
    [
        ([], None, {"read", "write"}),
        (["--group", "staff"], ("staff",), {"read"}),
        (["--group", "b", "--group", "a"], ("a", "b"), {"read"}),
    ],
)
def test_key_is_bound_to_its_groups(
    file: Path, options: list[str], groups: tuple[str, ...] | None, scopes: set[str]
) -> None:
    identity = verified(file, run(file, "create", "ops", *options))
    assert identity is not None
    assert (identity.groups, identity.scopes) == (groups, scopes)


def test_key_is_rotated_listed_and_revoked(file: Path) -> None:
    old = run(file, "create", "ops", "--tenant", "acme")
    new = run(file, "rotate", "ops", "--hours", "1")
    assert verified(file, old) == verified(file, new) != None  # noqa: E711 neither is refused
    (row,) = listed(file)
    assert (row["id"], row["tenant"], row["state"], row["scopes"]) == ("ops", "acme", "active", ["read", "write"])
    assert row["old_secret_until"]
    run(file, "revoke", "ops")
    assert verified(file, old) is verified(file, new) is None
    assert [row["state"] for row in listed(file)] == ["revoked"]
    shown = run(file, "list")
    assert shown.startswith("ops ")
    assert not any(secret in shown for secret in (old.rpartition("_")[2], new.rpartition("_")[2], "sha256"))


def test_key_that_expires_at_once_is_refused(file: Path) -> None:
    assert verified(file, run(file, "create", "ops", "--days", "0")) is None
    assert [row["state"] for row in listed(file)] == ["expired"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["create", "ops", "--scopes", "owner"],
        ["create", "ops", "--scopes", ""],  # an unset variable of a script, not the default
        ["create", "ops", "--tenant", "A B"],
        ["create", "ops", "--source", "Not a name"],
        ["create", "o_ps"],
        ["create", "ops", "--days", "-1"],
        ["create", "ops", "--days", "1e300"],
        ["rotate", "nobody"],
        ["revoke", "nobody"],
        ["list"],
    ],
)
def test_bad_wishes_are_usage_errors(file: Path, wrong: list[str]) -> None:
    done = RUNNER.invoke(keys, [*wrong, "--file", str(file)])
    assert done.exit_code == 2, done.output
    assert "Value error" not in done.output
    assert not file.exists()


def test_damaged_file_is_said_and_left_alone(file: Path) -> None:
    file.write_text('{"keys": [{"id": "one", "sha256": "canary"')
    for wish in (["create", "ops"], ["list"], ["rotate", "one"], ["revoke", "one"]):
        done = RUNNER.invoke(keys, [*wish, "--file", str(file)])
        assert done.exit_code == 2
        assert "the keys file: Invalid JSON" in done.output
        assert "canary" not in done.output
    assert file.read_text().endswith('"canary"')


def test_audit_log_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    for number in range(3):
        log.append([{"event": "write", "id": str(number)}])
    done = RUNNER.invoke(audit_log, ["verify", str(path)])
    last = json.loads(path.read_text().splitlines()[-1])["hash"]
    assert (done.exit_code, done.stdout) == (0, f"{path}: 3 lines, last hash {last}\n")
    path.write_text(path.read_text().replace('"id":"1"', '"id":"7"'))
    broken = RUNNER.invoke(audit_log, ["verify", str(path)])
    assert broken.exit_code == 1
    assert "line 2 was changed" in broken.output
    assert RUNNER.invoke(audit_log, ["verify", str(tmp_path / "none")]).exit_code == 2
