"""Explanations, misses and documents out of the server's JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanstream.client.explanations import Added, Better, Explanation, LegRank, LegScore, Miss, Part, Word
from spanstream.client.results import Content, ContentPassage, Snippet

Row = Mapping[str, Any]


def explanation(row: Row | None) -> Explanation | None:
    """Of a hit; None where none was asked for."""
    if row is None:
        return None
    return Explanation(
        score=row["score"],
        rank=row["rank"],
        candidates=row["candidates"],
        legs=tuple(map(_leg, row["legs"])),
        added=tuple(Added(each["step"], each["amount"], tuple(each["words"])) for each in row["added"]),
        parts=_part(row["parts"]) if row["parts"] else None,
        without=dict(row["without"]),
        words=tuple(Word(each["start"], each["end"], each["text"]) for each in row["words"]),
        title_words=tuple(row["title_words"]),
    )


def miss(row: Row) -> Miss:
    """The answer to the question why a document was missed."""
    return Miss(
        **{name: row[name] for name in ("source", "id", "reason", "detail", "version", "failure")},
        conditions=tuple((each["field"], each["condition"]) for each in row["conditions"]),
        **{name: row[name] for name in ("rank", "limit", "at", "by_words")},
        legs=tuple(
            LegRank(each["leg"], each["finds"], each["rank"], each["score"], each["text"], each["like"])
            for each in row["legs"]
        ),
        explanation=explanation(row["explanation"]),
        hits=tuple(Better(each["source"], each["id"], each["title"], each["score"]) for each in row["hits"]),
    )


def content(row: Row) -> tuple[Content, int | None]:
    """A page of a document, and the ordinal of the first passage behind it."""
    passages = tuple(
        ContentPassage(
            each["ordinal"],
            each["start"],
            each["end"],
            each["text"],
            tuple((span["start"], span["end"]) for span in each["spans"]),
        )
        for each in row["passages"]
    )
    named = ("source", "id", "version", "content_hash", "title", "content_type", "metadata")
    return Content(**{name: row[name] for name in named}, passages=passages), row["next"]


def snippet(row: Row | None) -> Snippet | None:
    """Of a passage."""
    return Snippet(row["start"], row["end"], row["text"]) if row else None


def _leg(row: Row) -> LegScore:
    return LegScore(row["leg"], row["score"], row["normalised"], row["weight"], row["contribution"], row["rank"])


def _part(row: Row) -> Part:
    parts, legs = tuple(map(_part, row["parts"])), tuple(map(_leg, row["legs"]))
    return Part(row["kind"], row["grade"], row["text"], row["like"], parts, legs)
