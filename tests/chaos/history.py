"""What happened, as the clients saw it, and the index as it was left. Plain values: whoever runs a pipeline, simulated or
real, writes one of these, and `checker` judges it.

`at` counts moments: whatever has a smaller one had ended before. A call's own moment is when it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spanstream.events.ids import Key, Order

Groups = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What one content hash stands for; `groups`: who may see it (none: all of the tenant)."""

    text: str
    groups: Groups = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A client asks for a document's state. `version` None: the ingestor gives one. `content` is the hash, also of a delete."""

    at: int
    id: int
    key: Key
    version: int | None
    content: bytes
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The call was acknowledged by the process `server`. `unchanged`: nothing was published, the index is said to hold it as
    this version.
    """

    at: int
    call: int
    version: int
    unchanged: bool = False
    server: str = ""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The world made this content fail: a dead letter of it has a cause."""

    at: int
    content: bytes


@dataclass(frozen=True, slots=True)
class PowerCut:
    """The index's machine lost power: until the pipeline has settled it may show less than before."""

    at: int


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing is under way."""

    at: int


@dataclass(frozen=True, slots=True)
class Told:
    """A status answer, asked at `called`. `outcome`: pending, searchable, deleted or failed, `version`: of what is shown."""

    at: int
    called: int
    key: Key
    groups: Groups | None  # of the caller; None: all
    asked: int | None
    outcome: str
    version: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """A document in a search answer: what its head says, and (version, hash, ordinal, text) of its passages."""

    key: Key
    order: Order
    count: int  # of passages, as the head says
    passages: tuple[tuple[int, bytes, int, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A search answer for something that is in every passage, asked at `called` by a caller of `tenant`."""

    at: int
    called: int
    tenant: str
    groups: Groups | None
    hits: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """A head as it is stored. `body`: the version that its passages have."""

    order: Order
    state: str
    content: bytes
    body: int
    count: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A passage as it is stored, under its point's id."""

    id: str
    key: Key
    version: int
    content: bytes
    ordinal: int


@dataclass(frozen=True, slots=True)
class Look:
    """The whole index at one moment: what no client can see, and a simulation can."""

    at: int
    heads: Mapping[Key, Head]
    passages: Sequence[Stored]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was given up. `content`: the hash of what it carried, if that could be read."""

    key: Key
    version: int
    reason: str
    content: bytes


Entry = Call | Receipt | Spoiled | PowerCut | Settled | Told | Found | Look


@dataclass(slots=True)
class History:
    """`entries` in the order of their ends; `final` is the index after everything has settled, with its dead letters."""

    contents: dict[bytes, Content] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    final: Look | None = None
