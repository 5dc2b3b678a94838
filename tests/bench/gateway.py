"""A gateway over a folder, with the model in its process: `python -m tests.bench.gateway FOLDER PORT DTYPE`."""

from __future__ import annotations

import sys
from pathlib import Path

from spanstream.gateway.service import build
from spanstream.gateway.settings import GatewaySettings
from spanstream.representations.local import open_local
from spanstream.runtime.service import run
from spanstream.store.edge import EdgeStore


def main(folder: str, port: str, dtype: str) -> int:
    """Serve until a signal; exit status 0 after one. Nothing is remembered: each query is embedded."""
    store, encoder = EdgeStore(Path(folder)), open_local(dtype=dtype)
    settings = GatewaySettings.read(
        store_url=f"edge:{folder}", encoder_url="inproc:", http_port=int(port), query_cache_bytes=0
    )
    try:
        return run([build(settings, store=store, encoder=encoder)])
    finally:
        encoder.close()
        store.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
