"""Run the embedder worker alone: `python -m spanstream.embedder`."""

from __future__ import annotations

import sys

from spanstream.embedder.service import build
from spanstream.embedder.settings import EmbedderSettings
from spanstream.runtime import admin, logs, tracing
from spanstream.runtime.http import PortInUse
from spanstream.runtime.service import run
from spanstream.runtime.settings import AdminSettings, SettingsError


def main() -> int:
    """Read the settings, build, run; the exit code."""
    try:
        settings, admin_settings = EmbedderSettings.read(), AdminSettings.read()
        logs.configure(settings.log_level)
        tracing.configure("embedder")
        embedder = build(settings)
        return run([embedder, admin.build(admin_settings, [embedder], [settings])])
    except (SettingsError, PortInUse, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
