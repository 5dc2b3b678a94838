"""The checker, on histories made by hand: a good one passes, and each kind of wrong is told by its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spanstream.events.ids import Key, Order, passage_id
from tests.chaos.checker import check
from tests.chaos.history import (
    Call,
    Content,
    DeadLetter,
    Found,
    Head,
    History,
    Look,
    PowerCut,
    Receipt,
    Settled,
    Shown,
    Spoiled,
    Stored,
    Told,
)

KEY = Key("acme", "wiki", "a")
ONE, TWO, GONE = b"1" * 32, b"2" * 32, b"0" * 32
CONTENTS = {ONE: Content("one a. one b."), TWO: Content("two a. two b.", ("red",))}


def head(version: int, content: bytes = ONE, state: str = "live", count: int = 2) -> Head:
    return Head(Order.of(version, content, state == "deleted"), state, content, version, count)


def stored(version: int, content: bytes = ONE, ordinals: tuple[int, ...] = (0, 1)) -> list[Stored]:
    return [Stored(str(passage_id(KEY, version, content, n)), KEY, version, content, n) for n in ordinals]


def hit(version: int, content: bytes = ONE, bodies: tuple[tuple[int, bytes], ...] | None = None) -> Shown:
    passages = tuple(
        (v, c, n, CONTENTS[c].text[7 * n : 7 * n + 6]) for v, c in bodies or ((version, content),) for n in (0, 1)
    )
    return Shown(KEY, Order.of(version, content, False), 2, passages)


def good() -> History:
    """Version 1 is put and seen, version 2 has other content and is deleted by version 3, which is seen too."""
    return History(
        contents=CONTENTS,
        entries=[
            Call(1, 1, KEY, 1, ONE),
            Receipt(2, 1, 1),
            Look(3, {KEY: head(1)}, stored(1)),
            Told(5, 4, KEY, None, 1, "searchable", 1, ONE),
            Found(7, 6, "acme", ("blue",), (hit(1),)),
            Call(8, 2, KEY, 2, TWO),
            Receipt(9, 2, 2),
            Found(11, 10, "acme", None, (hit(2, TWO),)),
            Call(12, 3, KEY, 3, GONE, deleted=True),
            Receipt(13, 3, 3),
            Settled(14),
            Told(16, 15, KEY, None, 3, "deleted", 3, GONE),
            Found(18, 17, "acme", None, ()),
        ],
        final=Look(19, {KEY: head(3, GONE, "deleted", 0)}, []),
    )


def test_a_good_history_has_nothing_wrong() -> None:
    assert check(good()) == []


def lost(history: History) -> None:
    history.final = Look(19, {}, [])


def lost_in_a_search(history: History) -> None:
    history.entries[10:10] = [
        Settled(14),
        Look(14, {KEY: head(2, TWO)}, stored(2, TWO)),
        Found(14, 14, "acme", None, ()),
    ]


def lost_as_unchanged(history: History) -> None:
    history.entries += [Call(20, 4, KEY, None, ONE), Receipt(21, 4, 1, unchanged=True)]


def lost_by_a_clock(history: History) -> None:
    history.entries += [Call(20, 4, KEY, None, GONE, True), Receipt(21, 4, 30, server="x")]
    history.entries += [Call(22, 5, KEY, None, GONE, True), Receipt(23, 5, 29, server="x")]
    history.final = Look(24, {KEY: head(30, GONE, "deleted", 0)}, [])


def lost_as_a_dead_letter(history: History) -> None:
    """Nobody who asks is told."""
    history.entries += [Spoiled(20, ONE), Call(21, 4, KEY, 9, ONE), Receipt(22, 4, 9)]
    history.dead_letters.append(DeadLetter(KEY, 9, "EMBED_INVALID", ONE))


def phantom(history: History) -> None:
    history.final = Look(19, {KEY: head(4, GONE, "deleted", 0)}, [])


def phantom_before_it_is_there(history: History) -> None:
    history.entries[3] = Told(5, 4, KEY, None, 2, "searchable", 1, ONE)


def phantom_failure(history: History) -> None:
    history.entries[3] = Told(5, 4, KEY, None, 2, "failed", 1, ONE)


def duplicate(history: History) -> None:
    history.entries[2] = Look(3, {KEY: head(1)}, [*stored(1), Stored("x", KEY, 1, ONE, 1)])


def stale(history: History) -> None:
    history.entries[7] = Found(11, 10, "acme", None, (hit(2, TWO),))
    history.entries.insert(8, Told(11, 11, KEY, None, None, "searchable", 2, TWO))
    history.entries.insert(9, Told(11, 12, KEY, None, None, "searchable", 1, ONE))


def stale_passages(history: History) -> None:
    history.final = Look(19, {KEY: head(3, GONE, "deleted", 0)}, stored(2, TWO))


def resurrected(history: History) -> None:
    history.entries += [Found(21, 20, "acme", None, (hit(2, TWO),))]


def resurrected_in_the_end(history: History) -> None:
    history.final = Look(19, {KEY: head(2, TWO)}, stored(2, TWO))


def half(history: History) -> None:
    history.entries[2] = Look(3, {KEY: head(1)}, stored(1, ordinals=(1,)))


def mixed(history: History) -> None:
    history.entries[7] = Found(11, 10, "acme", None, (hit(2, TWO, ((1, ONE), (2, TWO))),))


def leaked_to_a_tenant(history: History) -> None:
    history.entries[4] = Found(7, 6, "beta", None, (hit(1),))


def leaked_to_a_group(history: History) -> None:
    history.entries[7] = Found(11, 10, "acme", ("blue",), (hit(2, TWO),))


def leaked_by_a_status(history: History) -> None:
    history.entries[7] = Told(11, 10, KEY, ("blue",), None, "searchable", 2, TWO)


def refused(history: History) -> None:
    history.dead_letters.append(DeadLetter(KEY, 2, "EMBED_INVALID", TWO))


def stuck(history: History) -> None:
    history.final = None


WRONGS = [
    lost,
    lost_in_a_search,
    lost_as_unchanged,
    lost_by_a_clock,
    lost_as_a_dead_letter,
    phantom,
    phantom_before_it_is_there,
    phantom_failure,
    duplicate,
    stale,
    stale_passages,
    resurrected,
    resurrected_in_the_end,
    half,
    mixed,
    leaked_to_a_tenant,
    leaked_to_a_group,
    leaked_by_a_status,
    refused,
    stuck,
]


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_what_is_wrong_is_told_by_its_name(wrong: Callable[[History], None]) -> None:
    history = good()
    wrong(history)
    assert {violation.kind for violation in check(history)} == {wrong.__name__.partition("_")[0]}


def test_after_a_power_cut_less_may_be_shown_until_it_has_settled() -> None:
    history = good()
    history.entries.insert(5, PowerCut(7))
    history.entries.insert(6, Look(7, {KEY: head(1)}, []))
    history.entries.insert(7, Told(8, 7, KEY, None, 1, "pending", 0, b""))
    assert check(history) == []


def test_a_dead_letter_with_a_cause_that_the_status_tells_of_loses_nothing() -> None:
    history = good()
    lost_as_a_dead_letter(history)
    history.entries.append(Told(24, 23, KEY, None, 9, "failed", 3, GONE))
    assert check(history) == []


def test_of_two_contents_of_one_version_one_may_be_a_dead_letter() -> None:
    history = good()
    history.entries += [Call(20, 4, KEY, 2, ONE), Receipt(21, 4, 2)]
    history.dead_letters.append(DeadLetter(KEY, 2, "VERSION_CONFLICT", ONE))
    assert check(history) == []
