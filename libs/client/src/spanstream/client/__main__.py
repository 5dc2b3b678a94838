"""The `spanstream` command without its script: `python -m spanstream.client`."""

from __future__ import annotations

from spanstream.client.cli import main

if __name__ == "__main__":
    main()
