"""A network of our own below 127.0.0.0/8: each pod and each Service has an address, so all keep their manifests' ports."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator


class Network:
    """Addresses that nobody else on this machine is likely to use."""

    def __init__(self) -> None:
        chance = random.SystemRandom()
        self._prefix = f"127.{chance.randint(1, 254)}.{chance.randint(1, 254)}"
        self._free: Iterator[int] = iter(range(2, 255))

    def take(self) -> str:
        """An address; raises StopIteration after some 250."""
        return f"{self._prefix}.{next(self._free)}"


def usable() -> bool:
    """Whether this system lets all of 127.0.0.0/8 be listened on, as Linux does."""
    with socket.socket() as one:
        try:
            one.bind(("127.9.9.9", 0))
        except OSError:
            return False
    return True
