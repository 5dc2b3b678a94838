"""How the brokers of a log are known, and who we are to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """`ca_file`: certificates (PEM) of who signs the brokers'; None: without TLS. `username`, `password`: as SCRAM-SHA-512
    takes them, with TLS alone; None: nobody in particular. `member`: this process among those of its groups, by a name
    that it has again after a restart and that no other process has; None: it has none.
    """

    ca_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    member: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for half a login, and for one that would be sent without TLS."""
        if (self.username is None) != (self.password is None):
            raise ValueError("LOG_USERNAME and LOG_PASSWORD go together")
        if self.username is not None and self.ca_file is None:
            raise ValueError("LOG_USERNAME needs LOG_CA_FILE: no login without TLS")


OPEN = Access()
