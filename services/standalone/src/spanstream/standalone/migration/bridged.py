"""The new release's questions asked of the old vectors, while the new generation is being filled (decision 0030).

Nothing is written for it, and an answer comes from the old generation alone: only the questions are read by another encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanstream.encoder.encoder import Encoded, Encoder, EncoderInfo, Text
from spanstream.gateway.live import Shown
from spanstream.standalone.migration import shadow
from spanstream.standalone.migration.record import Migration, MigrationRefused, usable
from spanstream.standalone.migration.side import Surroundings

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


def over(around: Surroundings, path: str, own: Shown, new: Encoder) -> Shown:
    """The generation that the services fill as the new release asks it: its name is another one, for cursors. Raises
    MigrationRefused.
    """
    encoder = bridged(path, own.encoder.info(), new)
    return Shown(around.generation(encoder), own.store, encoder)


def measured(own: Shown, crossed: Shown, migration: Migration) -> dict[str, Any]:
    """What is lost over the bridge: a `shadow.Verdict`. Raises MigrationRefused where that is too much."""
    with usable(migration.release):
        verdict = shadow.ask(shadow.probes(own.store), own, crossed)
    if not verdict.good(migration.overlap, migration.success_drop):
        raise MigrationRefused(
            f"over the bridge {verdict.new_success:.0%} of {verdict.queries} sentences find their document,"
            f" {verdict.old_success:.0%} without, and {verdict.overlap:.0%} of the first ten are the same: too much is"
            " lost. Apply without --bridge; the old release answers meanwhile"
        )
    return asdict(verdict)
