"""Made-up tenants whose documents have the same names and words, each with words that nobody else may ever read.

A *canary* stands in the text, title and metadata of one document and is never sent by anyone: where it is read, the document
was. A *probe* stands there too, and in names; it is sent by those who look for what is not theirs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from spanstream.events.ids import Key
from spanstream.runtime.identity import admitted
from tests.unit.indexer.documents import Document

TENANTS = 52
_WORDS = (
    "tide harbour lantern orchard glacier copper violin marble thunder meadow anchor saffron compass ember willow "
    "granite falcon velvet cinder lagoon quartz bramble turbine ledger mosaic pepper kettle rudder summit tunnel"
)
VOCABULARY = tuple(_WORDS.split())
LANGUAGES = ("en", "de", "fr")
SLOTS = "abcdef"  # documents of a tenant that are live
FAILED = "h"  # one of which nothing but a failure is known
Word = tuple[str, int, str]  # kind, tenant and slot
_WORD = re.compile(r"(canary|probe)(\d\d)([a-h])q")


def canary(tenant: int, slot: str) -> str:
    """Never sent."""
    return f"canary{tenant:02d}{slot}q"


def probe(tenant: int, slot: str) -> str:
    """Sent by whoever wants to find it."""
    return f"probe{tenant:02d}{slot}q"


def told(text: str) -> set[Word]:
    """The canaries and probes in a text."""
    return {(kind, int(tenant), slot) for kind, tenant, slot in _WORD.findall(text)}


def name(tenant: int) -> str:
    """As keys and records have it."""
    return f"tenant-{tenant:02d}"


def source(tenant: int, slot: str) -> str:
    """Sources that all tenants have, and one of each tenant's own."""
    return {"a": "wiki", "b": "wiki", "c": "mail", "d": "mail", "f": "wiki", "h": "mail"}.get(
        slot, f"src-{probe(tenant, slot)}"
    )


def id_of(tenant: int, slot: str) -> str:
    """Ids that all tenants have, and some of each tenant's own."""
    return f"only-{probe(tenant, slot)}" if slot in "eh" else f"shared-{slot}"


GROUPS: dict[str, tuple[str, ...]] = {"b": ("board",), "d": ("staff",), "f": ("board", "staff")}


def key_of(tenant: int, slot: str) -> Key:
    """Of a document."""
    return Key(name(tenant), source(tenant, slot), id_of(tenant, slot))


@dataclass(frozen=True, slots=True)
class Caller:
    """A key: its tenant, and the groups and sources it is bound to (None: all)."""

    tenant: int
    groups: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None

    @property
    def key_id(self) -> str:
        """Of the API key."""
        bounds = ("all" if bound is None else "-".join(bound) or "none" for bound in (self.groups, self.sources))
        return ".".join((name(self.tenant), *bounds))

    def sees(self, tenant: int, slot: str) -> bool:
        """Whether it may know of this document."""
        mine = tenant == self.tenant and admitted(GROUPS.get(slot, ()), self.groups)
        return mine and (self.sources is None or source(tenant, slot) in self.sources)


def callers(tenant: int) -> list[Caller]:
    """Of every kind."""
    bounds: list[tuple[tuple[str, ...] | None, tuple[str, ...] | None]] = [
        (None, None),
        (("board",), None),
        ((), None),
        (None, ("mail",)),
        (("staff",), ("wiki", "mail")),
    ]
    return [Caller(tenant, *each) for each in bounds]


def document(tenant: int, slot: str) -> Document:
    """Always the same; how often each word stands there differs between tenants."""
    rng = random.Random(f"{tenant} {slot}")
    favourites = rng.sample(VOCABULARY, 6)

    def sentence() -> str:
        words = [rng.choice(favourites if rng.random() < 0.5 else VOCABULARY) for _ in range(rng.randint(5, 12))]
        return " ".join(words).capitalize() + "."

    passages = [[sentence(), sentence()] for _ in range(rng.randint(1, 3))]
    passages[-1].append(f"The {canary(tenant, slot)} keeps the {probe(tenant, slot)}.")
    metadata = {
        "lang": rng.choice(LANGUAGES),
        "year": rng.randint(1990, 2025),
        "owner": canary(tenant, slot),
        "mark": probe(tenant, slot),
        "tags": rng.sample(VOCABULARY, 2),
        "seen": f"20{rng.randint(10, 25)}-0{rng.randint(1, 9)}-11",
        f"own-{probe(tenant, slot)}": rng.randint(0, 9),
    }
    return Document(
        key_of(tenant, slot),
        rng.randint(1, 9),
        passages,
        title=f"{rng.choice(VOCABULARY).capitalize()} {canary(tenant, slot)}",
        metadata=metadata,
        groups=GROUPS.get(slot, ()),
        accepted_at_us=1_700_000_000_000_000 + tenant,
    )


def everybody() -> Iterator[tuple[int, str]]:
    """All live documents of all tenants."""
    return ((tenant, slot) for tenant in range(TENANTS) for slot in SLOTS)
