from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spanstream.ingestor.blobs import BlobMissing, Blobs, BlobsUnavailable, BlobTooLarge, is_key, tenant_of


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs(f"file:{tmp_path}/deep/er" if request.param == "file" else f"memory://{tmp_path.name}")


def test_what_was_put_is_got(blobs: Blobs) -> None:
    key = blobs.put("t", b"bees")
    assert is_key(key)
    assert tenant_of(key) == "t"
    assert blobs.get(key, 4) == b"bees"


def test_the_same_bytes_are_one_blob_per_tenant(blobs: Blobs) -> None:
    assert blobs.put("t", b"bees") == blobs.put("t", b"bees") != blobs.put("u", b"bees")


def test_no_file_is_left_aside(tmp_path: Path) -> None:
    key = Blobs(f"file:{tmp_path}").put("t", b"bees")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / key]


@pytest.mark.promise("I18")
@pytest.mark.parametrize("damage", [lambda data: data[:-1] + b"?", lambda data: data[:3], lambda data: data + b"more"])
def test_a_damaged_blob_is_mended_when_its_bytes_come_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    blobs = Blobs(f"file:{tmp_path}")
    key = blobs.put("acme", b"the very bytes")
    (tmp_path / key).write_bytes(damage(b"the very bytes"))
    assert blobs.put("acme", b"the very bytes") == key
    assert blobs.get(key, 100) == b"the very bytes"


def test_missing_and_too_large(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        blobs.get("t/aa/bb", 10)
    with pytest.raises(BlobTooLarge):
        blobs.get(blobs.put("t", b"bees"), 3)


def test_a_store_that_cannot_write_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobsUnavailable):
        Blobs(f"file:{tmp_path}/file").put("t", b"bees")


@pytest.mark.parametrize(
    "key",
    ["", "t", "/etc/passwd", "http://x/y", "file:x/y", "t/../x", "t//x", "t/.x", "t/x/", "t\\x/y", "T/x", "t/\x00"],
)
def test_paths_and_addresses_are_no_keys(blobs: Blobs, key: str) -> None:
    assert not is_key(key)
    with pytest.raises(ValueError, match="not a blob key"):
        blobs.get(key, 10)
