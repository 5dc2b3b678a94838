"""Run the embedder worker alone: `python -m spanstream.embedder`."""

from __future__ import annotations

import sys

from spanstream.embedder.service import build
from spanstream.embedder.settings import EmbedderSettings
from spanstream.runtime.alone import run_alone

if __name__ == "__main__":
    sys.exit(run_alone(EmbedderSettings, build))
