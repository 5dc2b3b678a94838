"""P9's other peer: the script that a typical user writes, one passage after the other."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence

from spanstream.events.v1.passage_pb2 import PassageEvent
from spanstream.representations.model import find


class Script:
    """sentence-transformers in fp32, and qdrant-client's local mode in a folder; both with their defaults."""

    def __init__(self) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(find("minilm")), device="cpu")

    def rate(self, records: Sequence[Mapping[str, str]], events: Sequence[PassageEvent]) -> float:
        """Documents/s of encoding and storing every passage of `events`, the cut `records`."""
        from qdrant_client import QdrantClient, models

        with tempfile.TemporaryDirectory(prefix="spanstream-script-") as folder:
            client = QdrantClient(path=folder)
            size = models.VectorParams(size=384, distance=models.Distance.COSINE)
            client.create_collection("passages", vectors_config=size)
            begun = time.perf_counter()
            for event in events:
                for passage in event.passages:
                    text = event.text[passage.start - event.text_offset : passage.end - event.text_offset]
                    vector = self._model.encode(text, show_progress_bar=False).tolist()
                    payload = {"id": event.id, "title": event.title, "text": text}
                    point = models.PointStruct(id=str(uuid.uuid4()), vector=vector, payload=payload)
                    client.upsert("passages", [point])
            seconds = time.perf_counter() - begun
            client.close()
        return len(records) / seconds
