"""A training's folder as a release: what of it is published, and whether it may be."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanstream.representations.release import read_release
from spanstream.standalone.encoder import encoding
from spanstream.standalone.gate.rules import Status
from spanstream.standalone.releases import manifest as manifests
from spanstream.standalone.releases.manifest import Entry, Manifest, Refused
from spanstream.standalone.training import outcome, spool

if TYPE_CHECKING:
    from rich.progress import Progress

_AGAIN = "spanstream encoder evaluate {} says whether it passes"


def packed(folder: Path, bar: Progress) -> Manifest:
    """The manifest of a training's folder. Raises Refused where it may not be published, with the reason."""
    report = outcome.read(folder)
    if report is None:
        raise Refused(f"{folder} is no release's folder: `spanstream train --out {folder}` would make one")
    if (folder / spool.FILE).exists():
        raise Refused(f"the training in {folder} has not ended: the same `spanstream train` goes on with it")
    if lacking := [key for key in ("start_fingerprint", "corpus") if key not in report]:
        raise Refused(f"{folder} was trained by an older version, which did not keep {', '.join(lacking)}: train again")
    gate = _passed(folder)
    release = read_release(folder / outcome.RELEASE)
    manifests.refuse_name(release.name)
    named = [Path(release.model), *([release.transforms_file] if release.transforms_file else [])]
    _refuse_outside(folder, named)
    with encoding.opened(str(folder / outcome.RELEASE), bar) as encoder:
        if encoder.fingerprint != gate["fingerprints"]["candidate"]:
            raise Refused(f"{folder} is not what was judged any more: {_AGAIN.format(folder)}")
    lineage = {
        "base": report["start"],
        "base_fingerprint": report["start_fingerprint"],
        "model": report["model"],
        "corpus": report["corpus"],
        "passages": report["passages"],
        "recipe": report["recipe"],
    }
    return Manifest(release.name, _files(folder, named), lineage, gate)


def _passed(folder: Path) -> dict[str, Any]:
    """What the gate said. Raises Refused unless the release passed it."""
    if not (folder / outcome.GATE).is_file():
        raise Refused(f"{folder} has not been judged: {_AGAIN.format(folder)}")
    gate = outcome.parsed(folder / outcome.GATE)
    if not gate["passed"] or not (folder / outcome.RELEASE).is_file():
        failed = [f"{each['rule']} ({each['reason']})" for each in gate["rules"] if each["status"] == Status.FAILED]
        raise Refused(f"{folder} did not pass the evaluation gate: {'; '.join(failed)}")
    return gate


def _refuse_outside(folder: Path, named: list[Path]) -> None:
    for path in named:
        if (
            not path.exists()
            or not path.resolve().is_relative_to(folder.resolve())
            or not path.is_relative_to(folder)  # named from the root of this machine
        ):
            raise Refused(f"{folder / outcome.RELEASE} names {path}, which is not in {folder}")


def _files(folder: Path, named: list[Path]) -> dict[str, Entry]:
    """Release file, what it names, and what a training says of itself; not what else lies beside them."""
    told = (folder / name for name in (outcome.RELEASE, outcome.GATE, outcome.REPORT, outcome.CURVES))
    found: dict[str, Entry] = {}
    for path in sorted(each for top in (*named, *told) for each in (top, *top.rglob("*"))):
        if path.is_symlink():
            raise Refused(f"{path} is a link: a release has none")
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != manifests.FILE:
            with open(path, "rb") as file:
                found[name] = Entry(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
    manifests.refuse_paths(found)
    return found
