from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spanstream.runtime.auth import Authenticator
from spanstream.standalone.commands import keys

RUNNER = CliRunner()


def test_a_created_key_is_accepted_and_kept_hashed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    done = RUNNER.invoke(keys, ["ops", "--file", str(file), "--tenant", "acme", "--scopes", "read"])
    assert done.exit_code == 0, done.output
    identity = Authenticator.from_file(str(file)).verify(f"Bearer {done.stdout.strip()}")
    assert (identity.tenant, identity.scopes) == ("acme", {"read"})
    assert done.stdout.strip().rpartition("_")[2] not in file.read_text()


@pytest.mark.parametrize(
    ("options", "groups"),
    [([], None), (["--group", "staff"], ("staff",)), (["--group", "b", "--group", "a"], ("a", "b"))],
)
def test_key_is_bound_to_its_groups(tmp_path: Path, options: list[str], groups: tuple[str, ...] | None) -> None:
    file = tmp_path / "keys.json"
    done = RUNNER.invoke(keys, ["ops", "--file", str(file), *options])
    assert done.exit_code == 0, done.output
    assert Authenticator.from_file(str(file)).verify(f"Bearer {done.stdout.strip()}").groups == groups


def test_bad_wishes_are_usage_errors(tmp_path: Path) -> None:
    file = str(tmp_path / "keys.json")
    for wrong in (["ops", "--scopes", "admin"], ["ops", "--tenant", "A B"], ["o_ps"]):
        assert RUNNER.invoke(keys, [*wrong, "--file", file]).exit_code == 2
    assert not Path(file).exists()
