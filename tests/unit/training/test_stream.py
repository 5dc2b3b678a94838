from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from spanstream.representations.training.errors import CorpusUnsuitable
from spanstream.representations.training.objective import Document
from spanstream.representations.training.stream import Split, batches, held_out, refuse_unsuitable, split


def test_epochs_hold_everything_once_but_what_is_held_out(documents: list[Document]) -> None:
    apart = held_out(lambda: documents)
    learnt = [each for each in documents if split(each) is Split.TRAIN]
    assert 0 < len(apart) < len(learnt)
    assert {split(each) for each in apart} == {Split.VALIDATION}
    stream = batches(lambda: documents, 10, seed=0)
    first = list(islice(stream, -(-len(learnt) // 10)))
    second = list(islice(stream, -(-len(learnt) // 10)))
    for epoch in (first, second):
        assert sorted(each.text for batch in epoch for each in batch) == sorted(each.text for each in learnt)
    assert first != second
    assert first == list(islice(batches(lambda: documents, 10, seed=0), len(first)))
    assert first != list(islice(batches(lambda: documents, 10, seed=1), len(first)))


def test_no_more_passages_are_in_memory_than_an_epoch_is_shuffled_among() -> None:
    alive = most = 0

    class Counted(Document):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def source() -> Iterator[Document]:
        nonlocal alive, most
        for number in range(30_000):
            alive += 1
            most = max(most, alive)
            yield Counted(f"This is {number}.")

    refuse_unsuitable(source)
    assert len(held_out(source)) == 200
    for _ in islice(batches(source, 50, seed=0), 700):  # more than an epoch
        pass
    assert 10_000 <= most < 10_500


def test_what_is_held_out_is_counted_once_however_often_it_is_there(documents: list[Document]) -> None:
    apart = [each for each in documents if split(each) is Split.VALIDATION]
    assert held_out(lambda: [each for each in apart for _ in range(200)]) == apart


def test_of_a_passage_that_is_there_with_and_without_questions_the_questions_count() -> None:
    asked = [Document(f"It is number {number}.", queries=("which?",)) for number in range(5_000)]
    apart = held_out(lambda: [*(replace(each, queries=()) for each in asked), *asked[:400]])
    assert len(apart) == 200
    wanted = [each for each in asked[:400] if split(each) is Split.VALIDATION]
    assert wanted
    assert apart[: len(wanted)] == wanted
    assert len({each.text for each in apart}) == 200


def test_a_passage_left_over_alone_is_left_out(documents: list[Document]) -> None:
    learnt = [each for each in documents if split(each) is Split.TRAIN][:21]
    assert [len(each) for each in islice(batches(lambda: learnt, 20, seed=0), 2)] == [20, 20]


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_corpus_of_nothing_to_tell_apart_is_refused(count: int) -> None:
    with pytest.raises(CorpusUnsuitable, match="different passages to learn from; 20 are needed"):
        refuse_unsuitable(lambda: [Document("always the same")] * count)


def test_all_passages_of_a_source_are_for_the_same() -> None:
    for number in range(50):
        assert len({split(Document(f"passage {each}", source=str(number))) for each in range(5)}) == 1
    assert {split(Document(f"passage {each}")) for each in range(50)} == set(Split)


def test_a_text_is_in_a_step_once_and_with_its_questions(documents: list[Document]) -> None:
    learnt = [each for each in documents if split(each) is Split.TRAIN][:9]
    bare = [Document(each.text, each.title, each.sentences) for each in learnt]
    for batch in islice(batches(lambda: [*learnt, *bare, *bare], 27, seed=0), 2):
        assert sorted(each.text for each in batch) == sorted(each.text for each in learnt)
        assert all(each.queries for each in batch)
