"""Run the indexer alone: `python -m spanstream.indexer`."""

from __future__ import annotations

import sys

from spanstream.indexer.service import build
from spanstream.indexer.settings import IndexerSettings
from spanstream.runtime.alone import run_alone
from spanstream.store.errors import StoreUnavailable

if __name__ == "__main__":
    sys.exit(run_alone(IndexerSettings, build, StoreUnavailable))
