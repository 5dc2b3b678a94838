"""The bill of materials of each image, as CycloneDX 1.6: `python -m tools.sbom FOLDER` writes one JSON file an image.

What the image holds is computed from constraints.txt as the build does it (`image_requirements`), so that the two cannot differ.
Equal inputs give equal files: no time, and a serial number that follows from the contents. Licences are those of what is
installed here; a package of another platform has none.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.image_requirements import IMAGES, ROOT, Pinned, members, third_party
from tools.licences import licence

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VERSION = re.compile(r"==([^\s;\\]+)")


def bill(image: str) -> dict[str, Any]:
    """The document: our own members, the pinned packages with the hashes that the build accepts, and who needs whom."""
    ours, asked = members(IMAGES[image])
    entries = third_party(image)
    components = [_own(name, path) for name, path in ours.items()] + [_component(entry) for entry in entries]
    document: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": image, "name": f"spanstream-{image}"}},
        "components": components,
        "dependencies": _dependencies(image, ours, asked, entries),
    }
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "serialNumber": f"urn:uuid:{name}",
        **document,
    }


def text(image: str) -> str:
    """The document's file."""
    return json.dumps(bill(image), indent=1) + "\n"


def _reference(entry: Pinned) -> str:
    found = _VERSION.search(entry.lines)
    assert found is not None, entry.name
    return f"pkg:pypi/{entry.name}@{found[1]}"


def _component(entry: Pinned) -> dict[str, Any]:
    reference = _reference(entry)
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference,
        "name": entry.name,
        "version": reference.rpartition("@")[2],
        "purl": reference,
    }
    with suppress(LookupError):  # of another platform: its metadata is not here
        component["licenses"] = [{"expression": licence(entry.name)}]
    # One of these is the file's that is installed: which, the platform decides.
    component["properties"] = [{"name": "spanstream:sha256", "value": each} for each in _HASH.findall(entry.lines)]
    return component


def _own(name: str, path: Path) -> dict[str, Any]:
    found = re.search(r'^version = "(.+)"$', (path / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None, path
    return {
        "type": "library",
        "bom-ref": name,
        "name": name,
        "version": found[1],
        "licenses": [{"expression": "Apache-2.0"}],
        "properties": [{"name": "spanstream:path", "value": str(path.relative_to(ROOT))}],
    }


def _dependencies(image: str, ours: dict[str, Path], asked: set[str], entries: list[Pinned]) -> list[dict[str, Any]]:
    """The image needs our members and all that they ask for, extras too; a member what it asks for without extras."""
    references = {entry.name: _reference(entry) for entry in entries}
    needed: dict[str, list[str]] = {image: [*ours, *(references[one] for one in asked)]}
    for name in ours:
        own, others = members([name])
        needed[name] = [one for one in own if one != name] + [references[one] for one in others if one in references]
    for entry in entries:
        needed[_reference(entry)] = [_reference(other) for other in entries if entry.name in other.via]
    return [{"ref": name, "dependsOn": sorted(set(others))} for name, others in needed.items()]


def main(folder: str) -> int:
    """Write all."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        path = Path(folder) / f"{image}.cdx.json"
        path.write_text(text(image))
        print(path)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(sys.argv[1]))
