"""`python -m tests.bench.peers.counted PORT`: Ray Serve's own batching by count over sentence-transformers' `encode()`.

One replica with all cores. It gets what Serve's documentation asks for: room for at least a whole batch
(`max_ongoing_requests`; its default of 5 would never fill one), and as many threads as cores (Ray follows `num_cpus`).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read at import

import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request

from spanstream.representations.model import find

CORES = os.cpu_count() or 1
BATCH = 32
WAIT_SECONDS = 0.01
QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)  # a replica does not take it from `serve.start`


@serve.deployment(max_ongoing_requests=2 * BATCH, ray_actor_options={"num_cpus": CORES}, logging_config=QUIET)
class Counted:
    """Batches of up to BATCH texts, or what has come within WAIT_SECONDS."""

    def __init__(self, model: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(model, device="cpu")

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT_SECONDS)
    async def encode(self, texts: list[str]) -> list[list[float]]:
        """A vector per text."""
        return self._model.encode(texts, show_progress_bar=False).tolist()

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        """Answer one request."""
        return {"vector": await self.encode((await request.json())["text"])}


def main() -> None:
    """Serve until SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="peer-ray-") as folder:  # its path must be short: sockets are below
        ray.init(
            address="local",
            num_cpus=CORES,
            include_dashboard=False,
            logging_level=logging.WARNING,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # after Ray's own
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=QUIET)
            serve.run(Counted.bind(str(find("minilm"))), route_prefix="/encode")
            while True:
                time.sleep(60)
        finally:
            serve.shutdown()
            ray.shutdown()


if __name__ == "__main__":
    main()
