"""Run the gateway alone: `python -m spanstream.gateway`."""

from __future__ import annotations

import sys

from spanstream.gateway.service import build
from spanstream.gateway.settings import GatewaySettings
from spanstream.runtime.alone import run_alone
from spanstream.store.errors import StoreUnavailable

if __name__ == "__main__":
    sys.exit(run_alone(GatewaySettings, build, StoreUnavailable))
