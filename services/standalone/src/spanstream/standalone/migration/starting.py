"""What a composition has to know of migrations: which encoder the services fill the index with, and how a release is opened."""

from __future__ import annotations

from collections.abc import Callable

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.opening import open_encoder
from spanstream.standalone.migration.record import MigrationRefused, Recorded, Stage, usable

_ADDRESSES = ("hash:", "http://", "https://")


def is_address(encoder: str) -> bool:
    """Whether it answers elsewhere; else it is a model or a release, to be loaded here."""
    return encoder.startswith(_ADDRESSES)


def filled_with(recorded: Recorded) -> str | None:
    """The encoder that the services fill the index with from this start on; None: as they are told."""
    migration = recorded.migration
    return migration.encoder if migration and migration.stage is Stage.RETIRED else recorded.encoder


def opener(load: Callable[[str], Encoder]) -> Callable[[str], Encoder]:
    """Opens an address, or loads a model or a release; raises MigrationRefused where there is none, or no room for it."""

    def opened(encoder: str) -> Encoder:
        from spanstream.representations.errors import RepresentationError

        try:
            with usable(encoder):
                return open_encoder(encoder) if is_address(encoder) else load(encoder)
        except (RepresentationError, OSError, ValueError) as error:
            raise MigrationRefused(f"{encoder} cannot be opened: {error}") from error

    return opened
