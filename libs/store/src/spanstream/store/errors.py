"""Errors of the store: each branch says what the caller should do."""

from __future__ import annotations


class StoreError(Exception):
    """Base of this library's errors."""


class StoreUnavailable(StoreError):
    """The store is down, slow, full or did not confirm a write: the outcome is unknown, do the same again later."""


class StoreRejected(StoreError):
    """The store refuses this very request (400, 409, 422): trying again is useless, reject the record."""


class OtherIndex(StoreRejected):
    """Another generation is live here, and holds documents: a person must say what becomes of it; the message says how."""


class TooLarge(StoreRejected):
    """The answer would take more than a request may; the message says how to ask for less."""


class StoreCorrupt(StoreError):
    """The data folder cannot be read: a person must act; the message says how."""
