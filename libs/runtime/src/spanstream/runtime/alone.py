"""A service in a process of its own: what every `__main__` does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from spanstream.runtime import admin, logs, tracing
from spanstream.runtime.http import PortInUse
from spanstream.runtime.service import STOP_SECONDS, Service, run
from spanstream.runtime.settings import AdminSettings, Settings, SettingsError

S = TypeVar("S", bound=Settings)


def run_alone(
    kind: type[S],
    build: Callable[[S], Service],
    *refusals: type[Exception],
    stop_seconds: Callable[[S], float] = lambda settings: STOP_SECONDS,
) -> int:
    """Read the settings, build, run beside the admin port; the exit code.

    What is wrong with the settings, or one of `refusals` while building, is one line and exit code 2.
    """
    shown: tuple[type[Exception], ...] = (SettingsError, PortInUse, ValueError, *refusals)
    try:
        settings, admin_settings = kind.read(), AdminSettings.read()
        logs.configure(settings.log_level)
        service = build(settings)
        tracing.configure(service.name, tracing.exporting(settings.traces_url), settings.traces_share)
        services = [service, admin.build(admin_settings, [service], [settings])]
        return run(services, stop_seconds=stop_seconds(settings))
    except shown as error:
        print(error, file=sys.stderr)
        return 2
