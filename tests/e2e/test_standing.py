"""Standing queries on a real Kafka, the real index engine and the real model: told once per version, over a kill."""

from __future__ import annotations

import queue
import signal
import threading
import time
from pathlib import Path

from spanstream.client import Client, Document, Match, SpanstreamError
from tests.fixtures.product import Product

PIER = "The ferry to the island leaves from pier seven."
SECONDS = 60.0


def follow(client: Client, position: str | None = None) -> queue.Queue[Match]:
    """What the stream tells, from a thread of its own."""
    found: queue.Queue[Match] = queue.Queue()

    def run() -> None:
        try:
            for match in client.matches(position=position):
                found.put(match)
        except (SpanstreamError, RuntimeError):  # the server was stopped, or the client closed
            pass

    threading.Thread(target=run, daemon=True).start()
    return found


def test_a_standing_query_is_told_of_each_new_version_once_over_a_kill(tmp_path: Path) -> None:
    with Product.start(tmp_path, "--no-samples") as first:
        first.wait_ready()
        with first.client() as client, first.client() as follower:
            saved = client.standing_queries.save("ferries", "boats to the islands", threshold=0.4)
            assert saved.active
            assert [query.id for query in client.standing_queries.all()] == ["ferries"]
            told = follow(follower)
            first.wait_for_metric("ingestor_match_streams")
            time.sleep(1.1)  # a saved query takes effect within a second
            for document in (Document("pier", PIER), Document("bread", "Yeast makes the dough rise.")):
                client.wait_searchable([client.put("harbour", document)])
            match = told.get(timeout=SECONDS)
            assert (match.query, match.source, match.id) == ("ferries", "harbour", "pier")
            assert match.span.text == PIER
            assert 0.4 <= match.score <= 1
            client.wait_searchable([client.put("harbour", Document("pier", PIER))])  # unchanged: not told again
            client.wait_searchable([client.put("harbour", Document("boat", "A boat goes to the islands every hour."))])
            last = told.get(timeout=SECONDS)
            assert last.id == "boat"
            assert first.stop(signal.SIGKILL) != 0
    with Product.start(tmp_path, "--no-samples") as second:
        second.wait_ready()
        with second.client() as client, second.client() as follower:
            assert client.standing_queries.get("ferries").revision == saved.revision
            told = follow(follower, last.position)
            client.wait_searchable([client.put("harbour", Document("pier", PIER + " It is never late."))])
            newer = told.get(timeout=SECONDS)
            while newer.match_id in (
                match.match_id,
                last.match_id,
            ):  # the kill was before the commit: the same again, by the same id
                newer = told.get(timeout=SECONDS)
            assert (newer.id, newer.version > match.version) == ("pier", True)
            assert told.empty()
            client.standing_queries.delete("ferries")
            assert client.standing_queries.all() == []
            assert second.stop() == 0, second.terminal  # with a stream that is open
