"""What is on record of an index's encoder and of a migration: `migration.json` in a data folder, or, of services in processes
of their own, a note in the store they share. Replaced whole at every step.

Which generation is live the store says alone. A crash between its word and the record's is thus no contradiction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from spanstream.standalone.trouble import Trouble
from spanstream.store.folder import write_atomically
from spanstream.store.switching import Move, Switching

FILE = "migration.json"


class Stage(StrEnum):
    """What is to become of the new generation."""

    FILLING = "filling"  # it takes over once it is complete and good enough
    REFUSED = "refused"  # it was not good enough; it is kept current, and waits for a person
    SWITCHED = "switched"  # it took over; the old one is kept current
    ROLLED_BACK = "rolled back"  # the old one took over again; the new one is kept current
    RETIRED = "retired"  # at the next start the old one goes
    CANCELLED = "cancelled"  # the new one goes


@dataclass(frozen=True, slots=True)
class Migration:
    """`encoder`: where the new release is, as `migrate apply` was told. `group`: of the consumer that fills it.

    `rate`: documents a second, 0: unbounded. `overlap`, `success_drop`: what it has to reach, see `shadow.Verdict`.
    `bridge`: the file with the map from the old release's vectors to the new one's, over which the new release asks the old
    generation meanwhile. `over_bridge`: a `shadow.Verdict` on that. `report`: of the last comparison. `settings`: what those of the
    process that began it said of the bounds, which a person may have changed since.
    """

    encoder: str
    release: str
    generation: str
    old_release: str
    old_generation: str
    group: str
    rate: float = 0.0
    overlap: float = 0.2
    success_drop: float = 0.05
    bridge: str | None = None
    over_bridge: Mapping[str, Any] | None = None
    stage: Stage = Stage.FILLING
    report: Mapping[str, Any] | None = None
    settings: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """`encoder`: of the generation that the services fill, None: as the settings say. `generation`: its name, where it was
    moved to.
    """

    encoder: str | None = None
    migration: Migration | None = None
    generation: str | None = None

    @property
    def filled(self) -> str | None:
        """The generation that the services fill, as far as is known here."""
        return self.migration.old_generation if self.migration else self.generation


class Records(Protocol):
    """Where it is kept. Raises what that does."""

    def check(self) -> None:
        """Raise what says that it is another process's by now."""
        ...

    def read(self) -> Recorded:
        """What there is."""
        ...

    def write(self, recorded: Recorded) -> None:
        """In place of it, durably."""
        ...


class InFolder:
    """See `read` and `write`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """A data folder is of one process."""

    def read(self) -> Recorded:
        """Raises Trouble."""
        return read(self._folder)

    def write(self, recorded: Recorded) -> None:
        """Durably."""
        write(self._folder, recorded)


class InStore:
    """A migration alone: which encoder the services have, their settings say."""

    def __init__(self, switching: Switching) -> None:
        self._switching = switching

    def check(self) -> None:
        """Raises Superseded."""
        self._switching.check()

    def read(self) -> Recorded:
        """Raises what the store does."""
        told = self._switching.read()
        return Recorded() if told is None else Recorded(migration=_migration(told))

    def write(self, recorded: Recorded) -> None:
        """The indexers read of it which generation they still fill."""
        of = recorded.migration
        if of is None:
            self._switching.write(None, None)
        else:
            ended = of.stage is Stage.RETIRED
            self._switching.write(asdict(of), Move(of.old_generation, of.generation, ended))


def _migration(told: Mapping[str, Any]) -> Migration:
    known = {each.name: told[each.name] for each in fields(Migration) if each.name in told}  # a newer one may say more
    return Migration(**{**known, "stage": Stage(told["stage"])})


def read(folder: Path) -> Recorded:
    """Raises Trouble for a damaged file: to start with another encoder than the index has would be worse."""
    try:
        found = json.loads((folder / FILE).read_text())
        told = found["migration"]
        return Recorded(found["encoder"], None if told is None else _migration(told), found.get("generation"))
    except FileNotFoundError:
        return Recorded()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Trouble(
            f"{folder / FILE} cannot be read ({type(error).__name__}): it says which encoder the index was made with.",
            "Restore it from a backup of the data folder.",
        ) from error


def write(folder: Path, recorded: Recorded) -> None:
    """Durably."""
    write_atomically(folder / FILE, json.dumps(asdict(recorded), indent=1))


def refuse_backup(recorded: Recorded) -> None:
    """Raise MigrationRefused while what is live is not what the services fill: from their positions it could not catch up."""
    migration = recorded.migration
    if migration is not None and migration.stage in (Stage.SWITCHED, Stage.RETIRED):
        raise MigrationRefused(
            f"the index is between two generations: {migration.release} is live, and {migration.old_release} is what the"
            " services fill. Retire or roll back first"
        )


def refuse_restore(recorded: Recorded) -> None:
    """Raise MigrationRefused while the next start would remove an index that a backup brings back."""
    migration = recorded.migration
    if migration is not None and migration.stage is Stage.RETIRED:
        raise MigrationRefused(
            f"{migration.old_release} is retired, and the next start removes its index: start Spanstream once, which ends"
            " that, stop it, and restore a backup that was taken since"
        )


class MigrationRefused(Exception):
    """This is not done, and nothing was changed; the message says why, and what can be."""


@contextmanager
def usable(encoder: str) -> Iterator[None]:
    """Inside, what a model breaks off with (no memory left, an operation that there is not) raises MigrationRefused: one that
    is only tried must not end what is live.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise MigrationRefused(f"{encoder} cannot be used here: {str(error) or type(error).__name__}") from error
