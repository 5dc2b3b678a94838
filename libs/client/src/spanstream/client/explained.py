"""What a person sees of an explanation in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spanstream.client.explanations import Explanation, LegScore, Miss, Part
from spanstream.client.plain import line

SHOWN_WORDS = 20
SHOWN_CHARACTERS = 60  # of a part of a query
SHOWN_HITS = 10


def explanation(told: Explanation) -> RenderableType:
    """The score as a sum of what each leg and each later step gave; of a set of meanings each part's grade."""
    parts: list[RenderableType] = [
        Text(f"rank {told.rank} of {told.candidates} candidates, score {told.score:.3f}", style="dim")
    ]
    parts.append(_grades(told.parts) if told.parts else _sum(told))
    if told.parts and told.without:
        ranks = ", ".join(f"{leg} {rank}" for leg, rank in told.without.items())
        parts.append(Text(f"rank without {ranks}", style="dim"))
    for name, words in (("words", [word.text for word in told.words]), ("in the title", told.title_words)):
        if shown := [line(word) for word in dict.fromkeys(words)]:
            parts.append(Text(f"{name}: {', '.join(shown[:SHOWN_WORDS])}{' …' if shown[SHOWN_WORDS:] else ''}"))
    return Group(*parts)


def miss(told: Miss) -> RenderableType:
    """The reason, and what stands behind it."""
    parts: list[RenderableType] = [
        Text.assemble((told.reason.replace("_", " "), "bold"), f"  {line(told.source)}/{line(told.id)}: {told.detail}")
    ]
    if told.by_words:
        parts.append(Text("The model does not answer: ranked by words alone.", style="yellow"))
    if failure := told.failure:
        texts = (line(str(failure[name])) for name in ("version", "stage", "reason", "detail"))
        parts.append(Text("version {}: {}: {}: {}".format(*texts), style="red"))
    for field, condition in told.conditions:
        parts.append(Text(f"by {field}: {line(json.dumps(condition, ensure_ascii=False))}"))
    if told.rank is not None:
        parts.append(Text(f"rank {told.rank} where {told.limit} are asked for"))
    if told.at:
        parts.append(Text(f"behind others on {told.at}"))
    if told.legs:
        parts.append(_ranks(told))
    if told.explanation:
        parts += [Text("its best passage:"), explanation(told.explanation)]
    if told.hits:
        shown = [f"{hit.score:.3f}  {line(hit.source)}/{line(hit.id)}" for hit in told.hits[:SHOWN_HITS]]
        parts += [Text("the hits:"), *map(Text, shown)]
    return Group(*parts)


def _sum(told: Explanation) -> Table:
    table = _table("", "score", "normalised", "weight", "adds", "rank", "rank without")
    for leg in told.legs:
        table.add_row(*_leg(leg), str(told.without.get(leg.leg, "")))
    for added in told.added:
        words = ", ".join(map(line, added.words))
        table.add_row(f"{added.step}{f': {words}' if words else ''}", "", "", "", f"{added.amount:+.3f}", "", "")
    table.add_row("score", "", "", "", f"{told.score:+.3f}", "", "", style="bold")
    return table


def _grades(part: Part) -> Table:
    table = _table("", "grade", "score", "normalised", "weight", "adds", "rank")
    for depth, each in _walk(part):
        name = each.text or (f"like {each.like['source']}/{each.like['id']}" if each.like else each.kind)
        table.add_row("  " * depth + line(name)[:SHOWN_CHARACTERS], f"{each.grade:.3f}", "", "", "", "", "")
        for leg in each.legs:
            first, *rest = _leg(leg)
            table.add_row("  " * (depth + 1) + first, "", *rest, style="dim")
    return table


def _walk(part: Part, depth: int = 0) -> Iterator[tuple[int, Part]]:
    yield depth, part
    for each in part.parts:
        yield from _walk(each, depth + 1)


def _leg(leg: LegScore) -> tuple[str, ...]:
    numbers = f"{leg.score:.3f}", f"{leg.normalised:.3f}", f"{leg.weight:.3f}", f"{leg.contribution:+.3f}"
    return leg.leg, *numbers, str(leg.rank)


def _ranks(told: Miss) -> Table:
    table = _table("", "rank", "score", "")
    for leg in told.legs:
        of = leg.text or (f"like {leg.like['source']}/{leg.like['id']}" if leg.like else "")
        named = f"{leg.leg} {line(of)[:SHOWN_CHARACTERS]}" if len({each.text for each in told.legs}) > 1 else leg.leg
        rank = str(leg.rank) if leg.rank else "none"
        table.add_row(named, rank, "" if leg.score is None else f"{leg.score:.3f}", "finds" if leg.finds else "")
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(first, box=None, pad_edge=False, header_style="dim")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
