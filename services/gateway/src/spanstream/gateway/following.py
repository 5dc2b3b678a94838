"""Which of two generations answers, as the store says, while services in processes of their own are moved: `store.switching`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError
from spanstream.gateway.live import Shown
from spanstream.runtime.logs import get_logger
from spanstream.store.compression import Compression
from spanstream.store.errors import StoreError, StoreUnavailable
from spanstream.store.generation import Generation, named, opened
from spanstream.store.store import Store
from spanstream.store.switching import (
    SEARCHES_PATIENCE_SECONDS,
    SEARCHES_SEEN_SECONDS,
    WRITERS_SEEN_SECONDS,
    Held,
    Hold,
    move,
)

log = get_logger()

LOOK_SECONDS = 0.25
WAIT_SECONDS = 8.0  # that a search waits to know: a switch takes some two seconds
PREPARE_SECONDS = 1.0  # between two looks whether there is a next generation
_SLOW = f"which generation of the index is live is not known: the store takes longer than {SEARCHES_SEEN_SECONDS} s to say so"


class Following:
    """Called, by any thread, what answers now; `run` and `prepare` are targets of one thread each. It takes the place of `Live`."""

    def __init__(
        self,
        home: Store,
        own: Callable[[], Generation],
        next: Callable[[], Encoder],
        segmenter: str,
        compression: Compression | None,
        clock: Callable[[], float] = time.monotonic,
        wait: float = WAIT_SECONDS,
    ) -> None:
        """`own()`: the service's own generation, raises StoreUnavailable until it is open. `next()` opens the encoder of the
        other one, which may be of another release each time. `wait`: seconds that a search waits to know what is live.
        """
        self._wait = wait
        self._home, self._own, self._open_next = home, own, next
        self._next = next()
        self._segmenter, self._compression = segmenter, compression
        self._clock = clock
        self._held = Held(SEARCHES_PATIENCE_SECONDS, clock)
        self._reading: Store | None = None  # what the notes are read from
        self._other: Shown | None = None  # the next generation, once it is there
        self._shown: Shown | None = None  # what answers; None: our own
        self._seen_at: float | None = None  # when that was so; None: nothing answers
        self._ever = False  # it was so at some time
        self._waits_for = "it is not known yet which generation of the index is live"
        self._known_at = clock()  # when it was last known what answers, or that it is being switched
        self._known = threading.Condition()

    def __call__(self) -> Shown | None:
        """What a search is to be answered from, None: the service's own. Waits while a switch is under way; raises
        StoreUnavailable where that takes too long.
        """
        with self._known:
            if not self._known.wait_for(self._fresh, self._wait):
                raise StoreUnavailable(self._waits_for)
            return self._shown

    def unready(self) -> list[str]:
        """Why nothing answers, for longer than a search would wait."""
        with self._known:
            late = self._clock() - self._known_at >= self._wait
            return [self._waits_for] if not self._fresh() and (late or not self._ever) else []

    def run(self, stop: threading.Event) -> None:
        """Look until `stop`."""
        while not stop.is_set():
            self.look()
            stop.wait(LOOK_SECONDS)

    def look(self) -> None:
        """Once. What is seen counts from before it was asked for."""
        began = self._clock()
        try:
            self._open()
            assert self._reading is not None
            hold = self._held.look(
                self._reading
            )  # before what is live: the other way round it could be over in between
            if hold is Hold.ALL:
                self._know(None, None, "the index is being switched to another release's")
            else:
                self._know(self._live(), began)
        except (StoreError, EncoderError) as error:
            with self._known:
                self._waits_for = f"which generation of the index is live: {error}"
            log.warning("generation_unknown", detail=str(error))

    def _fresh(self) -> bool:
        return self._seen_at is not None and self._clock() - self._seen_at < SEARCHES_SEEN_SECONDS

    def _know(self, shown: Shown | None, seen_at: float | None, waits_for: str = "") -> None:
        with self._known:
            if seen_at is not None and shown is not self._shown:
                log.info("generation_followed", generation=(shown.generation if shown else self._own()).name)
            if seen_at is not None:
                self._shown, self._ever = shown, True
            self._known_at = self._clock()
            self._seen_at, self._waits_for = seen_at, waits_for or _SLOW
            self._known.notify_all()

    def _open(self) -> None:
        """What the notes are read from."""
        if self._reading is None:
            reading = self._home.beside()
            reading.open_live()
            self._reading = reading

    @property
    def other(self) -> Shown | None:
        """The next generation, once it could answer."""
        return self._other

    def prepare(self, stop: threading.Event) -> None:
        """Open the next generation as soon as somebody fills it, ahead of its time. Apart from `run`, which a slow encoder must
        not keep from looking.
        """
        while not stop.is_set():
            self.look_ahead()
            stop.wait(PREPARE_SECONDS)

    def look_ahead(self) -> None:
        """Once. One that is given up is forgotten, and what is asked next may be another release."""
        try:
            if (other := self._other) is None:
                self._look_for_next()
            elif other.generation.name not in self._home.generations():
                self._other = None
                other.store.close()
        except (StoreError, EncoderError) as error:  # while our own is the live one nobody needs it
            log.warning("next_generation_unknown", detail=str(error))

    def _look_for_next(self) -> None:
        info = self._next.info()  # first: a generation that goes meanwhile would be made anew
        if named(info, self._segmenter).name in self._home.generations():
            store = self._home.beside()
            generation = opened(store, info, self._segmenter, self._compression)
            self._other = Shown(generation, store, self._next)
        elif self._next.unready():  # or it has become another release
            self._next.close()
            self._next = self._open_next()

    def close(self) -> None:
        """The next generation and its encoder."""
        self._next.close()
        if self._other is not None:
            self._other.store.close()

    def _live(self) -> Shown | None:
        live = self._home.live()
        other = self._other
        if other is not None and live == other.generation.name:
            return other
        if live != self._own().name:
            raise StoreUnavailable(f"{live} is live, which neither ENCODER_URL nor NEXT_ENCODER_URL makes")
        return None


class Moving:
    """Whether the index is being moved, as it was a second ago at most: it is on record for longer before anything changes.
    Thread-safe.
    """

    def __init__(self, store: Callable[[], Store], clock: Callable[[], float] = time.monotonic) -> None:
        """`store()`: one that is open; raises StoreUnavailable before there is one."""
        self._store, self._clock = store, clock
        self._told: tuple[float, bool] | None = None

    def __call__(self) -> bool:
        """Raises what the store does."""
        now = self._clock()
        if self._told is None or now - self._told[0] >= WRITERS_SEEN_SECONDS:
            self._told = (now, move(self._store()) is not None)
        return self._told[1]
