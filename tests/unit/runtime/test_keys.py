"""The file of API keys: what it accepts and until when, how it is changed, and that a change is seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from spanstream.runtime.auth import Authenticator
from spanstream.runtime.identity import Denied, Reason
from spanstream.runtime.key_file import create_key, read_keys, revoke_key, rotate_key
from spanstream.runtime.keys import Keys
from spanstream.runtime.metrics import AUTH_FILE_UNREADABLE
from spanstream.runtime.problems import Problem
from spanstream.runtime.watched import LOOK_SECONDS, Watched
from tests.fixtures.called import called

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def reason(path: Path, token: str, now: datetime = NOW) -> Reason | None:
    try:
        Keys.parse(path.read_bytes()).verify(token, now)
    except Denied as denied:
        return denied.reason
    return None


def test_key_expires(path: Path) -> None:
    token = create_key(path, "one", "acme", expires=NOW)
    assert reason(path, token, NOW - timedelta(seconds=1)) is None
    assert reason(path, token, NOW) is Reason.EXPIRED


def test_after_a_rotation_both_secrets_are_good_for_a_while(path: Path) -> None:
    old = create_key(path, "one", "acme", {"read"}, ["staff"], ["wiki"])
    new = rotate_key(path, "one", DAY, NOW)
    assert old != new
    assert [reason(path, each, NOW + DAY / 2) for each in (old, new)] == [None, None]
    assert [reason(path, each, NOW + DAY) for each in (old, new)] == [Reason.EXPIRED, None]
    identity = Keys.parse(path.read_bytes()).verify(new, NOW)
    assert (identity.groups, identity.sources, identity.scopes) == (("staff",), ("wiki",), {"read"})
    third = rotate_key(path, "one", timedelta(0), NOW)
    assert [reason(path, each) for each in (old, new, third)] == [Reason.WRONG_SECRET, Reason.WRONG_SECRET, None]


def test_expiry_holds_for_both_secrets_and_may_be_moved(path: Path) -> None:
    old = create_key(path, "one", "acme", expires=NOW + DAY)
    new = rotate_key(path, "one", 9 * DAY, NOW)
    assert [reason(path, each, NOW + DAY) for each in (old, new)] == [Reason.EXPIRED, Reason.EXPIRED]
    newest = rotate_key(path, "one", DAY, NOW, expires=NOW + 9 * DAY)
    assert reason(path, newest, NOW + DAY) is None


def test_revoked_key_is_refused_with_both_secrets_and_stays_listed(path: Path) -> None:
    old = create_key(path, "one", "acme")
    new = rotate_key(path, "one", DAY, NOW)
    revoke_key(path, "one", NOW)
    assert [reason(path, each) for each in (old, new)] == [Reason.WRONG_SECRET, Reason.REVOKED]
    assert [key.state(NOW) for key in read_keys(path)] == ["revoked"]
    with pytest.raises(LookupError, match="revoked"):
        rotate_key(path, "one", DAY, NOW)


def test_only_keys_that_exist_are_rotated_or_revoked(path: Path) -> None:
    with pytest.raises(LookupError, match="no file"):
        revoke_key(path, "one", NOW)
    create_key(path, "one", "acme")
    for change in (lambda: revoke_key(path, "two", NOW), lambda: rotate_key(path, "two", DAY, NOW)):
        with pytest.raises(LookupError, match="two"):
            change()
    assert [key.id for key in read_keys(path)] == ["one"]


@pytest.mark.parametrize("id", ["", "a_b", "a b", "ä", "a\n", "-a", "x" * 65, "\x1b[31m", "../a"])
def test_id_is_a_plain_name(path: Path, id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        create_key(path, id, "acme")
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"source": ["wiki"]},  # misspelt: not seen, the key would be wider than meant
        {"groups": "staff"},
        {"sources": "wiki"},
        {"sources": ["Not a name"]},
        {"scopes": ["owner"]},
        {"scopes": "read"},
        {"tenant": "A B"},
        {"tenant": None},
        {"sha256": "short"},
        {"expires": "2030-01-01T00:00:00"},  # in whose time zone?
        {"previous": {"sha256": "0" * 64}},
    ],
)
def test_file_with_an_entry_that_is_not_understood_is_refused(path: Path, change: dict[str, object]) -> None:
    create_key(path, "one", "acme")
    (entry,) = json.loads(path.read_text())["keys"]
    for entries in ([entry | change], [entry, entry]):
        with pytest.raises(ValidationError):
            Keys.parse(json.dumps({"keys": entries}).encode())
    assert len(read_keys(path)) == 1


def test_file_of_the_first_form_is_still_read(path: Path) -> None:
    token = create_key(path, "one", "acme", {"read"}, ["staff"])
    (entry,) = json.loads(path.read_text())["keys"]
    assert set(entry) == {"id", "tenant", "scopes", "groups", "sha256"}
    assert reason(path, token) is None


def test_unknown_id_costs_what_a_known_one_does(path: Path) -> None:
    create_key(path, "one", "acme")
    keys = Keys.parse(path.read_bytes())

    def compared(token: str) -> list[str]:
        def verify() -> None:
            with pytest.raises(Denied):
                keys.verify(token, NOW)

        return [name for name in called(verify) if name in ("compare_digest", "openssl_sha256", "hexdigest")]

    known = compared("sps_one_secret")
    assert known.count("compare_digest") == 2
    assert compared("sps_two_secret") == compared("sps_") == compared("sps_one") == known


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def look(self) -> None:
        self.now += LOOK_SECONDS


def watched(path: Path) -> tuple[Watched[Keys], Clock]:
    clock = Clock()
    return Watched(path, Keys.parse, "AUTH_KEYS_FILE", clock), clock


def test_changed_file_is_read_again(path: Path) -> None:
    first = create_key(path, "one", "acme")
    file, clock = watched(path)
    second = create_key(path, "two", "acme")
    with pytest.raises(Denied):
        file.get().verify(second, NOW)  # no look at the file for each request
    clock.look()
    assert {file.get().verify(each, NOW).subject for each in (first, second)} == {"key:one", "key:two"}
    revoke_key(path, "one", NOW)
    clock.look()
    with pytest.raises(Denied):
        file.get().verify(first, NOW)


@pytest.mark.parametrize("damage", ["half", "empty", "gone"])
def test_file_that_cannot_be_read_leaves_the_old_keys_in_force_and_alerts(path: Path, damage: str) -> None:
    token = create_key(path, "one", "acme")
    file, clock = watched(path)
    whole = path.read_text()
    unreadable = AUTH_FILE_UNREADABLE.labels("AUTH_KEYS_FILE")._value.get
    with capture_logs() as lines:
        if damage == "gone":
            path.unlink()
        else:
            path.write_text(whole[: len(whole) // 2] if damage == "half" else "")
        for _ in range(3):
            clock.look()
            assert file.get().verify(token, NOW).tenant == "acme"
        assert unreadable() == 1
        create_key(path, "two", "acme") if damage == "gone" else path.write_text(whole)
        clock.look()
        file.get()
    told = [(line["event"], line["log_level"]) for line in lines]
    assert told == [("auth_file_unreadable", "error"), ("auth_file_read", "info")]  # once, not at every look
    assert unreadable() == 0
    assert "sha256" not in str(lines)


def test_a_file_that_comes_late_is_read_when_it_is_there(path: Path) -> None:
    with capture_logs() as lines:
        file, clock = watched(path)
        assert file.unready() == [f"AUTH_KEYS_FILE: {path} cannot be read (FileNotFoundError)"]
        with pytest.raises(Problem, match="yet") as caught:
            file.get()
        assert caught.value.status == 503
        token = create_key(path, "one", "acme")
        clock.look()
        assert file.unready() == []
        assert file.get().verify(token, NOW).tenant == "acme"
    assert [line["event"] for line in lines] == ["auth_file_unreadable", "auth_file_read"]


def test_a_service_takes_a_new_key_without_a_restart(path: Path) -> None:
    create_key(path, "one", "acme")
    file, clock = watched(path)
    authenticator = Authenticator(file.get)
    second = create_key(path, "two", "globex")
    clock.look()
    assert authenticator.verify(f"Bearer {second}").tenant == "globex"
