"""Both published descriptions against what the services do: requests that fit and that do not, made up from the schemas.

No answer is a 500, none has a status, a media type or a body that the description does not name, and no credential but
the right one is taken.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from spanstream.runtime.key_file import create_key
from tests.unit.gateway.corpus import BIRD, FISH, TREE, Corpus
from tests.unit.gateway.test_api import Api as Gateway
from tests.unit.ingestor.test_api import Api as Ingestor

CHECKS = settings(
    max_examples=10,
    phases=[Phase.generate, Phase.shrink],
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)

# Without words found in whatever modules happen to be loaded.
SAME_EACH_TIME = schemathesis.Config.from_dict({"analysis": {"constants": {"enabled": False}}})

# What a description cannot say: that 1.0 is no integer here, what one field asks of another, that each part of a batch is
# answered by itself. And what violates it may be lost on the wire, such as a parameter of an empty list.
UNSAID = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(autouse=True)
def deep() -> Iterator[None]:
    """A question holds questions: what is made up from its schema goes deeper than Python's limit now and then."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10 * limit)
    yield
    sys.setrecursionlimit(limit)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Any]:
    corpus = Corpus(tmp_path / "store")
    corpus.put(FISH, BIRD, TREE)
    yield Gateway(corpus, tmp_path / "keys.json").client.app
    corpus.store.close()


@pytest.fixture
def ingestor(tmp_path: Path) -> Any:
    return Ingestor(tmp_path / "blobs", keys=tmp_path / "keys.json").app


@schemathesis.serializer("application/x-ndjson")
def one_line(_context: Any, value: Any) -> bytes:
    """A batch of one line."""
    return json.dumps(value).encode()


def impatient(part: Any) -> Any:
    """The same, without the seconds that a request would have the service wait."""
    if isinstance(part, dict):
        waits = dict.fromkeys(part.keys() & {"wait", "after_wait"}, 0) | ({"after_wait": 0} if "after" in part else {})
        return {name: impatient(value) for name, value in part.items()} | waits
    return [impatient(item) for item in part] if isinstance(part, list) else part


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("service", ["gateway", "ingestor"])
def test_a_service_answers_as_it_is_described(
    service: str, mode: GenerationMode, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    key = create_key(tmp_path / "keys.json", "k1", "acme")
    schema = schemathesis.openapi.from_asgi("/openapi.json", request.getfixturevalue(service), config=SAME_EACH_TIME)
    for found in schema.get_all_operations():
        holds(found.ok(), mode, {"Authorization": f"Bearer {key}"})


def holds(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    """Whatever is asked of this operation, its answer is as described."""

    @CHECKS
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        case.query, case.body = impatient(case.query), impatient(case.body)
        case.call_and_validate(headers=headers, excluded_checks=UNSAID)

    answers()
