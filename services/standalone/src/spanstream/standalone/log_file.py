"""JSON logs in a file beside the data, so that the terminal is for people."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from spanstream.runtime import logs

FILE_BYTES, FILES = 10 << 20, 5


def rotating(path: Path) -> RotatingFileHandler:
    """A handler for `path`; at 10 MB the file is set aside, four older ones are kept."""
    return RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8")


def configure(level: str, path: Path) -> None:
    """Send every log line to `path`."""
    logs.configure(level)
    root = logging.getLogger()
    (plain,) = root.handlers
    handler = rotating(path)
    handler.setFormatter(plain.formatter)
    root.handlers = [handler]
