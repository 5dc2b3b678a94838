"""Run the ingestor alone: `python -m spanstream.ingestor`."""

from __future__ import annotations

import sys

from spanstream.ingestor.service import build
from spanstream.ingestor.settings import IngestorSettings
from spanstream.runtime import admin, logs, tracing
from spanstream.runtime.http import PortInUse
from spanstream.runtime.service import run
from spanstream.runtime.settings import AdminSettings, SettingsError


def main() -> int:
    """Read the settings, build, run; the exit code."""
    try:
        settings, admin_settings = IngestorSettings.read(), AdminSettings.read()
        logs.configure(settings.log_level)
        tracing.configure("ingestor")
        ingestor = build(settings)
        return run([ingestor, admin.build(admin_settings, [ingestor], [settings])])
    except (SettingsError, PortInUse, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
