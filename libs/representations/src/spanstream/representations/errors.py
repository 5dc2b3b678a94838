"""Errors of the representations: all are found at load."""

from __future__ import annotations


class RepresentationError(Exception):
    """Base of this library's errors."""


class ModelNotFound(RepresentationError):
    """No such folder, package or model name: correct the setting, or connect once to download it."""


class ModelUnsupported(RepresentationError):
    """The folder is readable, but asks for something this library does not do: choose another model."""


class ReleaseInvalid(RepresentationError):
    """A release file with an unknown key or a wrong value, or that does not fit its model: correct the file."""
