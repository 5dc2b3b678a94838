"""Python imports this before anything else where its folder is in PYTHONPATH: the process has another clock then."""

import os
import time

_ahead_s = int(os.environ.get("CLOCK_AHEAD_SECONDS", "0"))
_time, _time_ns = time.time, time.time_ns

time.time = lambda: _time() + _ahead_s
time.time_ns = lambda: _time_ns() + _ahead_s * 1_000_000_000
