"""Run the indexer alone: `python -m spanstream.indexer`."""

from __future__ import annotations

import sys

from spanstream.indexer.service import build
from spanstream.indexer.settings import IndexerSettings
from spanstream.runtime import admin, logs, tracing
from spanstream.runtime.http import PortInUse
from spanstream.runtime.service import run
from spanstream.runtime.settings import AdminSettings, SettingsError


def main() -> int:
    """Read the settings, build, run; the exit code."""
    try:
        settings, admin_settings = IndexerSettings.read(), AdminSettings.read()
        logs.configure(settings.log_level)
        tracing.configure("indexer")
        indexer = build(settings)
        return run([indexer, admin.build(admin_settings, [indexer], [settings])])
    except (SettingsError, PortInUse, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
