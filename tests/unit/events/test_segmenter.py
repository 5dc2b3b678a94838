from __future__ import annotations

import pytest

from spanstream.events.segmenter import PASSAGES, Spans, segmenter


def test_a_form_says_which_spans_and_how_many() -> None:
    assert Spans.parse("sentences") == Spans()
    assert Spans.parse("sentences+clauses+phrases+windows8:32") == Spans(True, True, 8, 32)
    assert Spans.parse("sentences+windows12:255") == Spans(window_words=12, per_passage=255)


@pytest.mark.parametrize(
    "form",
    [
        "",
        "clauses:3",
        "sentences:3",
        "sentences+clauses",
        "sentences+clauses:0",
        "sentences+clauses:256",
        "sentences+phrases+clauses:3",
        "sentences+windows:3",
        "sentences+windows33:3",
        "sentences+windows08:3",
        "sentences+clauses:3\n",
    ],
)
def test_every_other_form_is_refused_and_the_message_says_what_to_write(form: str) -> None:
    with pytest.raises(ValueError, match=r"sentences\+clauses\+phrases\+windowsN:M"):
        Spans.parse(form)


def test_every_way_of_cutting_has_a_name_of_its_own() -> None:
    forms = ["sentences", "sentences+clauses:8", "sentences+clauses:16", "sentences+phrases:8", "sentences+windows8:8"]
    assert len({segmenter(form) for form in forms}) == len(forms)
    assert segmenter("sentences") == PASSAGES  # what indexes without candidates have always been called
