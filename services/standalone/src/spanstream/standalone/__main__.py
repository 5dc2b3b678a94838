"""Run everything on this machine: `python -m spanstream.standalone` is `spanstream up`."""

from __future__ import annotations

import sys

from spanstream.client.__main__ import main

if __name__ == "__main__":
    sys.argv[1:1] = ["up"]
    main()
