"""The data folder: everything that must survive a restart, owned by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from spanstream.client import config
from spanstream.client.errors import Unusable
from spanstream.runtime.identity import DEFAULT_TENANT, SCOPES
from spanstream.runtime.key_file import create_key, read_keys
from spanstream.runtime.signing import KeyUnreadable, Signer
from spanstream.standalone.calling import elsewhere, on_free_ports
from spanstream.standalone.trouble import InUse, Trouble

FREE_BYTES = 1 << 30  # the broker refuses below half of this, and an index that cannot grow helps nobody
KEY_ID = "local"


class DataFolder:
    """The paths below it. `open` makes and locks it, until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.kafka = self.path / "kafka"
        self.index = self.path / "index"
        self.blobs = self.path / "blobs"
        self.windows = self.path / "windows"  # what documents' windows gave; may be deleted at any time
        self.log = self.path / "logs" / "spanstream.log"
        self.processes_log = self.log.with_name("processes.log")  # of services in processes of their own
        self.keys = self.path / "keys.json"
        self.audit = self.path / "audit.jsonl"
        self.receipt_key = self.path / "receipt-key.pem"
        self._lock: IO[str] | None = None

    def open(self, free_bytes: int = FREE_BYTES) -> None:
        """1 make it, 2 lock it, 3 look for room. Raises Trouble."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # 1
            self.log.parent.mkdir(exist_ok=True)
            self._lock = open(self.path / "lock", "a+")  # noqa: SIM115 held until `close`, or the end of the process
            with tempfile.TemporaryFile(dir=self.path):
                pass  # an old lock may be writable where nothing new can be made
        except OSError as error:
            raise Trouble(
                f"The data folder {self.path} cannot be written: {error.strerror}.",
                f"Correct its permissions, or choose another one: {elsewhere()}.",
            ) from error
        try:
            self._own(self._lock)  # 2
            self._look_for_room(free_bytes)  # 3
        except Trouble:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it; idempotent."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _own(self, lock: IO[str]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise InUse(
                f"Another Spanstream (process {lock.read().strip() or 'unknown'}) uses the data folder {self.path}.",
                f"Use that one{self._address()}, stop it first (Ctrl-C in its terminal), or start a second one with a"
                f" folder of its own: {on_free_ports()}.",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()

    def _address(self) -> str:
        """Where the one that runs serves, if it has said so."""
        try:
            url = config.read(self.path).get("url")
        except Unusable:
            return ""
        return f" ({url})" if url else ""

    def _look_for_room(self, wanted: int) -> None:
        free = shutil.disk_usage(self.path).free
        if free < wanted:
            raise Trouble(
                f"Only {free >> 20} MB are free on the disk of {self.path}; {wanted >> 20} MB are needed.",
                f"Free some space, or choose a folder on another disk: {elsewhere()}.",
            )

    def make_receipt_key(self) -> None:
        """What deletion receipts are signed with, made at the first start. Raises Trouble if its file is damaged."""
        if not self.receipt_key.exists():
            Signer.create(self.receipt_key)
            return
        try:
            Signer.read(self.receipt_key)
        except KeyUnreadable as error:
            raise Trouble(
                f"The key that deletion receipts are signed with, {self.receipt_key}, is damaged.",
                "Put back a copy of it, or move it away and start again: a new key is made. Receipts of before are still"
                " verified with the public key of then.",
            ) from error

    def key(self) -> str:
        """The API key of this machine's owner, made at the first start. Raises Trouble if its files are damaged."""
        try:
            saved = config.read(self.path).get("api_key")
        except Unusable:
            saved = None  # the file is written anew
        try:
            if saved and self.keys.exists():
                read_keys(self.keys)  # services would wait for it to be mended, and nobody told to
                return saved
            return create_key(self.keys, KEY_ID, DEFAULT_TENANT, SCOPES)
        except (ValueError, KeyError) as error:
            raise Trouble(
                f"The file of API keys {self.keys} is damaged.", "Move it away and start again: a new key is made."
            ) from error
