"""Starting what takes seconds in the background, so that it takes them while something else does too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from spanstream.encoder.encoder import Encoded, Encoder, EncoderInfo, Text
from spanstream.encoder.errors import EncoderUnavailable
from spanstream.runtime.service import Report, Service


def _background(work: Callable[[], None], name: str) -> Future[None]:
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 whoever waits for the future gets it
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class Ahead:
    """A service that begins to start when this is made; `start` waits until it has."""

    def __init__(self, service: Service) -> None:
        self.name = service.name
        self.live = service.live
        self.unready = service.unready
        self._service = service
        self._report: Report | None = None
        self._early: list[BaseException] = []
        self._started = _background(lambda: service.start(self._relay), f"start-{service.name}")

    def start(self, report: Report) -> None:
        """Wait; raises what the service's own start raised."""
        self._report = report
        self._started.result()
        for error in self._early:
            report(error)

    def stop(self, deadline: float) -> None:
        """Stop it, started or not."""
        self._service.stop(deadline)

    def _relay(self, error: BaseException) -> None:
        if self._report is None:
            self._early.append(error)
        else:
            self._report(error)


class LoadingEncoder:
    """An encoder that loads in the background: until then it is unavailable. Also the service that owns it."""

    name = "encoder"

    def __init__(self, load: Callable[[], Encoder]) -> None:
        self._encoder: Encoder | None = None
        self._report: Report = lambda error: None
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._loading = threading.Thread(target=self._load, args=(load,), name="load-encoder", daemon=True)
        self._loading.start()

    def start(self, report: Report) -> None:
        """Return at once; a failure to load is reported when it happens."""
        with self._lock:
            self._report = report
            failure = self._failure
        if failure is not None:
            raise failure

    def live(self) -> bool:
        """Always: a model that cannot be loaded ends the process."""
        return True

    def unready(self) -> list[str]:
        """Whether it is not loaded, or would not answer."""
        return ["the model is still being loaded"] if self._encoder is None else self._encoder.unready()

    def stop(self, deadline: float) -> None:
        """Release the model."""
        self.close()

    def info(self) -> EncoderInfo:
        """See the port."""
        return self._loaded().info()

    def encode(self, texts: Sequence[Text], *, query: bool = False) -> list[Encoded]:
        """See the port."""
        return self._loaded().encode(texts, query=query)

    def close(self) -> None:
        """See the port."""
        with self._lock:
            self._closed = True
            encoder = self._encoder
        if encoder is not None:
            encoder.close()

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            raise EncoderUnavailable("the model is still being loaded")
        return self._encoder

    def _load(self, load: Callable[[], Encoder]) -> None:
        try:
            encoder = load()
        except BaseException as error:  # noqa: BLE001 reported: it ends the process
            with self._lock:
                self._failure = error
                report = self._report
            report(error)
            return
        with self._lock:
            self._encoder = encoder
            closed = self._closed
        if closed:
            encoder.close()
