"""The new release's questions asked of the old vectors, while the new generation is being filled (decision 0030).

Nothing is written for it, and an answer comes from the old generation alone: only the questions are read by another encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spanstream.encoder.encoder import Encoded, Encoder, EncoderInfo, Text
from spanstream.standalone.migration.record import MigrationRefused

if TYPE_CHECKING:
    from spanstream.representations.bridge import Bridge


class Bridged:
    """An encoder whose vectors lie in the old release's space. It has neither's release: what is remembered of theirs is not its."""

    def __init__(self, encoder: Encoder, bridge: Bridge) -> None:
        """`encoder`: of the new release; it stays its owner's."""
        self._encoder, self._bridge = encoder, bridge

    def info(self) -> EncoderInfo:
        """See the port."""
        release = f"{self._bridge.target}-over-{self._bridge.source}"
        return replace(self._encoder.info(), release=release, dimension=len(self._bridge.weight))

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """See the port."""
        return [
            replace(each, whole=self._bridge.questions(each.whole[None])[0], ranges=self._bridge.questions(each.ranges))
            for each in self._encoder.encode(texts, query=query)
        ]

    def unready(self) -> list[str]:
        """See the port."""
        return self._encoder.unready()

    def close(self) -> None:
        """It has nothing of its own."""


def bridged(path: str, old: EncoderInfo, new: Encoder) -> Bridged:
    """Over the bridge in this file. Raises MigrationRefused where it is none, or is not from `old` to `new`."""
    from spanstream.representations.bridge import Bridge
    from spanstream.representations.errors import RepresentationError

    try:
        bridge = Bridge.load(Path(path))
    except (RepresentationError, OSError) as error:
        raise MigrationRefused(f"the bridge cannot be used: {error}") from error
    info = new.info()
    ends = (bridge.source, bridge.target, bridge.weight.shape)
    if ends != (old.release, info.release, (old.dimension, info.dimension)):
        raise MigrationRefused(
            f"the bridge {path} is from {bridge.source} to {bridge.target}, not from {old.release} to {info.release}:"
            " fit one with `spanstream encoder bridge`"
        )
    return Bridged(new, bridge)
