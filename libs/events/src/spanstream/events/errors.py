"""Errors of the events library."""

from __future__ import annotations

from spanstream.events.v1.failure_pb2 import Reason


class EventError(Exception):
    """Base of this library's errors."""


class InvalidKey(EventError, ValueError):
    """A tenant, source or document id outside the limits: refuse the request."""


class Undecodable(EventError):
    """A record that is not the event its topic promises: reject it with `reason`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
