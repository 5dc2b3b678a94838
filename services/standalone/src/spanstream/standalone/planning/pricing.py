"""Cost drivers times the prices of a file that the reader gives: no price is known here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spanstream.standalone.planning.workload import Unplannable

DRIVERS = ("core", "memory_gib", "gpu", "store_node", "disk_gib")


@dataclass(frozen=True, slots=True)
class Prices:
    """What one of each driver costs in a month; what is absent is not priced."""

    currency: str
    month: Mapping[str, float]


def read(path: Path) -> Prices:
    """Of {"currency": "…", "month": {"core": 1.0, …}}. Raises Unplannable."""
    try:
        value = json.loads(path.read_text())
        currency, month = value["currency"], dict(value["month"])
    except OSError as error:
        raise Unplannable(f"{path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise Unplannable(f'{path}: it needs {{"currency": "…", "month": {{"core": …}}}}') from error
    if unknown := sorted(set(month) - set(DRIVERS)):
        raise Unplannable(f"{path}: {', '.join(unknown)} is none of {', '.join(DRIVERS)}")
    for name, price in month.items():
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < 1e12:
            raise Unplannable(f"{path}: the price of {name} must be a number, 0 or more")
    return Prices(str(currency), month)


def costs(drivers: Mapping[str, float], prices: Prices) -> dict[str, float]:
    """Driver -> its cost in a month, for those that have a price."""
    return {name: amount * prices.month[name] for name, amount in drivers.items() if name in prices.month}
