"""Errors of the event log: each branch says what the caller should do."""

from __future__ import annotations


class EventLogError(Exception):
    """Base of this library's errors."""


class Retry(EventLogError):
    """The world is wrong for now (a dependency is down, slow or full): try the same records again after `after` seconds."""

    def __init__(self, after: float, reason: str) -> None:
        super().__init__(reason)
        self.after = after


class TooLarge(EventLogError):
    """A message over its topic's limit, found before anything was sent: refuse it."""


class LogUnavailable(EventLogError):
    """The log did not acknowledge in time: the outcome is unknown; answer 503, or try again."""


class Fatal(EventLogError):
    """The client can no longer be used (fenced, not authorised, position gone): the process must end."""


class PositionGone(Fatal):
    """The log no longer holds the record that the group has to read next. To go on would skip records without a word, so
    a person decides where the group goes on.
    """


class DeadLetterLimitExceeded(Fatal):
    """Too many records rejected in a row or in a window: a bad deploy, not bad records. Nothing catches this."""
