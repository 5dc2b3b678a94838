"""Which threads of a process get a core first."""

from __future__ import annotations

import os
import sys
import threading

_LATER = 10  # steps of niceness: beside one that did not give way, a tenth of a core
_LAST = 19  # there is none below


def give_way() -> None:
    """The calling thread, and what it starts, computes on what others leave: for work that nobody waits for at once.

    For good: most processes may not take it back. Where threads have no priority of their own (elsewhere than on Linux)
    nothing happens.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(now + _LATER, _LAST))
