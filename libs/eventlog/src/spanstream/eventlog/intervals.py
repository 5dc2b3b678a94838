"""How long a consumer may be away from its log, and how much of that one poll may use."""

from __future__ import annotations

MAX_POLL_INTERVAL = 600.0  # seconds between two polls after which a consumer's partitions move to another member
# Seconds after which a poll ends with what is done of it. A fifth leaves room for what was begun just before: a last
# document, a start of the parsers' process, a slow answer, and publishing.
POLL_SECONDS = MAX_POLL_INTERVAL / 5
# Seconds between two commits while records keep coming: a commit waits for the log, an index's flush for the disk, and a
# crash repeats at most this much work, which changes nothing that was done.
COMMIT_SECONDS = 1.0
