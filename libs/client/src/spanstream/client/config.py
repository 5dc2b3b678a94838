"""Which server, and with which key: explicit arguments, then the environment, then what `spanstream up` left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_URL = "http://127.0.0.1:8700"
FILE = "client.json"


@dataclass(frozen=True, slots=True)
class Connection:
    """Base addresses of the search API and of the ingest API (often the same), and the API key if there is one."""

    url: str
    ingest_url: str
    api_key: str | None = field(default=None, repr=False)


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """$SPANSTREAM_DATA, else `spanstream` below $XDG_DATA_HOME, else ~/.local/share/spanstream."""
    if chosen := environment.get("SPANSTREAM_DATA"):
        return Path(chosen).expanduser()
    base = environment.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "spanstream"


def resolve(
    url: str | None = None,
    ingest_url: str | None = None,
    api_key: str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
) -> Connection:
    """The connection to use. The saved key is sent only to the saved addresses, never to another server."""
    saved = read(data_folder(environment))
    chosen = (url or environment.get("SPANSTREAM_URL") or saved.get("url") or DEFAULT_URL).rstrip("/")
    ours = chosen == saved.get("url")
    beside = saved.get("ingest_url", chosen) if ours else chosen
    chosen_ingest = (ingest_url or environment.get("SPANSTREAM_INGEST_URL") or beside).rstrip("/")
    key = api_key or environment.get("SPANSTREAM_API_KEY")
    if not key and ours and chosen_ingest == beside:
        key = saved.get("api_key")
    return Connection(chosen, chosen_ingest, key or None)


def read(folder: Path) -> dict[str, str]:
    """What is saved: `url`, `api_key`, and where they apply `ingest_url` and `log_url`; empty if unreadable."""
    try:
        saved = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in saved.items() if isinstance(value, str)} if isinstance(saved, dict) else {}


def save(folder: Path, values: Mapping[str, str]) -> Path:
    """Write what `read` reads, readable by its owner only; returns the path."""
    path = folder / FILE
    temporary = path.with_suffix(".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dict(values), file, indent=2)
    return temporary.replace(path)
