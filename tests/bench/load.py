"""A client process that publishes at a steady rate: `python -m tests.bench.load SOURCE RATE SECONDS SEED`."""

from __future__ import annotations

import json
import sys
import time

from spanstream.client import Client, SpanstreamError
from tests.bench import corpus

TICK = 0.1  # seconds between two requests


def publish(source: str, rate: float, seconds: float, seed: int) -> dict[str, float]:
    """Publish `rate` documents/s, a request every TICK, on a fixed schedule; says what was accepted and refused.

    Prints a line when it begins; documents are made before that.
    """
    records = list(corpus.documents(int(rate * seconds), seed=seed))
    accepted = refused = sent = 0
    latest = 0.0
    with Client() as client:
        print("begun", flush=True)
        begun = time.perf_counter()
        while sent < len(records):
            due = min(int((time.perf_counter() - begun + TICK) * rate), len(records))
            if due > sent:
                batch, sent = records[sent:due], due
                asked = time.perf_counter()
                try:
                    report = client.ingest(source, batch, wait=False)
                    accepted += report.counts.accepted
                    refused += report.counts.failed
                except SpanstreamError:
                    refused += len(batch)
                latest = max(latest, time.perf_counter() - asked)
            time.sleep(max(0.0, sent / rate - (time.perf_counter() - begun)))
        taken = time.perf_counter() - begun
    return {
        "wanted_per_second": rate,
        "accepted_per_second": accepted / taken,
        "accepted": accepted,
        "refused": refused,
        "longest_request_ms": 1000 * latest,
    }


if __name__ == "__main__":
    name, wanted, duration, number = sys.argv[1:]
    print(json.dumps(publish(name, float(wanted), float(duration), int(number))))
