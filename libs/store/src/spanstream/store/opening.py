"""An address -> its store."""

from __future__ import annotations

from pathlib import Path

from spanstream.store.store import Store


def open_store(url: str, api_key: str | None = None, ca_file: Path | None = None) -> Store:
    """The store at `edge:<folder>` or `http(s)://host[:port]` (a Qdrant server); `Store.open` is still to be called.

    `ca_file`: certificates (PEM) of who signs the server's; None: the machine's own. Raises ValueError for any other
    address and for certificates that cannot be read, StoreUnavailable where another process has the folder. Only the chosen
    adapter's package is imported.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "edge" and rest:
        from spanstream.store.edge import EdgeStore

        return EdgeStore(Path(rest).expanduser())
    if scheme in ("http", "https") and rest.startswith("//"):
        from spanstream.store.server import ServerStore

        return ServerStore.at(url, api_key, ca_file=ca_file)
    raise ValueError(f"STORE_URL must be edge:<folder>, http://host:port or https://host:port, not {url!r}")
