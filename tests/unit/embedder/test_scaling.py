from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from spanstream.embedder.scaling import TOKENS, Scaling


def context(requests: float, *tokens: float) -> Any:
    """What Serve tells of a deployment, as far as the policy reads it."""
    by_replica = {f"replica-{number}": value for number, value in enumerate(tokens)}
    return SimpleNamespace(total_num_requests=requests, aggregated_metrics={TOKENS: by_replica})


@pytest.mark.parametrize(
    ("requests", "tokens", "expected"),
    [
        (0.0, (0.0, 0.0), 0.0),
        (2.0, (1000.0, 2000.0), 3.0),  # few requests, much work
        (12.0, (10.0, 10.0), 3.0),  # many requests, little work
        (4.0, (500.0,), 1.0),
    ],
)
def test_tokens_or_requests_decide_whichever_asks_for_more(
    requests: float, tokens: tuple[float, ...], expected: float
) -> None:
    assert Scaling(target_tokens=1000, target_requests=4)(context(requests, *tokens)) == (expected, {})


def test_without_reports_the_requests_decide() -> None:
    nothing = SimpleNamespace(total_num_requests=8.0, aggregated_metrics=None)
    assert Scaling(target_tokens=1000, target_requests=4)(nothing) == (2.0, {})
