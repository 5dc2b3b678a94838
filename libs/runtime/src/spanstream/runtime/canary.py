"""A good document, for trying out whether anything can be done at all."""

from __future__ import annotations

from spanstream.events.v1.document_pb2 import OPERATION_UPSERT
from spanstream.events.v1.passage_pb2 import Passage, PassageEvent


def passages() -> PassageEvent:
    """Of one passage, which is one sentence."""
    return PassageEvent(
        tenant="canary",
        source="canary",
        id="canary",
        version=1,
        operation=OPERATION_UPSERT,
        content_hash=bytes(32),
        text="The canary sings.",
        passages=[Passage(ordinal=0, start=0, end=17, spans=[0, 17])],
        passage_count=1,
        segmenter="canary",
    )
