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

INTERRUPTED = 3  # exit code: whoever starts it is to start it again


def main() -> int:
    """The exit code: 0 once the migration is over, and INTERRUPTED after a signal before that."""
    try:
        settings, admin_settings = MigrationSettings.read(), AdminSettings.read()
        logs.configure(settings.log_level)
        ended = threading.Event()
        services, over = build(settings, config.data_folder(), ended)
        tracing.configure(NAME, tracing.exporting(settings.traces_url), settings.traces_share)
        code = run([*services, admin.build(admin_settings, services, [settings])], stop=ended)
        return code or (0 if over() else INTERRUPTED)
    except (SettingsError, PortInUse, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
