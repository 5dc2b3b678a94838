"""How many replicas the encoder on Ray Serve should have. Pure: Serve gives the figures, and applies delays and bounds."""

from __future__ import annotations

from typing import Any

TOKENS = "ongoing_tokens"  # as replicas report it
IMPORT_PATH = f"{__name__}:Scaling"


class Scaling:
    """Serve's autoscaling policy by ongoing tokens, and by ongoing requests, whichever asks for more replicas.

    Tokens are the work; requests are what bounds the room (a replica full of queries holds few tokens).
    """

    def __init__(self, target_tokens: int, target_requests: float) -> None:
        """Per replica."""
        self._target_tokens = target_tokens
        self._target_requests = target_requests

    def __call__(self, context: Any) -> tuple[float, dict[str, Any]]:
        """Replicas, a fraction, and the state to keep: none. `context` is Serve's AutoscalingContext."""
        tokens = sum((context.aggregated_metrics or {}).get(TOKENS, {}).values())
        return max(tokens / self._target_tokens, context.total_num_requests / self._target_requests), {}
