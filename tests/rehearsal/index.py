"""What lies in the index once nothing writes to it: for the checker of tests/chaos."""

from __future__ import annotations

from collections.abc import Iterable

from spanstream.encoder.encoder import EncoderInfo
from spanstream.events.ids import Key
from spanstream.events.segmenter import segmenter
from spanstream.store.generation import opened
from spanstream.store.opening import open_store
from spanstream.store.points import State
from tests.chaos.history import Head, Look, Stored


def look(url: str, api_key: str, info: EncoderInfo, keys: Iterable[Key], at: int) -> Look:
    """Heads of these keys, and all passages that they name."""
    store = open_store(url, api_key)
    try:
        opened(store, info, segmenter("sentences"), None)
        heads = store.heads(list(keys))
        live = [head for head in heads.values() if head.state is State.LIVE]
        passages = [passage for head in live for passage in store.passages(head)]
    finally:
        store.close()
    return Look(
        at,
        {
            key: Head(one.order, one.state.value, one.content_hash, one.body_version, one.passage_count)
            for key, one in heads.items()
        },
        [Stored(one.id, one.key, one.version, one.content_hash, one.ordinal) for one in passages],
    )
