from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from spanstream.standalone.releases import manifest as manifests
from spanstream.standalone.releases.manifest import Entry, Manifest, Refused
from spanstream.standalone.releases.registry import Registry, verify_folder
from tests.fixtures import unreachable

FILES = {"release.yaml": b"release: bees-1\n", "model/model.safetensors": b"weights" * 100, "gate.json": b"{}"}
GATE = {
    "passed": True,
    "base": "start@1",
    "asked": {"queries": 1, "from": "x", "documents": 1},
    "rows": [],
    "rules": [],
}


def quiet(more: int) -> None:
    """Nobody watches."""


def made(files: dict[str, bytes] = FILES, **other: object) -> Manifest:
    entries = {path: Entry(len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()}
    return replace(Manifest("bees-1", entries, {"base": "start@1"}, GATE), **other)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is published."""
    return written(tmp_path / "bees", FILES)


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(params=["folder", "object store"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/registry" if request.param == "folder" else f"memory://{tmp_path.name}/registry"


@pytest.fixture
def published(url: str, folder: Path) -> Registry:
    registry = Registry(url)
    assert registry.publish(folder, made(), quiet)
    return registry


def spoil(registry: Registry, path: str, data: bytes | None) -> None:
    """Change a file behind the registry's back, or remove it."""
    fs, root = fsspec.core.url_to_fs(registry.url)
    if data is None:
        fs.rm_file(f"{root}/bees-1/{path}")
    else:
        fs.pipe_file(f"{root}/bees-1/{path}", data)


def test_what_is_published_is_fetched_and_verified(published: Registry, tmp_path: Path) -> None:
    assert published.names() == ["bees-1"]
    assert published.manifest("bees-1") == made()
    assert published.verify("bees-1", made().seal, quiet) == made()
    out = tmp_path / "deep" / "out"
    assert published.fetch("bees-1", out, None, quiet) == (made(), True)
    assert {path: (out / path).read_bytes() for path in FILES} == FILES
    assert verify_folder(out, made().seal, quiet) == made()
    assert published.fetch("bees-1", out, None, quiet) == (made(), False)


def test_the_same_release_may_be_published_again_and_another_of_its_name_not(published: Registry, folder: Path) -> None:
    assert not published.publish(folder, made(), quiet)
    written(folder, {"gate.json": b"{}\n"})
    with pytest.raises(Refused, match="has another bees-1 already, and a release never changes"):
        published.publish(folder, made({**FILES, "gate.json": b"{}\n"}), quiet)
    assert published.verify("bees-1", None, quiet) == made()


def test_a_release_whose_publishing_was_cut_off_is_none_until_it_is_published_again(url: str, folder: Path) -> None:
    registry = Registry(url)
    (folder / "gate.json").write_bytes(b"changed")  # after it was hashed
    with pytest.raises(Refused, match=r"gate\.json changed while it was published"):
        registry.publish(folder, made(), quiet)
    assert registry.names() == []
    spoil(registry, "model/left-over.json", b"of an attempt before")
    written(folder, FILES)
    assert registry.publish(folder, made(), quiet)
    assert registry.verify("bees-1", None, quiet) == made()


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("model/model.safetensors", b"weightS" * 100, "model/model.safetensors is not as it was published"),
        ("model/model.safetensors", b"weights" * 99, "model/model.safetensors is not as it was published"),
        ("model/model.safetensors", b"weights" * 101, "model/model.safetensors is not as it was published"),
        ("gate.json", None, "gate.json is missing"),
        ("model/more.json", b"{}", "model/more.json is none of its files"),
    ],
)
def test_a_release_that_is_not_as_it_was_published_is_refused_by_the_file(
    published: Registry, tmp_path: Path, path: str, data: bytes | None, said: str
) -> None:
    spoil(published, path, data)
    with pytest.raises(Refused, match=said.replace(".", r"\.")):
        published.verify("bees-1", None, quiet)
    with pytest.raises(Refused, match=said.replace(".", r"\.")):
        published.fetch("bees-1", tmp_path / "out" / "here", None, quiet)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_fetched_folder_is_held_against_its_manifest_too(published: Registry, tmp_path: Path) -> None:
    published.fetch("bees-1", tmp_path / "out", None, quiet)
    (tmp_path / "out" / "gate.json").write_bytes(b"[]")
    with pytest.raises(Refused, match=r"gate\.json is not as it was published"):
        verify_folder(tmp_path / "out", None, quiet)
    with pytest.raises(Refused, match=r"gate\.json is not as it was published"):
        published.fetch("bees-1", tmp_path / "out", None, quiet)


def test_another_seal_than_the_one_that_was_noted_is_refused(published: Registry, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not what was noted"):
        published.fetch("bees-1", tmp_path / "out", "0" * 64, quiet)
    with pytest.raises(Refused, match="not what was noted"):
        published.verify("bees-1", "0" * 64, quiet)


def test_a_folder_that_holds_something_else_is_left_as_it_is(published: Registry, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(Refused, match="holds something else already"):
        published.fetch("bees-1", tmp_path / "out", None, quiet)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_the_folder_that_one_is_in_is_not_replaced(
    published: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for out in (Path("."), tmp_path / "empty"):
        with pytest.raises(Refused, match="name one in it"):
            published.fetch("bees-1", out, None, quiet)
    assert published.fetch("bees-1", Path("here"), None, quiet) == (made(), True)


def test_what_there_is_not_is_said(published: Registry, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="has no release 'wasps-1'; it has bees-1"):
        published.manifest("wasps-1")
    with pytest.raises(Refused, match="there is no registry at"):
        Registry(str(tmp_path / "nowhere")).names()
    with pytest.raises(Refused, match="nonsense"):
        Registry("nonsense://here")
    with pytest.raises(Refused, match="is no name of a release"):
        published.manifest("../bees-1")


@pytest.mark.parametrize(
    "path",
    [
        *("../out.json", "/etc/out.json", "model/../../out.json", "a\\b.json", "./a.json", "a//b.json", ".hidden.json"),
        *("model/pytorch_model.bin", "model/code.py", "manifest.json", "c:a.json", "", "a\n.json"),
    ],
)
def test_a_manifest_that_names_what_no_release_has_is_refused(path: str) -> None:
    bad = made({**FILES, path: b"x"})
    with pytest.raises(Refused, match="is no file of a release"):
        manifests.parsed(bad.text().encode(), "the manifest")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"not json",
        b"\xff",
        b'{"format": 1}',
        made().text().replace("bees-1", "wasp-1").encode(),
        json.dumps({**json.loads(made().text()), "files": {"a.json": [1, "short"]}}).encode(),
        made(gate={"passed": True}).text().encode(),
        made(format=2).text().encode(),
    ],
)
def test_a_damaged_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match=r"damaged|not as it was written|newer version"):
        manifests.parsed(text, "the manifest")


def test_two_files_that_differ_in_case_alone_are_refused() -> None:
    with pytest.raises(Refused, match=r"'A\.json' stands where another file"):
        manifests.refuse_paths(["a.json", "A.json"])


def test_an_object_store_that_does_not_answer_is_an_error_of_the_file_system(folder: Path, tmp_path: Path) -> None:
    registry = Registry(unreachable.URL)
    for ask in (
        registry.names,
        lambda: registry.manifest("bees-1"),
        lambda: registry.publish(folder, made(), quiet),
        lambda: registry.fetch("bees-1", tmp_path / "out", None, quiet),
        lambda: registry.verify("bees-1", None, quiet),
    ):
        with pytest.raises(OSError, match="EndpointConnectionError: 'the object store'"):
            ask()
