"""Log against index: buckets of documents first, then what differs one by one, while both go on changing.

    1 read documents.v1 and remember each key's greatest event; sum them up, bucket by bucket
    2 scan the heads of these keys, and sum up them, and the passages that they name
    3 within the buckets that differ: which keys do
    4 scan the passages, and do likewise with what is there against what is named
    5 look at the keys that differ, a chunk at a time: all their events and dead letters, then, once the pipeline has
      applied all of these, their heads and passages. A key that had another event meanwhile is looked at again

Whatever moves during 1 to 4 only makes more keys to look at; 5 alone says what is wrong. Memory: `keys_held` keys of the
log at a time (2 has as many passes over the log as that takes), `looked_at_once` of 5, and `most_differing` ids.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from spanstream.eventlog.log import Log
from spanstream.eventlog.partitions import partition_of
from spanstream.events.ids import Key, head_id
from spanstream.events.topics import DOCUMENTS, FAILURES
from spanstream.standalone.audit.buckets import Buckets, bits_for, order_mark, passage_mark, point_mark
from spanstream.standalone.audit.events import Histories, Winners
from spanstream.standalone.audit.reading import Progress, Topics, silent
from spanstream.standalone.audit.settled import settled
from spanstream.standalone.audit.verdicts import Difference, Kind, verdict
from spanstream.store.points import Head, PassageMark, State
from spanstream.store.store import Store

Settle = Callable[[Log, float, Progress], Mapping[int, int]]
ALL_IDS = 1 << 128
LOOKS = 5  # at a key that has new events each time; then it is left undecided
SCAN_STEP = 4096  # heads or passages between two words of progress


@dataclass(frozen=True, slots=True)
class Limits:
    """Of memory, and of patience."""

    keys_held: int = 500_000  # about 130 MB
    looked_at_once: int = 10_000  # keys, with their events and dead letters
    most_differing: int = 200_000  # ids and keys, about 80 MB; more are left to the next run
    buckets_at_once: int = 4096  # whose passages are compared key by key in one scan
    settle_seconds: float = 60.0  # for the pipeline to apply what was in the log when it was asked


@dataclass(slots=True)
class Report:
    """`undecided`: what had events that the pipeline did not apply in time. `beyond_log`: index entries of partitions whose
    oldest records the log has given up. `left_out`: there are more than could be looked at. The digests are equal for
    indexes that show the same documents and passages.
    """

    logged: int = 0
    heads: int = 0
    passages: int = 0
    buckets: int = 0
    buckets_differing: int = 0
    looked_at: int = 0
    undecided: int = 0
    beyond_log: int = 0
    left_out: bool = False
    heads_digest: str = ""
    passages_digest: str = ""
    differences: Counter[Kind] = field(default_factory=Counter)

    @property
    def equal(self) -> bool:
        """Whether all was compared, and is equal."""
        return not (self.differences or self.undecided or self.left_out)


def compare(
    log: Log,
    store: Store,
    found: Callable[[Sequence[Difference]], None],
    *,
    limits: Limits | None = None,
    progress: Progress = silent,
    settle: Settle = settled,
) -> Report:
    """Tell `found` the differences, as they are found. Raises what log and store do. The store is open."""
    return _Comparison(log, store, found, limits or Limits(), progress, settle).run()


class _Comparison:
    def __init__(
        self,
        log: Log,
        store: Store,
        found: Callable[[Sequence[Difference]], None],
        limits: Limits,
        progress: Progress,
        settle: Settle,
    ) -> None:
        self._log, self._store, self._found = log, store, found
        self._limits, self._progress, self._settle = limits, progress, settle
        self._report = Report()
        bits = bits_for(sum(log.end_offsets(DOCUMENTS.name).values()))
        self._logged, self._heads, self._named, self._stored = (Buckets(bits) for _ in range(4))
        self._suspects: dict[int, Key | None] = {}  # head id -> its key, where the index told it

    def run(self) -> Report:
        self._settle(self._log, self._limits.settle_seconds, self._progress)
        first = 0
        while first < ALL_IDS:
            first = self._compare_heads(first)
        self._compare_passages()
        report = self._report
        report.buckets = 1 << self._heads.bits
        report.heads_digest = self._heads.digest
        ids = sorted(self._suspects)
        for start in range(0, len(ids), self._limits.looked_at_once):
            self._look(ids[start : start + self._limits.looked_at_once])
        return report

    # --- 1 to 3 ---

    def _compare_heads(self, first: int) -> int:
        """Those from an id on, as many as may be held; returns the id to go on with."""
        winners = Winners(first, ALL_IDS, self._limits.keys_held)
        Topics(self._log, self._progress).read({DOCUMENTS.name: winners.documents})  # 1
        self._report.logged += len(winners.orders)
        for id, order in winners.orders.items():
            self._logged.add(id, order_mark(id, order))
        for id, head in self._scan_heads(first, winners.end):  # 2
            self._report.heads += 1
            self._heads.add(id, order_mark(id, head.order))
            for point in head.passage_ids() if head.state is State.LIVE else ():
                self._named.add(id, point_mark(point))
            self._tell("heads", self._report.heads, max(self._report.heads, self._report.logged))
        for bucket in self._logged.differing(self._heads):  # 3
            low, high = self._logged.bounds(bucket)
            low, high = max(low, first), min(high, winners.end)
            if low < high:
                self._report.buckets_differing += 1
                self._differing_heads(winners, low, high)
        return winners.end

    def _differing_heads(self, winners: Winners, first: int, end: int) -> None:
        logged = {id for id in winners.orders if first <= id < end}
        for id, head in self._scan_heads(first, end):
            if winners.orders.get(id) != head.order:
                self._suspect(id, head.key)
            logged.discard(id)
        for id in logged:
            self._suspect(id, None)

    def _scan_heads(self, first: int, end: int) -> Iterator[tuple[int, Head]]:
        for head in self._store.scan_heads(first, end):
            if head.state is not State.ABSENT:
                yield head_id(head.key).int, head

    # --- 4 ---

    def _compare_passages(self) -> None:
        shown = Buckets(0)
        for id, mark in self._scan_passages():
            self._report.passages += 1
            self._stored.add(id, point_mark(mark.id))
            shown.add(id, passage_mark(id, mark.content_hash, mark.ordinal))
            self._tell("passages", self._report.passages, self._report.passages)
        self._report.passages_digest = shown.digest
        wrong = list(self._named.differing(self._stored))
        self._report.buckets_differing += len(wrong)
        for start in range(0, len(wrong), self._limits.buckets_at_once):
            self._differing_passages(set(wrong[start : start + self._limits.buckets_at_once]))

    def _differing_passages(self, buckets: set[int]) -> None:
        balance: Counter[int] = Counter()
        keys: dict[int, Key] = {}
        for bucket in sorted(buckets):
            for id, head in self._scan_heads(*self._named.bounds(bucket)):
                keys[id] = head.key
                balance[id] += sum(map(point_mark, head.passage_ids())) if head.state is State.LIVE else 0
        for id, mark in self._scan_passages():
            if self._named.bucket(id) in buckets:
                keys[id] = mark.key
                balance[id] -= point_mark(mark.id)
        for id, rest in balance.items():
            if rest:
                self._suspect(id, keys[id])

    def _scan_passages(self) -> Iterator[tuple[int, PassageMark]]:
        for mark in self._store.scan_passages():
            yield head_id(mark.key).int, mark

    # --- 5 ---

    def _look(self, ids: Sequence[int]) -> None:
        """At these keys, until each was seen at rest."""
        histories, topics = Histories(ids), Topics(self._log, self._progress)
        feeds = {FAILURES.name: histories.failures, DOCUMENTS.name: histories.documents}
        waiting = set(ids)
        differences: list[Difference] = []
        for _ in range(LOOKS):
            applied = self._settle(self._log, self._limits.settle_seconds, self._progress)
            topics.read(feeds)  # at least all of that
            before = {id: histories.known[id].last for id in waiting}
            keys = {id: key for id in waiting if (key := histories.known[id].key or self._suspects[id])}
            heads = self._store.heads(list(keys.values()))
            passages: defaultdict[Key, list[PassageMark]] = defaultdict(list)
            for mark in self._store.scan_passages(list(keys.values())):
                passages[mark.key].append(mark)
            topics.read(feeds)
            later = set()
            for id, key in keys.items():
                known = histories.known[id]
                partition, offset = known.last
                if offset >= 0 and partition not in applied:
                    self._report.undecided += 1
                elif known.last != before[id] or applied.get(partition, 0) <= offset:
                    later.add(id)
                elif difference := verdict(key, known, heads.get(key), passages[key]):
                    differences.append(difference)
            waiting = later
            if not waiting:
                break
        self._report.looked_at += len(ids)
        self._report.undecided += len(waiting)
        self._tell_found(differences, topics.oldest[DOCUMENTS.name])

    def _tell_found(self, differences: Sequence[Difference], oldest: Mapping[int, int]) -> None:
        told = []
        for each in differences:
            if each.unlogged and oldest[partition_of(each.key.encode(), len(oldest))] > 0:
                self._report.beyond_log += 1
            else:
                self._report.differences[each.kind] += 1
                told.append(each)
        if told:
            self._found(told)

    def _suspect(self, id: int, key: Key | None) -> None:
        if len(self._suspects) >= self._limits.most_differing and id not in self._suspects:
            self._report.left_out = True
        else:
            self._suspects[id] = key or self._suspects.get(id)

    def _tell(self, what: str, done: int, total: int) -> None:
        if done % SCAN_STEP == 0:
            self._progress(what, done, total)
