"""How a search is to be answered: what the API calls by the same names, as Python has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypedDict

from spanstream.client.results import Receipt


class SearchOptions(TypedDict, total=False):
    """All may be left out; docs/search.md says what each does."""

    limit: int  # hits; 10
    mode: str | None  # hybrid, dense, spans or lexical
    sources: Sequence[str] | None  # a filter like any other; both must hold
    filter: Mapping[str, Any] | None
    facets: Mapping[str, int] | None  # how many values of which field to count
    boosts: Sequence[Mapping[str, Any]] | None
    recency: Mapping[str, Any] | None
    diversity: float | None  # 0 to 1
    cursor: str | None  # of the result before
    fusion: str | None  # convex, rrf or dbsf
    rerank: Mapping[str, Any] | None  # {"stage": "late"}
    expand: bool
    explain: bool  # say of each hit why it has its score and rank
    after: Sequence[Receipt]  # whose documents to wait for, some seconds at most
    after_wait: float | None  # seconds
    deadline_ms: int | None  # for the search itself
    group_by: str | None  # document or none
    passages_per_document: int | None
    spans_per_passage: int | None


_AS_THEY_ARE = (
    *("limit", "mode", "diversity", "cursor", "fusion", "after_wait", "deadline_ms"),
    *("group_by", "passages_per_document", "spans_per_passage"),
)


def body(options: SearchOptions) -> dict[str, Any]:
    """The fields of the request."""
    if unknown := options.keys() - SearchOptions.__annotations__.keys():
        named = sorted(unknown)[0]
        near = "".join(f"; is it {name!r}?" for name in get_close_matches(named, SearchOptions.__annotations__, 1))
        raise TypeError(f"a search has no option {named!r}{near}")
    given: dict[str, Any] = {"limit": 10, **options}
    conditions = [{"field": "source", "in": list(given["sources"])}] if given.get("sources") else []
    conditions += [dict(given["filter"])] if given.get("filter") else []
    plain = {name: given.get(name) or None for name in ("boosts", "recency", "rerank", "expand", "explain")}
    plain |= {name: given.get(name) for name in _AS_THEY_ARE}
    facets = [{"field": field, "limit": limit} for field, limit in (given.get("facets") or {}).items()]
    after = [{"source": each.source, "id": each.id, "version": each.version} for each in given.get("after", ())]
    narrowed = {"all": conditions} if len(conditions) > 1 else conditions[0] if conditions else None
    made = plain | {"filter": narrowed, "facets": facets or None, "after": after or None}
    return {name: value for name, value in made.items() if value is not None}
