"""Words to term weights."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanstream.store.lexical import AVERAGE_LENGTH, K1, STOP_WORDS, B, document_terms, query_terms, terms

ZEBRA = 1833807233  # the first 4 bytes of BLAKE2b of b"zebra", big-endian


def overlap(text: str, query: str) -> float:
    """The score of a query without inverse document frequencies."""
    document, asked = document_terms(text), query_terms(query)
    weights = dict(zip(document.indices.tolist(), document.values.tolist(), strict=True))
    return sum(weights.get(term, 0.0) for term in asked.indices.tolist())


@pytest.mark.parametrize(
    ("word", "parts", "whole"),
    [
        ("Running", ["run"], []),
        ("the", [], []),
        ("The", [], []),
        ("don't", [], []),
        ("dog’s", ["dog"], []),
        ("1990", ["1990"], []),
        ("3.14", ["3.14"], []),
        ("1,200", ["1200"], []),
        ("2024-01-31", ["2024", "01", "31"], ["2024-01-31"]),
        ("e-mail", ["e", "mail"], ["email"]),
        ("state-of-the-art", ["state", "art"], ["stateoftheart"]),
        ("os.path.join", ["os", "path", "join"], ["ospathjoin"]),
        ("max_poll_records", ["max", "poll", "record"], ["maxpollrecord"]),
        ("parseHTMLPage", ["pars", "html", "page"], ["parsehtmlpag"]),
        ("COVID-19", ["covid", "19"], ["covid-19"]),
        ("v1.2", ["v1", "2"], ["v1.2"]),
        ("C++", ["c"], ["c++"]),
        ("naïve", ["naïv"], []),
        ("東京都", ["東京", "京都"], []),
    ],
)
def test_terms_of_a_word(word: str, parts: list[str], whole: list[str]) -> None:
    assert terms(word) == (parts, whole)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The cats were RUNNING.", "cat runs"),
        ("call os.path.join(a, b)", "os.path.join"),
        ("call os.path.join(a, b)", "path"),
        ("a well-known fact", "known"),
        ("send an e-mail", "email"),
        ("it cost 1,200 francs", "1200"),
        ("ﬁne print", "fine"),
        ("cafe\u0301", "café"),
        ("the dog’s bone", "dog's"),
        ("version 2.5 of 1990", "1990"),
        ("東京都に住む", "京都"),
    ],
)
def test_a_text_is_found_by(text: str, query: str) -> None:
    assert overlap(text, query) > 0


def test_stop_words_weigh_nothing() -> None:
    assert document_terms(" ".join(STOP_WORDS)).indices.size == 0
    assert query_terms("what is the").indices.size == 0


def test_weights_follow_the_formula() -> None:
    text = "zebra zebra zebra giraffe"
    found = document_terms(text)
    norm = K1 * (1 - B + B * 4 / AVERAGE_LENGTH)
    expected = sorted([3 * (K1 + 1) / (3 + norm), (K1 + 1) / (1 + norm)])
    assert sorted(found.values.tolist()) == pytest.approx(expected, rel=1e-6)


def test_query_weights_are_roots_of_frequencies_and_a_compound_counts_half() -> None:
    assert sorted(query_terms("zebra giraffe Zebras").values.tolist()) == pytest.approx([1.0, 2**0.5])
    assert sorted(query_terms("zebra-giraffe").values.tolist()) == pytest.approx([0.5, 1.0, 1.0])


def test_a_title_is_part_of_the_text() -> None:
    assert overlap("body", "heading") == 0
    with_title = document_terms("body", "Heading")
    assert set(query_terms("heading body").indices) == set(with_title.indices)


def test_ids_are_the_same_in_every_process_and_release() -> None:
    assert query_terms("zebra").indices.tolist() == [ZEBRA]


@given(st.text(max_size=400), st.text(max_size=40))
def test_any_text_gives_rising_ids_and_positive_finite_weights(text: str, title: str) -> None:
    for found in (document_terms(text, title), query_terms(text)):
        assert found.indices.dtype == np.uint32
        assert found.values.dtype == np.float32
        assert found.indices.shape == found.values.shape
        assert (np.diff(found.indices.astype(np.int64)) > 0).all()
        assert np.isfinite(found.values).all()
        assert (found.values > 0).all()


@given(st.text(max_size=200))
def test_normal_forms_give_the_same_terms(text: str) -> None:
    forms = [query_terms(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert len({tuple(found.indices.tolist()) for found in forms}) == 1


@given(st.lists(st.sampled_from(["zebra", "giraffe", "os.path", "a-b", "1990"]), min_size=1, max_size=30))
def test_longer_texts_weigh_a_word_less_and_more_occurrences_more(words: list[str]) -> None:
    text = " ".join(words)
    assert overlap(f"{text} lion", "lion") > overlap(f"{text} filler lion", "lion")
    assert overlap(f"{text} lion lion", "lion") > overlap(f"{text} filler lion", "lion")
