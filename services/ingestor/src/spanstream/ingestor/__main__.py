"""Run the ingestor alone: `python -m spanstream.ingestor`."""

from __future__ import annotations

import sys

from spanstream.ingestor.service import build
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime.alone import run_alone

if __name__ == "__main__":
    sys.exit(run_alone(IngestorSettings, build))
