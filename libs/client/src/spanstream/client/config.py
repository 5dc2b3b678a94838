"""Which server, and with which key: explicit arguments, then the environment, then what `spanstream up` left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from spanstream.client.errors import Unusable

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
    """The connection to use. The saved key is sent only to the saved addresses, never to another server.

    Raises Unusable if the address is to come from a file that cannot be read, or is none.
    """
    try:
        saved = read(data_folder(environment))
    except Unusable:
        if not (url or environment.get("SPANSTREAM_URL")):
            raise
        saved = {}
    chosen = (url or environment.get("SPANSTREAM_URL") or saved.get("url") or DEFAULT_URL).rstrip("/")
    ours = chosen == saved.get("url")
    beside = saved.get("ingest_url", chosen) if ours else chosen
    chosen_ingest = (ingest_url or environment.get("SPANSTREAM_INGEST_URL") or beside).rstrip("/")
    for address in (chosen, chosen_ingest):
        _check(address)
    key = api_key or environment.get("SPANSTREAM_API_KEY")
    if not key and ours and chosen_ingest == beside:
        key = saved.get("api_key")
    return Connection(chosen, chosen_ingest, key or None)


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its port is no number
        whole = False
    if not whole:
        raise Unusable(f"the address {address} is not of the form http://HOST:PORT or https://HOST:PORT")


def read(folder: Path) -> dict[str, str]:
    """What is saved: `url`, `api_key`, and where they apply `ingest_url` and `log_url`; empty if there is no file.

    Raises Unusable for a file that cannot be read, or is not JSON.
    """
    path = folder / FILE
    try:
        saved = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise Unusable(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Unusable(f"{path} is not valid JSON; `spanstream up` writes it anew") from error
    if not isinstance(saved, dict):
        raise Unusable(f"{path} is not a JSON object; `spanstream up` writes it anew")
    return {name: value for name, value in saved.items() if isinstance(value, str)}


def why_no_key(environment: Mapping[str, str] = os.environ) -> str:
    """Why no saved key was sent to a server that asked for one, and what to do."""
    folder = data_folder(environment)
    try:
        saved = read(folder)
    except Unusable as error:
        return f"{error}; or set SPANSTREAM_API_KEY"
    if "url" in saved and "api_key" in saved:
        return f"the key in {folder / FILE} is for {saved['url']}; set SPANSTREAM_API_KEY for another server"
    return f"no usable {FILE} in {folder}; is SPANSTREAM_DATA the same as the server's? or set SPANSTREAM_API_KEY"


def why_wrong_key(environment: Mapping[str, str] = os.environ) -> str:
    """Where a key came from that the server does not know, and what to do; no key was given as an argument."""
    if environment.get("SPANSTREAM_API_KEY"):
        return "the key in SPANSTREAM_API_KEY is not the server's; set another, or unset it for the saved one"
    return f"the key in {data_folder(environment) / FILE} is not the server's; set SPANSTREAM_API_KEY"


def save(folder: Path, values: Mapping[str, str]) -> Path:
    """Write what `read` reads, readable by its owner only; returns the path."""
    path = folder / FILE
    temporary = path.with_suffix(".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dict(values), file, indent=2)
    return temporary.replace(path)
