"""Whether a disk has room for a second generation of the index. Of a server's disks nothing is known here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spanstream.runtime.free_space import free_bytes


class Room:
    """What the disk of `folder` may still take, but for `least_bytes`: with less free documents are refused (decision 0029)."""

    def __init__(self, folder: Path | None, least_bytes: int, free: Callable[[Path], int] = free_bytes) -> None:
        """`folder` None: the index is on a server. `free` says how many bytes are."""
        self._folder, self._least, self._free = folder, least_bytes, free

    def left(self) -> int | None:
        """Bytes; None: not known. Raises OSError for a disk that does not answer."""
        return None if self._folder is None else max(0, self._free(self._folder) - self._least)

    def lack(self, needed: int) -> str:
        """Why so many bytes are clearly too many, and what to do; empty: they are not. Raises as `left`."""
        left = self.left()
        if left is None or left >= needed:
            return ""
        return (
            f"the new index takes {needed >> 20} MiB at least beside the old one, and the disk of {self._folder} has"
            f" {left >> 20} MiB for it: {self._least >> 20} MiB stay free for documents that come in. Make room, or move the"
            " data to a larger disk, then apply again; nothing was changed"
        )
