"""Places in a topic, as texts that callers give back. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

MAX_CHARACTERS = 8192  # 12 to 20 a partition

Positions = Mapping[int, int]  # partition -> offset that is read next


class UnknownPosition(ValueError):
    """Not a position that this API gave out."""


def encoded(positions: Positions) -> str:
    """For the caller to give back."""
    text = json.dumps(sorted(positions.items()), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decoded(position: str) -> dict[int, int]:
    """The inverse; raises UnknownPosition."""
    try:
        if len(position) > MAX_CHARACTERS:
            raise UnknownPosition("too long")
        found = dict(json.loads(base64.b64decode(position + "=" * (-len(position) % 4), altchars=b"-_", validate=True)))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise UnknownPosition("not a position of this stream") from error
    if not all(type(number) is int and 0 <= number < 2**63 for pair in found.items() for number in pair):
        raise UnknownPosition("not a position of this stream")
    return found
