"""Move the index of services in processes of their own: `python -m spanstream.standalone.migration`. Ends once that is over."""

from __future__ import annotations

import sys
import threading

from spanstream.client import config
from spanstream.runtime import admin, logs, tracing
from spanstream.runtime.http import PortInUse
from spanstream.runtime.service import run
from spanstream.runtime.settings import AdminSettings, SettingsError
from spanstream.standalone.migration.service import NAME, build
from spanstream.standalone.migration.settings import MigrationSettings


def main() -> int:
    """The exit code: 0 once the migration is over, or at a signal."""
    try:
        settings, admin_settings = MigrationSettings.read(), AdminSettings.read()
        logs.configure(settings.log_level)
        ended = threading.Event()
        services = build(settings, config.data_folder(), ended)
        tracing.configure(NAME, tracing.exporting(settings.traces_url), settings.traces_share)
        return run([*services, admin.build(admin_settings, services, [settings])], stop=ended)
    except (SettingsError, PortInUse, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
