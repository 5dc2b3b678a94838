"""One run of a plan, to its end: the history, what is wrong with it, and its story step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from tests.chaos.checker import Violation, check
from tests.chaos.history import Call, Found, Look, PowerCut, Receipt, Spoiled, Told
from tests.chaos.simulation.clients import MODES, SCOPES, Client, Notes
from tests.chaos.simulation.pipeline import Pipeline
from tests.chaos.simulation.plan import CLIENTS, KEYS, Plan
from tests.chaos.simulation.scheduler import Scheduler

MOST_TURNS = 6_000  # what goes on for longer never ends: a run of a dozen actions takes some hundred


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a plan."""

    plan: Plan
    violations: list[Violation]
    story: list[str] = field(repr=False)
    turns: int
    judged: Counter[str] = field(default_factory=Counter)  # what the history has, by kind

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(violation.kind for violation in self.violations)


def run(plan: Plan) -> Run:
    """The same plan always takes the same course."""
    scheduler = Scheduler(plan.faults, Random(plan.seed), plan.switching)
    notes = Notes()

    def spoil(text: str) -> None:
        """Whatever has this text, whole or as one of its parts, may fail."""
        contents = notes.history.contents.items()
        notes.history.entries += [Spoiled(notes.at(), hashed) for hashed, content in contents if text in content.text]

    pipeline = Pipeline(
        scheduler,
        workers=plan.workers,
        records=plan.records,
        looked=lambda: notes.history.entries.append(pipeline.look(notes.at())),
        spoilt=spoil,
    )

    def power_cut(kept: tuple[float, ...]) -> None:
        notes.history.entries.append(PowerCut(notes.at()))
        pipeline.cut_power(*kept)

    scheduler.power_cut = power_cut
    clients = []
    for number in range(CLIENTS):
        client = Client(scheduler, pipeline, notes)
        mine = [action for action in plan.actions if action.client == number]
        clients.append(scheduler.spawn(f"client {number}", lambda client=client, mine=mine: client.act(mine)))

    def done() -> bool:
        """All has been done, and nobody is away with something."""
        acted = all(client.run.dead for client in clients)
        return acted and pipeline.quiet() and all(actor.wakes <= scheduler.turn for actor in scheduler.actors)

    with _ended(scheduler, pipeline):
        settled = scheduler.run(done, MOST_TURNS)
    if settled:
        _look_back(pipeline, notes, Client(scheduler, pipeline, notes))
    judged = Counter(filter(None, map(_kind, notes.history.entries)))
    return Run(plan, check(notes.history), scheduler.story, scheduler.turn, judged)


def _kind(entry: object) -> str | None:
    match entry:
        case Call(deleted=deleted):
            return "deletes" if deleted else "upserts"
        case Found():
            return "searches"
        case Told():
            return "status answers"
        case Look():
            return "looks at the whole index"
    return None


@contextmanager
def _ended(scheduler: Scheduler, pipeline: Pipeline) -> Iterator[None]:
    try:
        yield
    finally:
        scheduler.end()
        pipeline.searcher.close()


def _look_back(pipeline: Pipeline, notes: Notes, client: Client) -> None:
    """Nothing is under way: what the index holds, and what everybody is told of it."""
    history = notes.history
    history.final = notes.settled(pipeline)
    history.dead_letters = pipeline.dead_letters()
    calls = {entry.id: entry for entry in history.entries if isinstance(entry, Call)}
    receipts = [entry for entry in history.entries if isinstance(entry, Receipt)]
    for key, version in sorted({(calls[receipt.call].key, receipt.version) for receipt in receipts}):
        client.ask(key, version, None)
    for key in KEYS:
        for groups in SCOPES[1:]:
            client.ask(key, None, groups)
    for tenant in sorted({key.tenant for key in KEYS}):
        for groups in SCOPES:
            client.search(tenant, groups, MODES[0])
        client.search(tenant, None, MODES[2])
