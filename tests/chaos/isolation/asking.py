"""What is asked, made up from a seed: honest questions, and those of somebody who looks for what is not theirs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from spanstream.events.topics import MATCHES
from spanstream.ingestor.positions import encoded
from tests.chaos.isolation.tenants import (
    FAILED,
    LANGUAGES,
    SLOTS,
    VOCABULARY,
    Caller,
    Word,
    id_of,
    name,
    probe,
    source,
)
from tests.chaos.isolation.world import LAST

MODES = ("hybrid", "dense", "spans", "lexical")
RESERVED = (
    "tenant", "groups", "version", "state", "key", "body", "hash", "rank", "failure", "facts", "_tenant", "metadata",
    "metadata.", "metadata..tenant", "metadata.x].tenant", 'metadata."tenant"', "metadata.a\\.tenant", "metadata[].x",
    "tenant.metadata.x", "Tenant", "metadata.a\x00tenant", "metadata.tenant\n", "$tenant", "source.tenant", "*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. `alone`: the body of the one whose answer has to be the same, where it is another; `compared`: whether any has
    to. `borrowed`: whether it goes with the cursor that the other caller got for the same question.
    """

    kind: str
    hostile: bool
    method: str
    target: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    to: str = "gateway"
    compared: bool = True
    borrowed: bool = False
    until: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The body as it is sent."""
        return b"" if self.body is None else json.dumps(self.body).encode()

    @property
    def text(self) -> str:
        """All that is sent, and may therefore be read in an answer."""
        return f"{self.target} {self.headers} {self.raw.decode()}"


class Asking:
    """Of one caller, who knows the names of all that `other`, a tenant, has."""

    def __init__(self, rng: random.Random, caller: Caller, other: int, salt: str) -> None:
        """`salt` stands in each text, so that nobody has asked for it before."""
        self._rng = rng
        self._caller = caller
        self._other = other
        self._salt = salt
        self._number = 0
        self.cursors: list[tuple[dict[str, Any], str]] = []  # of this caller's own answers
        self.sent: set[Word] = set()  # so far

    def one(self, among: Collection[str] = ()) -> Ask:
        """The next one, of these kinds or of all."""
        kinds = [each for each in KINDS if not among or each[0].__name__ in among]
        (kind,) = self._rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
        return kind(self)

    # --- Parts ---

    def _pick(self, values: Sequence[Any]) -> Any:
        return self._rng.choice(values)

    def _words(self) -> str:
        self._number += 1
        return " ".join([*self._rng.sample(VOCABULARY, self._rng.randint(1, 4)), f"{self._salt}n{self._number}"])

    def _foreign(self) -> tuple[str, str]:
        """Source and id of what the other has; the caller may have one of that name, too."""
        slot = self._pick(SLOTS + FAILED)
        return source(self._other, slot), id_of(self._other, slot)

    def _named(self) -> tuple[str, str]:
        """Source and id of a document of the caller's tenant, which it may see or not."""
        slot = self._pick(SLOTS + FAILED)
        return source(self._caller.tenant, slot), id_of(self._caller.tenant, slot)

    def _someones(self) -> tuple[str, str]:
        return self._foreign() if self._rng.random() < 0.7 else self._named()

    def _wanted(self) -> str:
        """Words that stand in one foreign document alone, or in one that the caller may not see."""
        tenant = self._other if self._rng.random() < 0.7 else self._caller.tenant
        word = probe(tenant, self._pick(SLOTS))
        self._number += 1  # what was asked without being compared would be remembered among all alone
        return f"{word} {self._words()}" if self._rng.random() < 0.5 else f"{word} {self._salt}n{self._number}"

    def _part(self, hostile: bool) -> Any:
        roll = self._rng.random()
        if roll < 0.35:
            where, id = self._foreign() if hostile and roll < 0.15 else self._named()
            return {self._pick(("like", "unlike")): {"source": where, "id": id}}
        return self._wanted() if hostile else self._words()

    def _query(self, hostile: bool) -> Any:
        if self._rng.random() < 0.6:
            return self._wanted() if hostile else self._words()
        parts = [self._words(), *(self._part(hostile) for _ in range(self._rng.randint(1, 2)))]
        return {self._pick(("all", "any")): parts}

    def _comparison(self, hostile: bool) -> Any:
        where, id = self._someones() if hostile else self._named()
        tenant = self._other if hostile else self._caller.tenant
        slot = self._pick(SLOTS)
        return self._pick(
            (
                {"field": "source", "eq": where},
                {"field": "id", "in": [id, "shared-a", "shared-b"]},
                {"field": "metadata.lang", "eq": self._pick(LANGUAGES)},
                {"field": "metadata.mark", "in": [probe(tenant, slot), probe(self._caller.tenant, slot)]},
                {"field": "metadata.year", "gte": self._rng.randint(1990, 2020)},
                {"field": "metadata.seen", "lt": "2020-01-01"},
                {"field": f"metadata.own-{probe(tenant, slot)}", "gte": 0},
                {"field": "metadata.tags", "in": self._rng.sample(VOCABULARY, 5)},
            )
        )

    def _filter(self, hostile: bool) -> Any:
        roll = self._rng.random()
        if roll < 0.6:
            return self._comparison(hostile)
        if roll < 0.75:
            return {"not": self._comparison(hostile)}
        return {self._pick(("all", "any")): [self._comparison(hostile), self._comparison(hostile)]}

    def _options(self, hostile: bool) -> dict[str, Any]:
        """Some of what a search may say."""
        fields = [{"field": "source"}, {"field": "metadata.lang"}, {"field": "metadata.tags", "limit": 100}]
        fields += [{"field": f"metadata.own-{probe(self._other, slot)}"} for slot in "ab" if hostile]
        every: dict[str, Any] = {
            "mode": self._pick(MODES),
            "limit": self._rng.randint(1, 20),
            "filter": self._filter(hostile),
            "group_by": self._pick(("document", "none")),
            "facets": fields[: self._rng.randint(1, len(fields))],
            "boosts": [{"filter": self._filter(hostile), "factor": self._pick((0.2, 3.0))}],
            "recency": {
                "field": self._pick(("accepted_at", "metadata.seen")),
                "half_life_days": 100.0,
                "now": "2026-01-01",
            },
            "diversity": 0.5,
            "fusion": self._pick(("convex", "rrf", "dbsf")),
            "rerank": {"stage": "late"},
            "explain": True,
            "spans_per_passage": self._rng.randint(0, 3),
        }
        chances = {"mode": 0.7, "limit": 0.7, "filter": 0.35, "rerank": 0.1, "explain": 0.3}
        return {name: value for name, value in every.items() if self._rng.random() < chances.get(name, 0.15)}

    def _search(self, hostile: bool) -> dict[str, Any]:
        return {"query": self._query(hostile)} | self._options(hostile)

    # --- Kinds ---

    def search(self) -> Ask:
        """As anybody searches."""
        return Ask("search", False, "POST", "/v1/search", self._search(False))

    def next_page(self) -> Ask:
        """With a cursor of the caller's own."""
        if not self.cursors:
            return Ask("next page", False, "POST", "/v1/search", self._search(False) | {"limit": 1})
        body, cursor = self._pick(self.cursors)
        return Ask("next page", False, "POST", "/v1/search", body | {"cursor": cursor})

    def sources(self) -> Ask:
        """What there is."""
        return Ask("sources", False, "GET", "/v1/sources")

    def own_document(self) -> Ask:
        """Status and content."""
        where, id = self._named()
        end = self._pick(("", "/content", "?version=3", "?version=99"))
        return Ask("document", False, "GET", f"/v1/sources/{where}/documents/{quote(id, safe='')}{end}")

    def wanted_words(self) -> Ask:
        """A search for what others hold, by words, examples and filters."""
        return Ask("foreign words", True, "POST", "/v1/search", self._search(True))

    def everything(self) -> Ask:
        """The largest answer that there is, with every count."""
        fields = [
            {"field": each, "limit": 100} for each in ("source", "metadata.lang", "metadata.owner", "metadata.mark")
        ]
        body = {"query": self._words(), "limit": 100, "facets": fields, "mode": self._pick(MODES), "explain": True}
        return Ask("facets", True, "POST", "/v1/search", body | {"group_by": "none", "passages_per_document": 20})

    def reserved(self) -> Ask:
        """A filter, facet, boost or date on what no caller may name."""
        field_ = self._pick(RESERVED)
        value = self._pick((name(self._other), self._other, "live", "board"))
        condition = self._pick(({"field": field_, "eq": value}, {"not": {"field": field_, "in": [value]}}))
        asked: dict[str, Any] = self._pick(
            (
                {"filter": condition},
                {"filter": {"any": [condition, {"field": "source", "eq": "wiki"}]}},
                {"facets": [{"field": field_}]},
                {"boosts": [{"filter": condition, "factor": 3.0}]},
                {"recency": {"field": field_, "half_life_days": 1.0, "now": "2026-01-01"}},
            )
        )
        return Ask("reserved names", True, "POST", "/v1/search", {"query": self._words()} | asked)

    def said_tenant(self) -> Ask:
        """A tenant that the request says it is of."""
        other = name(self._other)
        headers = {"x-tenant": other, "x-tenant-id": other, "x-forwarded-user": other, "x-original-url": "/v1/sources"}
        body: dict[str, Any] = {"query": self._wanted()}
        if self._rng.random() < 0.5:
            body |= {
                self._pick(("tenant", "scope", "groups", "identity", "__proto__")): self._pick(
                    (other, {"tenant": other})
                )
            }
        question = f"?{urlencode({'tenant': other})}" if self._rng.random() < 0.3 else ""
        return Ask("claimed tenant", True, "POST", f"/v1/search{question}", body, headers)

    def forged_cursor(self) -> Ask:
        """Bytes for a cursor, or a true one with some changed."""
        body, cursor = self._pick(self.cursors) if self.cursors else (self._search(True), "AAAA")
        if self._rng.random() < 0.5:
            place = self._rng.randrange(len(cursor))
            cursor = cursor[:place] + self._pick("AZaz09-_") + cursor[place + 1 :]
        else:
            cursor = "".join(self._rng.choices("ABCDEFGHijklmnop0123-_=", k=self._rng.randint(1, 80)))
        return Ask("forged cursor", True, "POST", "/v1/search", body | {"cursor": cursor})

    def foreign_cursor(self) -> Ask:
        """The other's cursor for the very question: it leaves out nothing of the caller's own."""
        body = {"query": self._words(), "limit": 2, "mode": self._pick(MODES)}
        return Ask("foreign cursor", True, "POST", "/v1/search", body, borrowed=True)

    def similar(self) -> Ask:
        """More like what others hold."""
        where, id = self._someones()
        part = {"start": 0, "end": 60} if self._rng.random() < 0.3 else {}
        return Ask(
            "similar", True, "POST", "/v1/similar", {"to": {"source": where, "id": id} | part} | self._options(True)
        )

    def missed(self) -> Ask:
        """Why a document of others is not among the hits."""
        where, id = self._someones()
        version = {"version": self._pick((0, 3, 99))} if self._rng.random() < 0.4 else {}
        options = self._options(True)
        body = {"query": {"query": self._query(True)} | options, "document": {"source": where, "id": id} | version}
        return Ask("explain miss", True, "POST", "/v1/explain-miss", body)

    def document(self) -> Ask:
        """Status and content of what others hold, the ways there to a neighbour's included."""
        where, id = self._someones()
        path = quote(id, safe="")
        if self._rng.random() < 0.2:
            path = self._pick(
                (f"..%2F{name(self._other)}%2F{path}", f"{name(self._other)}%2F{where}%2F{path}", f"{path}%00")
            )
        end = self._pick(
            ("", "/content", "/content?from=0&limit=200", "?version=1", "?version=3", f"?tenant={name(self._other)}")
        )
        return Ask("foreign document", True, "GET", f"/v1/sources/{where}/documents/{path}{end}")

    def statuses(self) -> Ask:
        """Of many documents at once."""
        where, _ = self._foreign()
        ids = [id_of(tenant, slot) for tenant in (self._other, self._caller.tenant) for slot in SLOTS + FAILED]
        documents = [
            {"id": id} | ({"version": self._pick((1, 3, 99))} if self._rng.random() < 0.5 else {})
            for id in dict.fromkeys(ids)
        ]
        return Ask("statuses", True, "POST", f"/v1/sources/{where}/documents:status", {"documents": documents})

    def batch(self) -> Ask:
        """Several searches at once."""
        return Ask(
            "batch",
            True,
            "POST",
            "/v1/search:batch",
            {"requests": [self._search(True) for _ in range(self._rng.randint(2, 4))]},
        )

    def hurried(self) -> Ask:
        """A search that has no time, or waits for a receipt of others."""
        if self._rng.random() < 0.5:
            return Ask("deadline", True, "POST", "/v1/search", self._search(True) | {"deadline_ms": 10}, compared=False)
        where, id = self._someones()
        after = {"source": where, "id": id, "version": self._pick((1, 3, 99))}
        return Ask("after", True, "POST", "/v1/search", self._search(True) | {"after": after, "after_wait": 0})

    def standing(self) -> Ask:
        """Standing queries of others, and own ones over what others hold."""
        target = f"/v1/standing-queries/{self._pick(('news', f'only-{self._other:02d}'))}"
        roll = self._rng.random()
        if roll < 0.3:
            return Ask("standing queries", True, "GET", "/v1/standing-queries")
        if roll < 0.5:
            return Ask("standing queries", True, "GET", target)
        if roll < 0.65:
            return Ask("standing queries", True, "DELETE", target)
        body = {"query": self._query(True)} | ({"filter": self._filter(True)} if roll > 0.8 else {})
        return Ask("standing queries", True, "PUT", target, body)

    def matches(self) -> Ask:
        """The stream of matches from its beginning, or from somewhere else."""
        start = self._pick(
            (encoded(dict.fromkeys(range(MATCHES.partitions), 0)), "W1swLC0xXV0")
        )  # or a negative offset
        target = self._pick(("/v1/matches", f"/v1/matches?query={LAST}"))
        last = f'"query":"{LAST}"'.encode()
        return Ask("matches", True, "GET", target, None, {"last-event-id": start}, "ingest", False, until=last)

    def failures(self) -> Ask:
        """Dead letters of others: looked at, sent again, discarded."""
        fingerprint = self._pick(self.fingerprints)
        target = f"/v1/failures/{fingerprint}"
        letters = [f"documents.v1:1:{self._rng.randrange(400)}" for _ in range(20)]
        until = encoded(dict.fromkeys(range(64), 10**6))
        roll = self._rng.random()
        if roll < 0.3:
            return Ask("dead letters", True, "GET", "/v1/failures", to="ingest", compared=False)
        if roll < 0.6:
            query = self._pick(("", "?limit=1", f"?cursor={self._rng.randint(0, 3000)}~documents.v1:1:7"))
            return Ask("dead letters", True, "GET", target + query, to="ingest", compared=False)
        verb = self._pick(("replay", "discard"))
        body = {"dry_run": True} | self._pick(({}, {"ids": letters}, {"until": until}))
        return Ask("dead letters", True, "POST", f"{target}:{verb}", body, to="ingest", compared=False)

    fingerprints: Sequence[str] = ("0" * 16,)

    def metrics(self) -> Ask:
        """What the admin port tells everybody."""
        return Ask("metrics", True, "GET", self._pick(("/metrics", "/livez", "/config")), to="admin", compared=False)


KINDS: Sequence[tuple[Callable[[Asking], Ask], int]] = (
    (Asking.search, 30),
    (Asking.next_page, 6),
    (Asking.sources, 3),
    (Asking.own_document, 6),
    (Asking.wanted_words, 14),
    (Asking.everything, 4),
    (Asking.reserved, 4),
    (Asking.said_tenant, 3),
    (Asking.forged_cursor, 3),
    (Asking.foreign_cursor, 3),
    (Asking.similar, 5),
    (Asking.missed, 5),
    (Asking.document, 6),
    (Asking.statuses, 2),
    (Asking.batch, 2),
    (Asking.hurried, 2),
    (Asking.standing, 5),
    (Asking.matches, 2),
    (Asking.failures, 4),
    (Asking.metrics, 1),
)
