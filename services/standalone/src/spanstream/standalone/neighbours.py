"""Log and index without the services around them: at addresses, or of a data folder on which nothing runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spanstream.client.errors import Unusable
from spanstream.eventlog.access import OPEN
from spanstream.eventlog.log import Log
from spanstream.eventlog.opening import open_log
from spanstream.runtime.settings import LogAccessSettings, StoreAccessSettings
from spanstream.standalone.folder import DataFolder
from spanstream.standalone.trouble import Trouble
from spanstream.store.opening import open_store
from spanstream.store.store import Store

STOP_SECONDS = 15.0


@contextmanager
def neighbours(path: Path, log_url: str | None, store_url: str | None) -> Iterator[tuple[Log, Store]]:
    """What has no address is of the data folder at `path`, which nobody else may use meanwhile: its own Kafka is started,
    and stopped afterwards. The store is not open. Raises Trouble, SettingsError, Unusable for an address that is none, and what
    log and store do.
    """
    folder = DataFolder(path)
    with ExitStack() as stack:
        if log_url is None or store_url is None:
            if not folder.path.is_dir():
                raise Trouble(
                    f"There is no Spanstream at {folder.path}.",
                    "Name the log and the store: --log-url and --store-url.",
                )
            folder.open(free_bytes=0)
            stack.callback(folder.close)
        own = StoreAccessSettings.read()
        access = OPEN if log_url is None else LogAccessSettings.read().log_access
        try:
            log = open_log(log_url or stack.enter_context(_broker(folder)), access)
            stack.callback(log.close)
            store = open_store(store_url or f"edge:{folder.index}", own.store_secret, own.store_ca_file)
        except ValueError as error:
            raise Unusable(str(error)) from error
        stack.callback(store.close)
        yield log, store


@contextmanager
def _broker(folder: DataFolder) -> Iterator[str]:
    """The address of the folder's own Kafka, while it runs."""
    from spanstream.standalone.broker import BrokerError, LocalBroker

    failures: list[BaseException] = []
    broker = LocalBroker(folder.kafka)
    try:
        broker.start(failures.append)
    except BrokerError as error:
        raise Trouble(str(error), "") from error
    try:
        yield broker.url
    finally:
        broker.stop(time.monotonic() + STOP_SECONDS)
