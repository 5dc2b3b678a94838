"""The attack: what a caller is told among all tenants is what it is told alone, with the same work, and holds nobody else's words."""

from __future__ import annotations

import asyncio
import json
import math
import random
import shutil
from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spanstream.store.queries import Scope
from tests.chaos.isolation.asgi import Answer
from tests.chaos.isolation.asking import Ask, Asking
from tests.chaos.isolation.tenants import FAILED, SLOTS, Caller, Word, callers, name, probe, told
from tests.chaos.isolation.world import COMPARED, Everyone, World, bearer, filled, write_keys

VOLATILE = frozenset({"took_ms", "request_id", "revision"})
TOLERANCE = 1e-5  # of a score: the same sums in another order differ in the eighth digit
ASKED_BY_BOTH = 0.3  # of the searches: another tenant has asked the very same just before
STREAM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a caller was told, or could have measured, of others."""

    what: str
    round: int
    caller: str
    ask: Ask
    detail: str

    def __str__(self) -> str:
        """For people."""
        asked = f"{self.ask.method} {self.ask.target} {self.ask.raw.decode()}"
        return f"{self.what}: round {self.round}, {self.caller}, {self.ask.kind}: {asked}\n    {self.detail}"


@dataclass(slots=True)
class Round:
    """What one caller asked; `queries`: of all tenants, `hostile` of them for what is not the caller's."""

    queries: int = 0
    hostile: int = 0
    compared: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class Attack:
    """Worlds and what is asked in them; to be used within one event loop, and closed."""

    def __init__(self, folder: Path, tenants: int, seed: int) -> None:
        self._folder, self._tenants, self._seed = folder, tenants, seed
        write_keys(folder / "keys.json")
        self.everyone = Everyone(folder, folder / "keys.json", tenants)
        (folder / "alone").mkdir()
        self.alone = World(folder, folder / "keys.json", filled(folder / "alone" / "nobody", ()))

    async def start(self) -> None:
        """Every tenant has standing queries of its own, and dead letters are known by their fingerprints."""
        for tenant in range(self._tenants):
            await self._save(tenant)
        body = b'{"query": "what every new process measures with its first query"}'
        await self.alone.search(Caller(0), "PUT", "/v1/standing-queries/first", {}, body)
        listed = (await self.everyone.ingest(Caller(0), "GET", "/v1/failures")).json()
        Asking.fingerprints = ("0" * 16, *(each["fingerprint"] for each in listed["groups"]))

    def close(self) -> None:
        """Both worlds."""
        self.everyone.close()
        self.alone.close()

    async def round(self, number: int, size: int, kinds: Collection[str] = ()) -> Round:
        """Of one caller and another tenant, both chosen by the round's number. `kinds` of questions; none: of all."""
        rng = random.Random(f"{self._seed} {number}")
        tenant = number % self._tenants
        other = (tenant + 1 + rng.randrange(self._tenants - 1)) % self._tenants
        caller, neighbour = rng.choice(callers(tenant)), rng.choice(callers(other))
        self._leave_alone(caller, number)
        asking = Asking(rng, caller, other, f"s{self._seed}r{number}")
        done = Round()
        for _ in range(size):
            ask = asking.one(kinds)
            asking.sent |= told(ask.text)
            findings = [found async for found in self._asked(ask, asking, caller, neighbour, rng, done)]
            done.findings += [Finding(*found[:1], number, caller.key_id, ask, found[1]) for found in findings]
            done.kinds[ask.kind] = done.kinds.get(ask.kind, 0) + 1
            done.hostile += ask.hostile
        self._forget(caller)
        await self._save(tenant)
        return done

    async def _asked(
        self, ask: Ask, asking: Asking, caller: Caller, neighbour: Caller, rng: random.Random, done: Round
    ) -> Any:
        """What is wrong with the answer, in words and with what shows it."""
        sent = ask.body
        if ask.to != "gateway":
            done.queries += 1
            answer = await self._elsewhere(ask, caller)
            for found in [*_foreign(answer, ask, caller, asking.sent), *_counted(answer, ask, caller)]:
                yield found
            return
        if ask.borrowed or (ask.target == "/v1/search" and rng.random() < ASKED_BY_BOTH):
            done.queries += 1
            theirs = await _sent(self.everyone, neighbour, ask, ask.body)
            for found in _foreign(theirs, ask, neighbour, told(ask.text)):
                yield found
            if ask.borrowed and theirs.status == 200 and (cursor := theirs.json()["cursor"]):
                sent = ask.body | {"cursor": cursor}
        self.everyone.work()
        self.alone.work()
        done.queries += 1
        answer = await _sent(self.everyone, caller, ask, sent)
        for found in _foreign(answer, ask, caller, asking.sent):
            yield found
        if not ask.compared:
            return
        done.compared += 1
        expected = await _sent(self.alone, caller, ask, ask.body)
        if different := _difference(_kept(answer, ask), _kept(expected, ask)):
            yield "another answer than alone", different
        work, needed = self.everyone.work(), self.alone.work()
        if (sorted(work[0]), work[1]) != (sorted(needed[0]), needed[1]):
            yield "other work than alone", f"{work} instead of {needed}"
        if (
            answer.status == 200
            and ask.target == "/v1/search"
            and not ask.borrowed
            and (cursor := answer.json()["cursor"])
        ):
            asking.cursors.append(({key: value for key, value in sent.items() if key != "cursor"}, cursor))

    async def _elsewhere(self, ask: Ask, caller: Caller) -> Answer:
        if ask.to == "admin":
            return await self.everyone.admin(ask.target)
        asked = self.everyone.ingest(caller, ask.method, ask.target, ask.headers, ask.raw, ask.until)
        return await asyncio.wait_for(asked, STREAM_SECONDS)

    def _leave_alone(self, caller: Caller, number: int) -> None:
        """The second world holds what this caller may see, and nothing else."""
        before, folder = self.alone.store.store, self._folder / "alone" / str(number)
        held = [(caller.tenant, slot) for slot in (*SLOTS, FAILED) if caller.sees(caller.tenant, slot)]
        self.alone.store.store = filled(folder, held)
        before.close()
        for older in (self._folder / "alone").iterdir():
            if older != folder:
                shutil.rmtree(older)
        self._forget(caller)

    def _forget(self, caller: Caller) -> None:
        """The caller's standing queries, which the second world has none of at first."""
        scope = Scope(name(caller.tenant), caller.groups, caller.sources)
        queries = self.everyone.store.standing()
        for query in queries.of(scope):
            queries.delete(scope, query.id)

    async def _save(self, tenant: int) -> None:
        """Standing queries of the tenant, with words that nobody else may read."""
        for query in ("news", f"only-{tenant:02d}"):
            body = json.dumps({"query": f"{probe(tenant, 'a')} {query}"}).encode()
            await self.everyone.search(Caller(tenant), "PUT", f"/v1/standing-queries/{query}", {}, body)


async def _sent(world: World, caller: Caller, ask: Ask, body: Any) -> Answer:
    raw = b"" if body is None else json.dumps(body).encode()
    token = COMPARED.set(ask.compared)
    try:
        return await world.search(caller, ask.method, ask.target, ask.headers, raw)
    finally:
        COMPARED.reset(token)


def _foreign(answer: Answer, ask: Ask, caller: Caller, sent: Set[Word]) -> Iterator[tuple[str, str]]:
    """Words that the caller may not read, but for probes that it has sent itself; and errors of ours."""
    for word in sorted(told(answer.text)):
        kind, tenant, slot = word
        own = kind == "probe" and word in sent
        if not (own or (ask.to != "admin" and caller.sees(tenant, slot))):
            yield "foreign words", f"{kind} of tenant {tenant}, document {slot}"
    late = ask.kind == "deadline" and answer.status == 503  # a search by meaning alone that the encoder had no time for
    if (answer.status >= 500 and not late) or bearer(caller) in answer.text:
        yield "an error", f"{answer.status} {answer.text[:300]}"


def _counted(answer: Answer, ask: Ask, caller: Caller) -> Iterator[tuple[str, str]]:
    """Dead letters and matches are those that the caller may know of, no more and no fewer."""
    if ask.to == "admin" or answer.status >= 400:
        return
    seen = [slot for slot in (*SLOTS, FAILED) if caller.sees(caller.tenant, slot)]
    if ask.kind == "dead letters":
        found = answer.json()
        counts = [each["count"] for each in found.get("groups", [found.get("group")]) if each]
        counts = counts or [found["done"] + found["left"]]
        wrong = sum(counts) > len(seen) if ask.method == "POST" else sum(counts) != len(seen)
        if wrong:
            yield "another count of dead letters", f"{counts} instead of {len(seen)}"
    if ask.kind == "matches":
        strange = [id for id in _told_matches(answer) if not id.startswith(f"{name(caller.tenant)}.")]
        own = callers(caller.tenant) if caller.groups is None else [caller]
        most = {
            f"{each.key_id} {slot} {query}"
            for each in own
            for slot in (*SLOTS, "a")
            for query in ("news", "alerts", "last")
        }
        if strange or not set(_told_matches(answer)) <= most:
            yield "matches of others", str(strange)


def _told_matches(answer: Answer) -> list[str]:
    lines = answer.body.decode().splitlines()
    return [json.loads(line.removeprefix("data: "))["match_id"] for line in lines if line.startswith("data: ")]


def _kept(answer: Answer, ask: Ask) -> Any:
    """What has to be the same in both worlds."""
    body = _stripped(json.loads(answer.body)) if answer.body else None
    if ask.borrowed and isinstance(body, dict):
        body.pop("cursor", None)  # it names what earlier pages have shown
    return answer.status, body


def _stripped(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _stripped(value) for name, value in part.items() if name not in VOLATILE}
    return [_stripped(item) for item in part] if isinstance(part, list) else part


def _difference(here: Any, there: Any, path: str = "") -> str | None:
    """The first place where they differ; None where they do not."""
    if isinstance(here, dict) and isinstance(there, dict) and here.keys() == there.keys():
        parts = [(here[each], there[each], f"{path}.{each}") for each in here]
    elif isinstance(here, (list, tuple)) and isinstance(there, (list, tuple)) and len(here) == len(there):
        parts = [(*pair, f"{path}[{place}]") for place, pair in enumerate(zip(here, there, strict=True))]
    elif isinstance(here, float) and isinstance(there, float) and math.isclose(here, there, abs_tol=TOLERANCE):
        return None
    else:
        return None if here == there else f"{path}: {str(here)[:300]} instead of {str(there)[:300]}"
    return next((found for part in parts if (found := _difference(*part))), None)
