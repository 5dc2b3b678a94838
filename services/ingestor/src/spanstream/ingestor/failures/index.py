"""The dead letters that are open: a fold over the dead-letter topic, in bounded memory. Pure; not thread-safe.

A dead letter is open until its record was sent again, it was discarded, or the index shows its version or a newer one.
A resolution follows, in its partition, the dead letter that it is about, so nothing has to be remembered of what is
resolved. The same dead letter written twice is one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from spanstream.eventlog.log import Record
from spanstream.events.ids import Key
from spanstream.events.v1.failure_pb2 import RESOLUTION_DISCARDED, RESOLUTION_REPLAYED, RESOLUTION_SUPERSEDED
from spanstream.ingestor.failures.letter import Letter, Origin, Resolved, read


class FailureIndex:
    """Beyond `max_bytes` the tenant with the most loses its newest. They stay in the log, to be read again from there: were
    it the oldest, those that are resolved by then would come first and take the room once more.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._letters: dict[str, OrderedDict[Origin, Letter]] = {}  # by tenant, oldest first
        self._of_key: dict[Key, set[Origin]] = {}
        self._bytes: dict[str, int] = {}  # by tenant
        self.total_bytes = 0
        self._left_out: set[str] = set()  # tenants
        self._left_from: dict[int, int] = {}  # partition -> offset of the first that was left out

    def apply(self, records: Iterable[Record]) -> None:
        """Take in records of the topic, of each partition in order."""
        for record in records:
            told = read(record)
            if isinstance(told, Letter):
                self._add(told)
            elif told is not None:
                self._resolve(told)

    def open(self, tenant: str) -> list[Letter]:
        """The tenant's open dead letters."""
        return list(self._of(tenant).values())

    def left_out(self, tenant: str) -> bool:
        """Whether there are more of the tenant's in the log than there was room for."""
        return tenant in self._left_out

    @property
    def may_hold_more(self) -> bool:
        """Whether dead letters were left out for which there is room by now: `go_back`."""
        return bool(self._left_out) and self.total_bytes <= self._max_bytes // 2

    def go_back(self) -> Mapping[int, int]:
        """Partition -> offset from which on the log has to be read again; until then nothing counts as left out."""
        places, self._left_from, self._left_out = self._left_from, {}, set()
        return places

    def remove(self, letter: Letter) -> None:
        """It is open no more, or no longer in the log."""
        found = self._of(letter.key.tenant).pop(letter.origin, None)
        if found is None:
            return
        self._count(found, -1)
        origins = self._of_key[found.key]
        origins.discard(found.origin)
        if not origins:
            del self._of_key[found.key]

    def _add(self, letter: Letter) -> None:
        self.remove(letter)
        self._letters[letter.key.tenant] = self._of(letter.key.tenant)
        self._letters[letter.key.tenant][letter.origin] = letter
        self._of_key.setdefault(letter.key, set()).add(letter.origin)
        self._count(letter, 1)
        while self.total_bytes > self._max_bytes:
            tenant = max(self._bytes, key=lambda name: self._bytes[name])
            self._left_out.add(tenant)
            newest = next(reversed(self._of(tenant).values()))
            partition, offset = newest.place
            self._left_from[partition] = min(offset, self._left_from.get(partition, offset))
            self.remove(newest)

    def _of(self, tenant: str) -> OrderedDict[Origin, Letter]:
        return self._letters.get(tenant, OrderedDict())

    def _resolve(self, told: Resolved) -> None:
        letters = self._of(told.key.tenant)
        for origin in list(self._of_key.get(told.key, ())):
            letter = letters[origin]
            this = told.resolution in (RESOLUTION_REPLAYED, RESOLUTION_DISCARDED) and origin == told.origin
            outrun = told.resolution == RESOLUTION_SUPERSEDED and 0 < letter.version <= told.version
            if this or outrun:  # version 0 is one that could not be read
                self.remove(letter)

    def _count(self, letter: Letter, sign: int) -> None:
        tenant, cost = letter.key.tenant, sign * letter.cost
        self.total_bytes += cost
        self._bytes[tenant] = self._bytes.get(tenant, 0) + cost
        if not self._bytes[tenant]:
            del self._bytes[tenant], self._letters[tenant]
