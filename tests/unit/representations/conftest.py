from __future__ import annotations

from collections.abc import Iterator

import pytest

from spanstream.representations.local import LocalEncoder
from spanstream.representations.model import Model, load


@pytest.fixture(scope="session")
def minilm() -> Model:
    """The packaged model in float32."""
    return load("minilm")


@pytest.fixture(scope="session")
def encoder(minilm: Model) -> Iterator[LocalEncoder]:
    local = LocalEncoder(minilm)
    yield local
    local.close()
