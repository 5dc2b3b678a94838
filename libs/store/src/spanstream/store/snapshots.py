"""What a snapshot's folder says of itself: `snapshot.json`, beside what the adapter wrote."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spanstream.store.errors import StoreRejected
from spanstream.store.folder import write_atomically

FILE = "snapshot.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Told:
    """`kind`: of which adapter. `engine`: its version, numbers with dots."""

    kind: str
    generation: str
    engine: str
    format: int = FORMAT


def write(folder: Path, told: Told) -> None:
    """Last of all: a folder without it is none."""
    write_atomically(folder / FILE, json.dumps(asdict(told), indent=2))


def read(folder: Path, kind: str, engine: str) -> Told:
    """What is told, checked: this adapter's, and of no newer format or engine than these. Raises StoreRejected."""
    try:
        found = json.loads((folder / FILE).read_text())
        if found["format"] > FORMAT or _numbers(found["engine"]) > _numbers(engine):
            raise StoreRejected(
                f"the snapshot was made by a newer version (format {found['format']}, engine {found['engine']}); this one"
                f" reads format {FORMAT} and engine {engine}: update it first"
            )
        told = Told(**found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreRejected(f"{folder} holds no snapshot that can be read: {type(error).__name__}") from error
    if told.kind != kind:
        raise StoreRejected(f"the snapshot is of a store «{told.kind}», this one is «{kind}»: it cannot be put there")
    return told


def generation(folder: Path) -> str:
    """Of which generation it is, whatever adapter made it. Raises StoreRejected for a folder without a snapshot."""
    try:
        return str(json.loads((folder / FILE).read_text())["generation"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreRejected(f"{folder} holds no snapshot that can be read: {type(error).__name__}") from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
