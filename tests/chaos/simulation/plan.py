"""What a run does: the clients' actions and the faults, drawn from a seed; and simpler plans, to shrink a failing one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from spanstream.events.ids import Key
from tests.chaos.simulation.scheduler import Fault

# Sources: versions of a feed are its own, those of notes are the ingestor's.
KEYS = (Key("acme", "feed", "a"), Key("beta", "feed", "a"), Key("acme", "notes", "b"), Key("beta", "notes", "c"))
CLIENTS = 2
DAY = 86_400
# Of what was not flushed, which shares of documents and passages a power cut leaves.
SHARES = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 1.0), (0.5, 1.0))

WORKERS = ("ingestor", "embedder", "indexer")
# Where something may break, and how. Of the write path alone: what a reader is told is «try again».
# What is named more than once happens more often: it takes more luck to do harm.
PLACES: dict[str, tuple[str, ...]] = {
    **{f"{name}: poll": ("rebalance", "crash", "pause") for name in WORKERS},
    **{f"{name}: commit": ("lost", "unheard", "crash", "freeze") for name in WORKERS},
    **{f"{name}: publish": ("lost", "lost", "unheard", "crash", "freeze", "pause") for name in WORKERS},
    "embedder: encode": ("lost", "lost", "failed", "nan", "narrow", "few", "crash", "freeze"),
    "ingestor: blob": ("lost",),
    "indexer: read documents": ("lost", "crash", "freeze", "pause"),
    "indexer: read passages": ("lost", "crash"),
    "indexer: write documents": ("lost", "unheard", "crash", *4 * ("freeze",), "pause", *2 * ("power",)),
    "indexer: write passages": ("lost", "unheard", "crash", *6 * ("freeze",), "pause", *2 * ("power",)),
    "indexer: flush": ("lost", "unheard", "crash", "freeze", *4 * ("power",)),
    "api: publish": ("lost", "unheard", "crash", "pause"),
    "api: offsets": ("lost", "pause"),
    "api: read documents": ("lost", "pause"),
    "api: blob": ("lost",),
    "gateway: read documents": 2 * ("pause",),
    "gateway: read passages": 4 * ("pause",),
}


EVERYWHERE = [(place, kind) for place, kinds in PLACES.items() for kind in kinds]
RACES = [
    (f"indexer: {place}", kind)
    for place in ("read documents", *3 * ("write documents",), "write passages", "flush")
    for kind in ("freeze", "freeze", "pause", "power")
]


@dataclass(frozen=True, slots=True)
class Action:
    """What a client does, after `gap` turns; None: once nothing is under way.

    put, delete       through the ingest API; `version` None: it gives one
    produce, remove   the same straight to documents.v1, without the API
    status, search    look
    again             a record of documents.v1 is delivered once more, however late: the `number`-th
    replay            all dead letters go back to their topics; before, what made them fail is mended if `number`
    skew              the clock of API `number` is set `version` seconds off
    """

    kind: str
    client: int
    gap: int | None
    key: int = 0
    version: int | None = None
    content: int = 0
    number: int = 0

    def __str__(self) -> str:
        name = "/".join(KEYS[self.key])
        after = "once all is quiet" if self.gap is None else f"after {self.gap} turns"
        what = {
            "put": f"puts {name} version {self.version} content {self.content} at API {self.number}",
            "produce": f"produces {name} version {self.version} content {self.content}",
            "delete": f"deletes {name} version {self.version} at API {self.number}",
            "remove": f"produces a delete of {name} version {self.version}",
            "status": f"asks for {name} version {self.version}",
            "search": f"searches as {KEYS[self.key].tenant}, scope {self.content}, mode {self.number}",
            "again": f"repeats record {self.number} of documents.v1",
            "replay": f"replays the dead letters{', mended' if self.number else ''}",
            "skew": f"sets the clock of API {self.number} {self.version} s off",
        }
        return f"client {self.client} {what[self.kind]}, {after}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run. `records`: at most in a poll; `workers`: of each stage; `passages` of a part of a long document."""

    seed: int
    actions: tuple[Action, ...]
    faults: tuple[Fault, ...]
    switching: float
    records: int
    workers: int

    @classmethod
    def of(cls, seed: int) -> Plan:
        """The plan that the seed stands for: every second one is narrow."""
        chance = Random(seed)
        return cls._narrow(seed, chance) if chance.random() < 1 / 2 else cls._wide(seed, chance)

    @classmethod
    def _wide(cls, seed: int, chance: Random) -> Plan:
        """Something of everything."""
        keys = chance.sample(range(len(KEYS)), chance.choice((1, 1, 2, 3, 4)))
        actions = [_action(chance, keys, number) for number in range(chance.randint(3, 12))]
        faults = [_fault(chance, EVERYWHERE, 3.0, 30.0) for _ in range(chance.choice((0, 2, 3, 4, 5, 6)))]
        switching = chance.choice((0.0, 0.0, 0.1, 0.5))
        return cls(seed, tuple(actions), _once(faults), switching, chance.choice((1, 3, 8)), chance.choice((1, 2, 2)))

    @classmethod
    def _narrow(cls, seed: int, chance: Random) -> Plan:
        """One document that changes quickly, in polls of one record, while whoever writes it is away: races need that much luck."""
        theme = chance.choice(("again", "parts", "failing"))
        faults = [_fault(chance, RACES, 2.0, 30.0) for _ in range(chance.randint(1, 2))]
        if theme == "again":
            actions = [
                Action(
                    "put",
                    chance.randrange(CLIENTS),
                    chance.choice((None, 0, 4)),
                    2,
                    None,
                    chance.choice((0, 0, 1)),
                    api,
                )
                for api in chance.choices((0, 1), k=chance.randint(3, 6))
            ]
        elif theme == "parts":
            kinds = chance.choices(("produce", "remove"), (5, 1), k=chance.randint(2, 5))
            actions = [
                Action(kind, 0, int(chance.expovariate(1 / 4)), 0, 1 + number, chance.choice((0, 2, 2)))
                for number, kind in enumerate(kinds)
            ]
        else:
            gap, count = chance.choice((0, 6)), chance.randint(2, 3)
            actions = [Action("produce", 0, gap, 0, 1 + number, chance.choice((0, 5))) for number in range(count)]
            faults = [Fault("freeze", "indexer: write documents", chance.randint(1, 3), chance.randint(8, 20))]
        return cls(seed, tuple(actions), _once(faults), chance.choice((0.0, 0.0, 0.1)), 1, 2)

    def __str__(self) -> str:
        calm = "in turn" if not self.switching else f"switched at {self.switching:.0%} of the places"
        head = f"seed {self.seed}: {self.workers} worker(s) a stage, {self.records} record(s) a poll, {calm}"
        return "\n".join([head, *(f"  {action}" for action in self.actions), *(f"  {fault}" for fault in self.faults)])

    def simpler(self) -> Iterator[Plan]:
        """Plans with less in them, the boldest first."""
        for name in ("actions", "faults"):
            items = getattr(self, name)
            size = len(items)
            while size:
                for start in range(0, len(items), size):
                    yield replace(self, **{name: items[:start] + items[start + size :]})
                size //= 2
        if self.switching:
            yield replace(self, switching=0.0)
        if self.workers > 1:
            yield replace(self, workers=1)
        for place, action in enumerate(self.actions):
            for simple in _simpler(action):
                yield replace(self, actions=(*self.actions[:place], simple, *self.actions[place + 1 :]))


def _simpler(action: Action) -> Iterator[Action]:
    if action.gap:
        yield replace(action, gap=0)
    if action.kind in ("put", "produce") and action.content:
        yield replace(action, content=0)
    if action.client:
        yield replace(action, client=0)
    if action.kind in ("put", "delete") and action.number:
        yield replace(action, number=0)


def _action(chance: Random, keys: list[int], number: int) -> Action:
    """The `number`-th. Versions of a feed rise, by and large."""
    kind = chance.choices(
        ("put", "produce", "delete", "remove", "status", "search", "again", "replay", "skew"),
        (40, 10, 10, 4, 4, 14, 6, 6, 5),
    )[0]
    client = chance.randrange(CLIENTS)
    gap = None if chance.random() < 0.3 else int(chance.expovariate(1 / 12))
    key = chance.choice(keys)
    version = 1 + number // 3 + chance.randrange(3) if KEYS[key].source == "feed" else None
    number = chance.randrange(2)
    if kind in ("produce", "remove") and version is None:
        kind = "put" if kind == "produce" else "delete"
    if kind == "status":
        version = chance.choice((version, None))
    if kind == "skew":
        version = chance.choice((-DAY, DAY, 0))
    if kind == "again":
        number = chance.randrange(100)
    content = chance.choice((0, 0, 1, 2, 2, 3, 4, 5, 5)) if kind != "search" else chance.randrange(3)
    if kind == "search":
        number = chance.randrange(3)
    return Action(kind, client, gap, key, version, content, number)


def _fault(chance: Random, among: Sequence[tuple[str, str]], nth: float, turns: float) -> Fault:
    """`nth` and `turns` are means."""
    place, kind = chance.choice(among)
    lasting = kind in ("crash", "pause", "freeze", "power")
    return Fault(
        kind,
        place,
        int(chance.expovariate(1 / nth)) + 1,
        int(chance.expovariate(1 / turns)) + 2 if lasting else 0,
        chance.choice(SHARES) if kind == "power" else (),
    )


def _once(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    """One at a time: where two would meet, the later drawn."""
    return tuple({(fault.place, fault.nth): fault for fault in faults}.values())
