"""Errors of the encoder: each branch says what the caller should do."""

from __future__ import annotations


class EncoderError(Exception):
    """Base of this library's errors."""


class EncoderUnavailable(EncoderError):
    """No answer, an overload or a server error: try again later, after `after` seconds if it said when."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class EncoderFailed(EncoderUnavailable):
    """A server error: perhaps an outage, perhaps this request's doing. Only whether it answers others tells."""


class EncoderRejected(EncoderError):
    """The encoder refuses this request (too large, malformed): trying again is useless."""


class InvalidVectors(EncoderError):
    """The answer has NaN, a zero vector, or the wrong size, count or order: never store it."""
