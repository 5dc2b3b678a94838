"""When a document expires, as callers write it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from spanstream.events.ids import MAX_VERSION

MAX_CHARACTERS = 40


def microseconds(moment: str) -> int:
    """Since 1970, of an ISO 8601 moment with its time zone. Raises ValueError."""
    try:
        time = datetime.fromisoformat(moment)
    except ValueError:
        raise ValueError("must be a moment such as 2030-01-31T00:00:00Z") from None
    if time.tzinfo is None:
        raise ValueError("must name its time zone, such as 2030-01-31T00:00:00Z")
    found = round(time.timestamp() * 1e6)
    if not 0 < found <= MAX_VERSION:
        raise ValueError("must be between 1970 and 2255")
    return found


def _checked(moment: str) -> str:
    microseconds(moment)
    return moment


# Also one that is over: whoever sends an old event again sends it so.
Moment = Annotated[
    str,
    AfterValidator(_checked),
    Field(
        max_length=MAX_CHARACTERS,
        description="from when on it is deleted, with a time zone; none: never, unless its source has a retention",
        examples=["2030-01-31T00:00:00Z"],
    ),
]
