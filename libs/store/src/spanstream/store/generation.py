"""What must be equal for two vectors to be compared: the encoder release, the segmenter and the lexical analysis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from spanstream.store.compression import Compression
from spanstream.store.errors import OtherIndex, StoreRejected
from spanstream.store.lexical import LEXICAL_VERSION
from spanstream.store.store import Store


@dataclass(frozen=True, slots=True)
class Generation:
    """One build of the index. Indexer and gateway derive the same one from the encoder's `info()` and the setting SPANS."""

    release: str  # of the encoder, its transforms included
    dimension: int  # components of a dense vector
    segmenter: str  # how texts are cut: events.segmenter

    @property
    def name(self) -> str:
        """Names the collections: lower case letters, digits, '.', '_' and '-'."""
        parts = (self.release, str(self.dimension), self.segmenter, LEXICAL_VERSION)
        return "-".join(re.sub(r"[^a-z0-9._]+", "-", part.lower()).strip("-") for part in parts)


class Info(Protocol):
    """What an encoder's `info()` says of its vectors, as far as an index asks."""

    @property
    def release(self) -> str:
        """Whose vectors they are."""
        ...

    @property
    def dimension(self) -> int:
        """Components of a dense vector."""
        ...

    @property
    def precision(self) -> str:
        """A Compression's name."""
        ...


def named(info: Info, segmenter: str) -> Generation:
    """The one that this encoder and a segmenter make."""
    return Generation(info.release, info.dimension, segmenter)


def opened(store: Store, info: Info, segmenter: str, override: Compression | None, replaces: str = "") -> Generation:
    """Open the store's generation for this encoder and a segmenter, `refuse`d where it would take another one's place.

    It is compressed as `override` says, or without one as the encoder's release does. That is no part of the generation:
    the vectors are the same. Raises StoreUnavailable, or StoreRejected for a precision that is not known.
    """
    generation = named(info, segmenter)
    refuse(store, generation, replaces)
    store.open(generation.name, generation.dimension, _compression(info.precision) if override is None else override)
    return generation


def refuse(store: Store, generation: Generation, replaces: str = "") -> None:
    """Raise OtherIndex where `open` would take the place of another one that holds documents, unless that is `replaces`."""
    held = store.replaced(generation.name)
    if held is not None and held.name != replaces:
        raise OtherIndex(
            f"the index holds {held.documents:,} documents in generation {held.name}, and this start would show another one"
            f" without them, {generation.name}: the encoder's release, SPANS or the version is not what it was made with\n"
            "Start with what it was made with. Then `spanstream migrate plan RELEASE` and `spanstream migrate apply RELEASE`"
            " move it to another release while it answers (docs/migration.md). To show the other generation all the same, and"
            f" ingest everything again: INDEXER_REPLACES_GENERATION={held.name}; the old one is kept, and answers nothing"
        )


def _compression(precision: str) -> Compression:
    try:
        return Compression(precision)
    except ValueError as error:
        raise StoreRejected(
            f"the encoder's release has precision {precision!r}; this version knows {', '.join(Compression)}: "
            "update it, or set STORE_COMPRESSION to one of these"
        ) from error
