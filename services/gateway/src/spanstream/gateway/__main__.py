"""Run the gateway alone: `python -m spanstream.gateway`."""

from __future__ import annotations

import sys

from spanstream.gateway.service import build
from spanstream.gateway.settings import GatewaySettings
from spanstream.runtime import admin, logs, tracing
from spanstream.runtime.http import PortInUse
from spanstream.runtime.service import run
from spanstream.runtime.settings import AdminSettings, SettingsError


def main() -> int:
    """Read the settings, build, run; the exit code."""
    try:
        settings, admin_settings = GatewaySettings.read(), AdminSettings.read()
        logs.configure(settings.log_level)
        tracing.configure("gateway")
        gateway = build(settings)
        return run([gateway, admin.build(admin_settings, [gateway], [settings])])
    except (SettingsError, PortInUse, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
