"""The model's errors as problems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spanstream.embedder.admission import RETRY_AFTER
from spanstream.encoder.errors import EncoderRejected, EncoderUnavailable, InvalidVectors
from spanstream.runtime.problems import Problem


@contextmanager
def translated() -> Iterator[None]:
    """What the block raises of the encoder's."""
    try:
        yield
    except EncoderRejected as error:
        raise Problem(400, str(error)) from error
    except InvalidVectors as error:  # this text's doing (overflow, say): the same again would answer the same
        raise Problem(422, str(error)) from error
    except EncoderUnavailable as error:
        raise Problem(503, str(error), retry_after=RETRY_AFTER) from error
