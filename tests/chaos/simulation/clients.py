"""The clients of a run: they act as the plan says, insist on an answer, and write down what they saw."""

from __future__ import annotations

from dataclasses import dataclass, field

from spanstream.eventlog.log import Outgoing
from spanstream.events import codec
from spanstream.events.ids import Key, Order, content_hash
from spanstream.events.topics import DOCUMENTS
from spanstream.gateway.meanings import Words
from spanstream.gateway.problems import admitted
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.status import status
from spanstream.ingestor.documents import Delete, Upsert, deleted_hash
from spanstream.ingestor.heads import Caller
from spanstream.runtime.problems import Problem
from spanstream.store.queries import Scope
from tests.chaos.history import Call, Content, Found, Groups, History, Look, Receipt, Settled, Shown, Told
from tests.chaos.simulation.pipeline import Pipeline
from tests.chaos.simulation.plan import KEYS, Action
from tests.chaos.simulation.scheduler import Crash, Scheduler

WORD = "tide"  # in every passage
ATTEMPTS = 5
RETRY_TURNS = 10
SCOPES: tuple[Groups | None, ...] = (None, ("blue",), ("red",))
MODES = (Mode.LEXICAL, Mode.DENSE, Mode.HYBRID)


def _text(name: str, sentences: int) -> str:
    return " ".join(f"The {WORD} of {name} goes up and down, says sentence {i}." for i in range(sentences))


# By number, what a document may hold: from one passage to three events of two; for one group only; poison.
CONTENTS = (
    Content(_text("one", 1)),
    Content(_text("two", 2)),
    Content(_text("five", 5)),
    Content(_text("one", 1), ("red",)),
    Content(_text("three", 3), ("blue",)),
    Content(_text("poison", 2)),
)


# As they are by right: the product's own way to hash is on trial.
HASHES = tuple(
    content_hash(title="", content_type="text/plain", body=content.text.encode(), metadata={}, groups=content.groups)
    for content in CONTENTS
)


def upsert(key: Key, version: int | None, number: int) -> Upsert:
    content = CONTENTS[number]
    return Upsert(key, version, "text/plain", content.text.encode(), groups=content.groups)


@dataclass
class Notes:
    """The history as it grows: hands out moments and numbers."""

    history: History = field(default_factory=History)
    busy: int = 0  # clients that are in the middle of something
    _at: int = 0
    _calls: int = 0

    def __post_init__(self) -> None:
        self.history.contents.update(zip(HASHES, CONTENTS, strict=True))

    def at(self) -> int:
        self._at += 1
        return self._at

    def call(self, key: Key, version: int | None, content: bytes, deleted: bool) -> int:
        self._calls += 1
        self.history.entries.append(Call(self.at(), self._calls, key, version, content, deleted))
        return self._calls

    def settled(self, pipeline: Pipeline) -> Look:
        """Nothing is under way; the index as it is now."""
        look = pipeline.look(self.at())
        self.history.entries += [Settled(look.at), look]
        return look

    def receipt(self, call: int, version: int, unchanged: bool = False, server: str = "") -> None:
        self.history.entries.append(Receipt(self.at(), call, version, unchanged, server))


class Client:
    """Acts in its own actor, one action after the other."""

    def __init__(self, scheduler: Scheduler, pipeline: Pipeline, notes: Notes) -> None:
        self._scheduler, self._pipeline, self._notes = scheduler, pipeline, notes

    def act(self, actions: list[Action]) -> None:
        for action in actions:
            self._wait(action)
            self._notes.busy += 1
            try:
                self._scheduler.tell(f"** {action}")
                self._do(action)
            except Crash:  # of what it asked
                self._scheduler.tell("gets no answer")
            finally:
                self._notes.busy -= 1

    def _wait(self, action: Action) -> None:
        self._scheduler.rest(action.gap or 0)
        if action.gap is None:
            while not self._pipeline.quiet():
                self._scheduler.rest(5)
            if not self._notes.busy:
                self._notes.settled(self._pipeline)

    def _do(self, action: Action) -> None:
        key = KEYS[action.key]
        match action.kind:
            case "put":
                self._send(action, upsert(key, action.version, action.content), HASHES[action.content])
            case "delete":
                self._send(action, Delete(key, action.version), deleted_hash())
            case "produce":
                self._produce(upsert(key, action.version, action.content), HASHES[action.content])
            case "remove":
                self._produce(Delete(key, action.version), deleted_hash())
            case "status":
                self.ask(key, action.version, None)
            case "search":
                self.search(key.tenant, SCOPES[action.content % len(SCOPES)], MODES[action.number % len(MODES)])
            case "again":
                self._again(action.number)
            case "replay":
                self._pipeline.encoder.mended |= bool(action.number)
                self._replay()
            case "skew":
                self._pipeline.skews[action.number] = action.version or 0

    def _send(self, action: Action, document: Upsert | Delete, hashed: bytes) -> None:
        """Until there is a receipt; each attempt is a call of its own, because each may have been taken."""
        for _ in range(ATTEMPTS):
            api = self._pipeline.apis[action.number]
            call = self._notes.call(document.key, document.version, hashed, isinstance(document, Delete))
            try:
                [receipt] = api.accept(Caller(document.key.tenant), [document])
            except Problem as problem:
                self._scheduler.tell(f"is told {problem.status}")
            except Crash:
                self._scheduler.tell("gets no answer: the API starts again")
                self._pipeline.restart_api(action.number)
            else:
                self._notes.receipt(call, receipt.version, receipt.unchanged, self._pipeline.servers[action.number])
                self._scheduler.tell(f"has a receipt: {receipt.version}{', unchanged' if receipt.unchanged else ''}")
                self.ask(document.key, receipt.version, None)
                self.search(document.key.tenant, None, Mode.LEXICAL)
                return
            self._scheduler.rest(RETRY_TURNS)

    def _produce(self, document: Upsert | Delete, hashed: bytes) -> None:
        """As a foreign producer may: without a content hash, and without the API."""
        assert document.version is not None
        deleted = isinstance(document, Delete)
        event = document.event(document.version, 1) if deleted else document.event(document.version, b"", None, 1)
        call = self._notes.call(document.key, document.version, hashed, deleted)
        message = Outgoing(DOCUMENTS.name, document.key.encode(), event.SerializeToString(), codec.headers(event))
        self._publish([message])
        self._notes.receipt(call, document.version)

    def _again(self, number: int) -> None:
        records = [record for partition in self._pipeline.log.topics[DOCUMENTS.name] for record in partition]
        for record in records[number % len(records) :][:1] if records else []:
            self._publish([Outgoing(record.topic, record.key or b"", record.value or b"", record.headers)])

    def _replay(self) -> None:
        for event in self._pipeline.failures():
            headers = tuple((header.name, header.value) for header in event.headers)
            self._publish([Outgoing(event.topic, event.key, event.value, headers)])

    def _publish(self, messages: list[Outgoing]) -> None:
        self._pipeline.source.publish(messages)

    def ask(self, key: Key, version: int | None, groups: Groups | None) -> None:
        """What the status route answers."""
        called = self._notes.at()
        heads = admitted(self._pipeline.reading.heads([key]), Scope(key.tenant, groups))
        found = status(heads.get(key), version)
        self._notes.history.entries.append(
            Told(self._notes.at(), called, key, groups, version, found.outcome.value, found.version, found.content_hash)
        )

    def search(self, tenant: str, groups: Groups | None, mode: Mode) -> None:
        """For what every passage holds."""
        called = self._notes.at()
        question = Question(Words(WORD), mode, limit=50, passages_per_document=50, spans_per_passage=0)
        answer = self._pipeline.searcher.search(Scope(tenant, groups), question, self._pipeline.generation.dimension)
        hits = tuple(
            Shown(
                hit.head.key,
                Order.of(hit.head.version, hit.head.content_hash, False),
                hit.head.passage_count,
                tuple((p.version, p.content_hash, p.ordinal, p.text) for p in (each.passage for each in hit.passages)),
            )
            for hit in answer.hits
        )
        self._notes.history.entries.append(Found(self._notes.at(), called, tenant, groups, hits))
