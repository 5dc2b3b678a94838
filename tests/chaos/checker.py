"""Judges a history: each key's expected state is rebuilt from the order rule (version, delete over upsert, hash52), and what
clients and index showed is held against it. Pure, offline.

    lost         acknowledged, and neither shown, superseded nor failed with a word about it; or a live document not found
    phantom      shown, but nobody asked for it
    duplicate    one passage twice
    stale        older than what was shown before, or left in the store below what the head shows
    resurrected  shown again after a delete that it must not survive
    half         a live document without some of its passages
    mixed        passages of another version than the head's
    leaked       shown to who may not see it
    refused      a dead letter that nothing explains
    stuck        it never settles
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spanstream.events.ids import Key, Order
from tests.chaos.history import (
    Call,
    Content,
    DeadLetter,
    Found,
    Groups,
    Head,
    History,
    Look,
    PowerCut,
    Receipt,
    Settled,
    Shown,
    Spoiled,
    Told,
)

LIVE, DELETED = "live", "deleted"
CONFLICT = "VERSION_CONFLICT"


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong, with what, and why it is."""

    kind: str
    key: Key | None
    detail: str

    def __str__(self) -> str:
        name = "/".join(self.key) if self.key else "all"
        return f"{self.kind}: {name}: {self.detail}"


def check(history: History) -> list[Violation]:
    """All violations, each once."""
    judge = _Judge(history)
    rules: list[Callable[[], Iterator[Violation]]] = [
        judge.observations,
        judge.settled,
        judge.dead_letters,
        judge.final,
    ]
    return list(dict.fromkeys(found for rule in rules for found in rule()))


class _Judge:
    def __init__(self, history: History) -> None:
        self._history = history
        calls = [entry for entry in history.entries if isinstance(entry, Call)]
        self._calls = {call.id: call for call in calls}
        self._of: dict[Key, list[Call]] = defaultdict(list)
        for call in calls:
            self._of[call.key].append(call)
        receipts = [entry for entry in history.entries if isinstance(entry, Receipt)]
        self._receipts = {receipt.call: receipt for receipt in receipts}
        self._spoiled = {entry.content for entry in history.entries if isinstance(entry, Spoiled)}

    # --- While it runs ---

    def observations(self) -> Iterator[Violation]:
        """What clients saw never goes back, never was anybody else's, and is whole."""
        floors: dict[Key, list[tuple[int, Order]]] = defaultdict(list)  # (when it was seen, what)
        dark = False  # after a power cut, until it has settled
        for entry in self._history.entries:
            match entry:
                case PowerCut():
                    floors.clear()
                    dark = True
                case Settled():
                    dark = False
                case Look():
                    yield from self._bodies(entry, whole=not dark)
                case Told():
                    yield from self._told(entry, _floor(floors[entry.key], entry.called), dark)
                    if order := _order(entry):
                        floors[entry.key].append((entry.at, order))
                case Found():
                    for hit in entry.hits:
                        yield from self._hit(entry, hit, _floor(floors[hit.key], entry.called), dark)
                        floors[hit.key].append((entry.at, hit.order))

    def _told(self, told: Told, floor: Order | None, dark: bool) -> Iterator[Violation]:
        order = _order(told)
        if order:
            yield from self._asked_for(told.key, order, told.content, told.at, "a status")
            content = self._history.contents.get(told.content)
            if told.outcome == "searchable" and content and not _admits(content.groups, told.groups):
                yield Violation("leaked", told.key, f"a status tells {told.groups} of version {told.version}")
        if order and told.asked is not None and told.version < told.asked:
            yield Violation(
                "phantom", told.key, f"a status says {told.outcome} of {told.asked}, but shows {told.version}"
            )
        if told.outcome == "failed" and not any(
            letter.key == told.key and letter.version > told.version for letter in self._history.dead_letters
        ):
            yield Violation("phantom", told.key, "a status tells of a failure, and there is no dead letter")
        if floor is None or told.groups is not None or dark:
            return
        if order and order < floor:
            yield _backwards(told.key, order, floor, "a status")
        elif not order and told.version < floor.version:
            yield Violation("stale", told.key, f"a status says {told.outcome} at {told.version} after {_name(floor)}")

    def _hit(self, found: Found, hit: Shown, floor: Order | None, dark: bool) -> Iterator[Violation]:
        bodies = {(version, content) for version, content, _, _ in hit.passages}
        if hit.key.tenant != found.tenant:
            yield Violation("leaked", hit.key, f"a search of {found.tenant} shows it")
        if len(bodies) > 1:
            yield Violation("mixed", hit.key, f"a search shows passages of {len(bodies)} versions at once")
        for version, content in bodies:
            known = self._history.contents.get(content)
            if known and not _admits(known.groups, found.groups):
                yield Violation("leaked", hit.key, f"a search of {found.groups} shows version {version}")
            if Order.of(version, content, False).hash52 != hit.order.hash52 or version > hit.order.version:
                yield Violation("mixed", hit.key, f"a search shows passages of {version} under {_name(hit.order)}")
            yield from self._asked_for(hit.key, Order.of(version, content, False), content, found.at, "a search")
        for (version, _, ordinal), count in Counter(passage[:3] for passage in hit.passages).items():
            if count > 1:
                yield Violation("duplicate", hit.key, f"a search shows passage {ordinal} of version {version} twice")
        for _, content, ordinal, text in hit.passages:
            if content in self._history.contents and text not in self._history.contents[content].text:
                yield Violation("mixed", hit.key, f"passage {ordinal} has a text that the document has not")
        if floor and hit.order < floor and not dark:
            yield _backwards(hit.key, hit.order, floor, "a search")

    def _bodies(self, look: Look, *, whole: bool) -> Iterator[Violation]:
        """A live head names passages that are all there, each once."""
        ordinals: dict[tuple[Key, int, bytes], list[int]] = defaultdict(list)
        for passage in look.passages:
            ordinals[passage.key, passage.version, passage.content].append(passage.ordinal)
        for (key, version, _), found in ordinals.items():
            if len(set(found)) < len(found):
                yield Violation("duplicate", key, f"version {version} has a passage twice in the store")
        for key, head in look.heads.items():
            found = sorted(set(ordinals[key, head.body, head.content]))
            if head.state == LIVE and whole and found != list(range(head.count)):
                yield Violation("half", key, f"{_name(head.order)} is live with passages {found} of {head.count}")

    def _asked_for(self, key: Key, order: Order, content: bytes, at: int, where: str) -> Iterator[Violation]:
        """Some call before `at` may have led to this."""
        for call in self._of[key]:
            receipt = self._receipts.get(call.id)
            versions = {call.version, receipt.version if receipt else None}
            unknown = call.version is None and receipt is None
            same = (call.content, int(call.deleted)) == (content, order.rank)
            if call.at < at and same and (unknown or order.version in versions):
                return
        yield Violation("phantom", key, f"{where} shows {_name(order)}, which nobody asked for")

    # --- When nothing is under way ---

    def settled(self) -> Iterator[Violation]:
        """Between settling and the next call a search finds every document that it may, whole."""
        look: Look | None = None
        quiet = False
        for entry in self._history.entries:
            match entry:
                case Settled():
                    quiet, look = True, None
                case Call() | PowerCut():
                    quiet = False
                case Look() if quiet:
                    look = entry
                case Found() if quiet and look:
                    yield from self._complete(entry, look)

    def _complete(self, found: Found, look: Look) -> Iterator[Violation]:
        hits = {hit.key: hit for hit in found.hits}
        for key, head in look.heads.items():
            content = self._history.contents.get(head.content, Content(""))
            seen = key.tenant == found.tenant and _admits(content.groups, found.groups)
            if head.state != LIVE or not seen:
                continue
            if key not in hits:
                yield Violation("lost", key, f"a search does not find {_name(head.order)}")
            elif len({ordinal for _, _, ordinal, _ in hits[key].passages}) != head.count:
                yield Violation("half", key, f"a search finds {len(hits[key].passages)} passages of {head.count}")

    def dead_letters(self) -> Iterator[Violation]:
        """Each has a cause: the world spoilt that content, a source gave one version twice, or its blob was deleted."""
        for letter in self._history.dead_letters:
            if letter.content in self._spoiled or (letter.reason == CONFLICT and self._twice(letter)):
                continue
            yield Violation(
                "refused", letter.key, f"version {letter.version} is a dead letter for no cause: {letter.reason}"
            )

    def _twice(self, letter: DeadLetter) -> bool:
        contents = set()
        for call in self._of[letter.key]:
            receipt = self._receipts.get(call.id)
            if call.version is None and receipt is None:
                return True  # who knows which version it was given
            if letter.version in (call.version, receipt.version if receipt else None):
                contents.add((call.content, call.deleted))
        return len(contents) > 1

    # --- In the end ---

    def final(self) -> Iterator[Violation]:
        """The index shows of each key the greatest order that was acknowledged, or a greater one that was asked for."""
        final = self._history.final
        if final is None:
            yield Violation("stuck", None, "it never settled")
            return
        yield from self._bodies(final, whole=True)
        for key, head in final.heads.items():
            if head.state in (LIVE, DELETED):
                yield from self._asked_for(key, head.order, head.content, final.at, "the index")
        yield from self._left_over(final)
        for receipt in self._receipts.values():
            yield from self._kept(receipt, final)
            yield from self._swallowed(receipt)
            yield from self._reordered(receipt)

    def _left_over(self, final: Look) -> Iterator[Violation]:
        for passage in final.passages:
            head = final.heads.get(passage.key)
            order = Order.of(passage.version, passage.content, False)
            if head is None or order > head.order:
                continue  # someone may still be writing it
            if head.state != LIVE or (passage.version, passage.content) != (head.body, head.content):
                yield Violation("stale", passage.key, f"passages of {_name(order)} lie below {_name(head.order)}")

    def _kept(self, receipt: Receipt, final: Look) -> Iterator[Violation]:
        call = self._calls[receipt.call]
        order = Order.of(receipt.version, call.content, call.deleted)
        head = final.heads.get(call.key)
        if head and head.state in (LIVE, DELETED) and head.order >= order:
            return
        if call.deleted and head and head.state == LIVE:
            yield Violation("resurrected", call.key, f"{_name(head.order)} is live below {_name(order)}")
        elif not self._failed(call, receipt.version, head):
            shown = _name(head.order) if head else "nothing"
            yield Violation("lost", call.key, f"{_name(order)} was acknowledged, the index shows {shown}")

    def _failed(self, call: Call, version: int, head: Head | None) -> bool:
        """There is a dead letter, and the last status of that version says so; or the version shows other content."""
        letters = [
            letter for letter in self._history.dead_letters if (letter.key, letter.version) == (call.key, version)
        ]
        if head and head.order.version >= version:
            return any(letter.content in (call.content, b"") for letter in letters)
        told = [entry for entry in self._history.entries if isinstance(entry, Told) and entry.key == call.key]
        asked = [each for each in told if each.groups is None and each.asked == version]
        return bool(letters and asked) and asked[-1].outcome == "failed"

    def _swallowed(self, receipt: Receipt) -> Iterator[Violation]:
        """`unchanged` is no answer to a call that came after a newer state was acknowledged."""
        call = self._calls[receipt.call]
        if not receipt.unchanged or call.version is not None:
            return
        order = Order.of(receipt.version, call.content, False)
        for other in self._of[call.key]:
            earlier = self._receipts.get(other.id)
            if earlier and earlier.at < call.at and Order.of(earlier.version, other.content, other.deleted) > order:
                detail = f"it was called unchanged at {receipt.version} after {earlier.version} was acknowledged"
                yield Violation("lost", call.key, detail)

    def _reordered(self, receipt: Receipt) -> Iterator[Violation]:
        """One process gives rising versions, whatever its clock does: else the later of two calls is the one that goes under."""
        call = self._calls[receipt.call]
        if call.version is not None or receipt.unchanged or not receipt.server:
            return
        for other in self._of[call.key]:
            earlier = self._receipts.get(other.id)
            if not earlier or other.version is not None or earlier.unchanged or earlier.server != receipt.server:
                continue
            if earlier.at < call.at and earlier.version >= receipt.version:
                yield Violation("lost", call.key, f"version {receipt.version} was given after {earlier.version}")


def _order(told: Told) -> Order | None:
    if told.outcome == "searchable":
        return Order.of(told.version, told.content, False)
    return Order.of(told.version, told.content, True) if told.outcome == "deleted" else None


def _floor(seen: list[tuple[int, Order]], called: int) -> Order | None:
    """The greatest order that somebody had seen before this was asked."""
    return max((order for at, order in seen if at < called), default=None)


def _admits(groups: Groups, caller: Groups | None) -> bool:
    return caller is None or not groups or not set(groups).isdisjoint(caller)


def _backwards(key: Key, order: Order, floor: Order, where: str) -> Violation:
    kind = "resurrected" if floor.rank and not order.rank else "stale"
    return Violation(kind, key, f"{where} shows {_name(order)} after {_name(floor)} was seen")


def _name(order: Order) -> str:
    return f"version {order.version}{' (deleted)' if order.rank else ''} ({order.hash52:013x})"
