"""Who may see what: heads alone make passages visible."""

from __future__ import annotations

from collections.abc import Sequence

from spanstream.events.ids import Key
from spanstream.runtime.identity import admitted
from spanstream.store.points import Head, Passage, State
from spanstream.store.queries import Scope


def shows(head: Head, passage: Passage, scope: Scope) -> bool:
    """Whether the head makes this passage visible to this caller."""
    named = (head.body_version, head.content_hash) == (passage.version, passage.content_hash)
    return named and head.state is State.LIVE and admits(head.key, head.groups, scope)


def admits(key: Key, groups: Sequence[str], scope: Scope) -> bool:
    """Whether the caller may see the document: its tenant's, of a source it may, with no groups or one of the caller's.

    Stores look among the scope's documents alone; what one of them gets wrong is held back here.
    """
    if key.tenant != scope.tenant:
        return False
    if scope.sources is not None and key.source not in scope.sources:
        return False
    return admitted(groups, scope.groups)
