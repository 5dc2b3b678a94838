from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spanstream.events.ids import Key
from spanstream.ingestor.blobs import BlobMissing, Blobs, BlobsUnavailable, BlobTooLarge, is_key, tenant_of
from tests.fixtures import unreachable

MADE = 1_700_000_000_000_000
DOCUMENT, OTHER = Key("t", "s", "a/1 %"), Key("t", "s", "b")


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    made = Blobs(f"file:{tmp_path}/deep/er" if request.param == "file" else f"memory://{tmp_path.name}", lambda: MADE)
    made.make()
    return made


def test_what_was_put_is_got(blobs: Blobs) -> None:
    key = blobs.put(DOCUMENT, 7, b"bees")
    assert is_key(key)
    assert tenant_of(key) == "t"
    assert blobs.get(key, 4) == b"bees"


def test_the_same_bytes_are_one_blob_of_a_version_alone(blobs: Blobs) -> None:
    keys = [blobs.put(of, version, b"bees") for of in (DOCUMENT, OTHER) for version in (7, 7, 8)]
    assert len(set(keys)) == 4
    assert keys[0] == keys[1]


def test_a_documents_blobs_are_forgotten_up_to_a_version(blobs: Blobs) -> None:
    for version in (7, 70, 700):
        blobs.put(DOCUMENT, version, b"bees")
    blobs.put(OTHER, 7, b"bees")
    blobs.forget(DOCUMENT, 70)
    blobs.forget(DOCUMENT, 70)
    assert [blobs.count(*each) for each in (DOCUMENT, OTHER, ("t", "s"), ("t",), ("u",))] == [1, 1, 2, 2, 0]
    blobs.forget(Key("t", "s", "unknown"), 70)


def test_up_to_which_version_a_document_was_erased_is_known_where_there_were_blobs(blobs: Blobs) -> None:
    blobs.forget(OTHER, 7)
    for version in (7, 8, 70):
        blobs.put(DOCUMENT, version, b"bees")
    for version in (7, 8, 6, 8):
        blobs.forget(DOCUMENT, version)
    assert [blobs.erased(DOCUMENT, version) for version in (7, 8, 9, 70)] == [True, True, False, False]
    assert not blobs.erased(OTHER, 7)
    assert blobs.count(*DOCUMENT) == 1


def test_what_a_crash_left_beside_its_place_is_counted_and_forgotten(tmp_path: Path) -> None:
    blobs = Blobs(f"file:{tmp_path}")
    path = tmp_path / blobs.put(DOCUMENT, 7, b"bees")
    path.rename(path.with_name(f".{path.name}.0123"))
    assert blobs.count(*DOCUMENT) == 1
    blobs.forget(DOCUMENT, 7)
    assert blobs.count(*DOCUMENT) == 0


def test_no_file_is_left_aside(tmp_path: Path) -> None:
    key = Blobs(f"file:{tmp_path}").put(DOCUMENT, 7, b"bees")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / key, tmp_path / ".spanstream"}


@pytest.mark.promise("I18")
@pytest.mark.parametrize("damage", [lambda data: data[:-1] + b"?", lambda data: data[:3], lambda data: data + b"more"])
def test_a_damaged_blob_is_mended_when_its_bytes_come_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    blobs = Blobs(f"file:{tmp_path}")
    key = blobs.put(DOCUMENT, 7, b"the very bytes")
    (tmp_path / key).write_bytes(damage(b"the very bytes"))
    assert blobs.put(DOCUMENT, 7, b"the very bytes") == key
    assert blobs.get(key, 100) == b"the very bytes"


def test_missing_and_too_large(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        blobs.get("t/aa/bb", 10)
    with pytest.raises(BlobTooLarge):
        blobs.get(blobs.put(DOCUMENT, 7, b"bees"), 3)


def test_the_same_bytes_of_several_versions_take_their_room_once(tmp_path: Path) -> None:
    blobs = Blobs(f"file:{tmp_path}")
    first, *others = [tmp_path / blobs.put(DOCUMENT, version, b"bees") for version in (7, 8, 9)]
    assert all(first.samefile(each) for each in others)
    assert not first.samefile(tmp_path / blobs.put(OTHER, 7, b"bees"))
    blobs.forget(DOCUMENT, 8)
    assert [each.read_bytes() for each in others if each.exists()] == [b"bees"]


def test_bytes_that_a_disk_has_changed_are_not_shared(tmp_path: Path) -> None:
    blobs = Blobs(f"file:{tmp_path}")
    (tmp_path / blobs.put(DOCUMENT, 7, b"bees")).write_bytes(b"wasp")
    lost = tmp_path / blobs.put(DOCUMENT, 8, b"bees")
    lost.unlink()
    lost.mkdir()  # cannot be read
    assert blobs.get(blobs.put(DOCUMENT, 9, b"bees"), 4) == b"bees"


@pytest.mark.promise("I14")
def test_a_store_that_is_empty_all_at_once_is_away(tmp_path: Path) -> None:
    folder, away = tmp_path / "blobs", tmp_path / "away"
    blobs = Blobs(f"file:{folder}")
    key = blobs.put(DOCUMENT, 7, b"bees")
    folder.rename(away)
    for mounted in (False, True):
        if mounted:
            folder.mkdir()  # a mount point without its volume
        for ask in _asks(blobs, key):
            with pytest.raises(BlobsUnavailable):
                ask()
        with pytest.raises(BlobsUnavailable):
            blobs.put(DOCUMENT, 8, b"bees")
    folder.rmdir()
    away.rename(folder)
    assert blobs.get(key, 4) == b"bees"
    with pytest.raises(BlobMissing):
        blobs.get("t/aa/bb", 10)


def _asks(blobs: Blobs, key: str) -> list[Callable[[], object]]:
    """What says something of blobs that are not there."""
    return [
        lambda: blobs.get(key, 4),
        lambda: blobs.forget(DOCUMENT, 7),
        lambda: blobs.erased(DOCUMENT, 7),
        lambda: blobs.count("t"),
    ]


@pytest.mark.promise("I14")
@pytest.mark.parametrize("url", ["file:{}/blobs", "memory://{}/blobs"])
def test_whoever_starts_without_the_volume_waits_for_it(tmp_path: Path, url: str) -> None:
    started = Blobs(url.format(tmp_path))
    assert started.unready(make=False) == [_said(started)]
    for ask in _asks(started, "t/aa/bb"):
        with pytest.raises(BlobsUnavailable, match="volume"):
            ask()
    Blobs(url.format(tmp_path)).put(DOCUMENT, 7, b"bees")
    assert started.unready(make=False) == []
    with pytest.raises(BlobMissing):
        started.get("t/aa/bb", 10)


def _said(blobs: Blobs) -> str:
    with pytest.raises(BlobsUnavailable) as error:
        blobs.count("t")
    return str(error.value)


@pytest.mark.promise("I14")
def test_a_store_that_is_younger_than_a_document_is_another_one(blobs: Blobs) -> None:
    """Its volume was not mounted when the ingest API started, which made a new one in its place."""
    for logged_ms in (1, MADE // 1000):
        with pytest.raises(BlobsUnavailable, match="younger"):
            blobs.existed(logged_ms)
    for logged_ms in (0, MADE // 1000 + 1):
        blobs.existed(logged_ms)


def test_a_store_is_made_once(tmp_path: Path) -> None:
    times = iter([5, 6])
    for _ in range(2):
        blobs = Blobs(f"file:{tmp_path}", lambda: next(times))
        assert blobs.unready(make=True) == []
    assert (tmp_path / ".spanstream").read_text() == "5"


def test_a_store_from_before_there_were_marks_has_always_been_one(tmp_path: Path) -> None:
    key = Blobs(f"file:{tmp_path}").put(DOCUMENT, 7, b"bees")
    (tmp_path / ".spanstream").unlink()
    again = Blobs(f"file:{tmp_path}")
    assert again.unready(make=False) == []
    assert again.get(key, 4) == b"bees"
    again.existed(1)
    Blobs(f"file:{tmp_path}").make()
    assert (tmp_path / ".spanstream").read_text() == "0"


def test_a_mark_that_nobody_can_read_is_told(tmp_path: Path) -> None:
    (tmp_path / ".spanstream").write_text("?")
    [told] = Blobs(f"file:{tmp_path}").unready(make=True)
    assert "damaged" in told
    (tmp_path / ".spanstream").write_text("")  # by hand
    assert Blobs(f"file:{tmp_path}").unready(make=True) == []


def test_a_store_that_cannot_write_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobsUnavailable):
        Blobs(f"file:{tmp_path}/file").put(DOCUMENT, 7, b"bees")


@pytest.mark.promise("I14")
def test_an_object_store_that_does_not_answer_is_unavailable() -> None:
    blobs = Blobs(unreachable.URL)
    for ask in (*_asks(blobs, "t/aa/bb"), lambda: blobs.put(DOCUMENT, 7, b"bees"), lambda: blobs.existed(MADE // 1000)):
        with pytest.raises(BlobsUnavailable, match=r"the blob store: EndpointConnectionError$"):
            ask()
    assert blobs.unready(make=True) == ["the blob store: EndpointConnectionError"]


@pytest.mark.parametrize(
    "key",
    ["", "t", "/etc/passwd", "http://x/y", "file:x/y", "t/../x", "t//x", "t/.x", "t/x/", "t\\x/y", "T/x", "t/\x00"],
)
def test_paths_and_addresses_are_no_keys(blobs: Blobs, key: str) -> None:
    assert not is_key(key)
    with pytest.raises(ValueError, match="not a blob key"):
        blobs.get(key, 10)
