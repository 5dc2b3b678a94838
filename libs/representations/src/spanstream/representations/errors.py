"""Errors of the representations: of models, fitted files and the cache, all found at load, and of fitting."""

from __future__ import annotations

from reprlib import Repr

_SHORT = Repr()
_SHORT.maxlevel = 2


class RepresentationError(Exception):
    """Base of this library's errors."""


class ModelNotFound(RepresentationError):
    """No such folder, package or model name: correct the setting, or connect once to download it."""


class ModelUnsupported(RepresentationError):
    """The folder is readable, but asks for something this library does not do: choose another model."""


class ReleaseInvalid(RepresentationError):
    """A release file with an unknown key or a wrong value, or that does not fit its model: correct the file."""


class CacheUnusable(RepresentationError):
    """The folder of the cache cannot be written, or holds something else: correct the setting."""


class TransformInvalid(RepresentationError):
    """Stages, a sample or a file that cannot be used as they are: correct what the message names."""


class TransformMismatch(RepresentationError):
    """Fitted for another model, dimension or release file: name the right file, or fit again."""


def shown(value: object) -> str:
    """A value for a message: aliases of a few lines of YAML are gigabytes when they are written out."""
    return _SHORT.repr(value)
