"""Apache Kafka's jars: resolved once over the network, then found again through a list in the data folder."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# slf4j-simple writes the broker's warnings to its standard error, which becomes broker.log.
COORDINATES = "org.apache.kafka:kafka_2.13:4.3.0+org.slf4j:slf4j-simple:2.0.17"
MEGABYTES = 45  # to download

Resolve = Callable[[str], Sequence[Path]]


class JarsUnavailable(Exception):
    """The jars are not on this machine and could not be downloaded."""


def resolve(coordinates: str) -> list[Path]:
    """The jars of Maven coordinates with all they depend on, downloaded where the local Maven cache lacks them."""
    import jgo  # only now: it is needed once per machine, and a second start must not need it

    try:
        with _one_at_a_time():
            return [Path(jar) for jar in jgo.build(coordinates).all_jars]
    except (OSError, RuntimeError, ValueError) as error:
        raise JarsUnavailable(str(error)) from error


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """jgo fails where another process of this user is just downloading the same jar."""
    with open(Path(tempfile.gettempdir()) / f"spanstream-jars-{os.getuid()}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def class_path(listing: Path, progress: Callable[[str], None], resolver: Resolve = resolve) -> list[Path]:
    """The class path that `listing` holds; resolved and written there if it is missing, outdated or a jar has gone."""
    heading, *lines = (listing.read_text().splitlines() if listing.exists() else []) or [""]  # empty: a start was cut
    known = [Path(line) for line in lines]
    if heading == COORDINATES and known and all(jar.is_file() for jar in known):
        return known
    progress(f"Getting Apache Kafka (about {MEGABYTES} MB, if this machine has it not yet; a minute or two) ...")
    jars = list(resolver(COORDINATES))
    new = listing.with_name(f"{listing.name}.new")
    new.write_text("\n".join([COORDINATES, *map(str, jars)]) + "\n")
    new.replace(listing)  # a list that ends early would be a class path that lacks jars
    return jars
