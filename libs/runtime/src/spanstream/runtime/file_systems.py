"""File systems that are no disk of this machine, through fsspec."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Raises OSError for what the client of an object store raises that is its own kind: s3fs, say, botocore's errors where
    nobody listens. It has their name alone, as their words may hold an address with its key.
    """
    try:
        yield
    except Exception as error:
        owner = type(error).__module__.partition(".")[0]
        if owner == "spanstream" or owner in sys.stdlib_module_names:
            raise
        raise OSError(errno.EIO, type(error).__name__, "the object store") from error
