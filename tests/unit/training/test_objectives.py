"""What each objective draws, and that its loss falls where the vectors are as it wants them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from spanstream.encoder.encoder import Text
from spanstream.representations.training.objective import Document, Objective, Sight
from spanstream.representations.training.objectives import OBJECTIVES
from spanstream.representations.training.student import Student, Vectors, student

EACH = pytest.mark.parametrize("name", sorted(OBJECTIVES))


@pytest.fixture(scope="module")
def learner(folder: Path) -> Student:
    found = replace(student(str(folder)), mixed=False)  # small steps show in float32
    found.network.eval()
    return found


def loss(objective: Objective, learner: Student, before: Student, documents: list[Document]) -> torch.Tensor:
    draw = objective.draw(documents, Random(0))
    with torch.no_grad():
        start = before.encode([*draw.texts, *draw.reference])
    return draw.loss(Sight(learner.encode(draw.texts), lambda: start))


@EACH
def test_a_loss_is_finite_falls_by_a_step_and_is_the_same_for_the_same_seed(
    name: str, folder: Path, learner: Student, documents: list[Document]
) -> None:
    fresh = replace(student(str(folder)), mixed=False)
    fresh.network.eval()
    start = loss(OBJECTIVES[name](), fresh, learner, documents[:8])
    assert loss(OBJECTIVES[name](), fresh, learner, documents[:8]).item() == start.item()
    if name == "keep":  # nothing has moved
        assert start.item() == pytest.approx(0, abs=1e-6)
        return
    start.backward()  # type: ignore[no-untyped-call]
    length = sum(float(each.grad.square().sum()) for each in fresh.network.parameters() if each.grad is not None)
    with torch.no_grad():
        for parameter in fresh.network.parameters():
            if parameter.grad is not None:
                parameter -= 1e-3 * parameter.grad / length**0.5
    if name == "dropout":  # without dropout both readings of a text are the same already
        return
    assert loss(OBJECTIVES[name](), fresh, learner, documents[:8]).item() < start.item()


@EACH
def test_documents_without_anything_to_learn_from_break_nothing(name: str, learner: Student) -> None:
    bare = [Document("a", "", ((0, 1),)), Document("b", "", ((0, 1),))]
    draw = OBJECTIVES[name]().draw(bare, Random(0))
    if draw.texts:
        vectors = learner.encode([*draw.texts, *draw.reference])
        assert torch.isfinite(draw.loss(Sight(vectors[: len(draw.texts)], lambda: vectors)))


def test_sentences_are_compared_with_every_sentence_of_the_batch(documents: list[Document]) -> None:
    draw = OBJECTIVES["sentences"](queries=5).draw(documents[:4], Random(0))
    passages, queries = draw.texts[:4], draw.texts[4:]
    assert [len(each.ranges) for each in passages] == [4] * 4  # the passage, and three sentences
    assert len(queries) == 5
    assert all(set(each.text.split()) <= set(" ".join(one.text for one in documents[:4]).split()) for each in queries)


def test_consensus_wants_the_mean_of_both_readings() -> None:
    unit = torch.eye(2)
    passage = Document("ab", "", ((0, 1),))
    draw = OBJECTIVES["consensus"]().draw([passage], Random(0))
    start = [Vectors(unit[0], torch.stack([unit[0], unit[0]])), Vectors(unit[1], torch.empty(0, 2))]
    half = (unit[0] + unit[1]) / 2**0.5
    now = [Vectors(unit[0], torch.stack([unit[0], half]))]
    assert float(draw.loss(Sight(now, lambda: start))) == pytest.approx(0, abs=1e-6)


def test_pairs_learn_from_questions_alone(documents: list[Document]) -> None:
    unasked = [Document(each.text, each.title, each.sentences) for each in documents[:3]]
    assert OBJECTIVES["pairs"]().draw(unasked, Random(0)).texts == []
    draw = OBJECTIVES["pairs"]().draw([unasked[0], documents[1], unasked[2]], Random(0))
    assert [each.text for each in draw.texts[3:]] == [documents[1].queries[0]]


def test_pairs_count_hard_negatives_and_not_what_answers_too() -> None:
    negative, both = Document("negative"), Document("both", queries=("asked", "other"))
    asking = Document("right", queries=("asked",), negatives={"asked": (negative, both), "other": (Document("no"),)})
    draw = OBJECTIVES["pairs"](temperature=1.0).draw([asking, Document("else")], Random(0))
    assert [each.text for each in draw.texts] == ["right", "else", "negative", "both", "asked"]
    unit = torch.eye(2)
    near, far = Vectors(unit[0], unit[:1]), Vectors(unit[1], unit[1:])
    loss = draw.loss(Sight([near, far, near, near, near], list))
    assert float(loss) == pytest.approx(float(torch.tensor([1.0, 0.0, 1.0]).logsumexp(0)) - 1)  # without `both`


def test_vectors_are_those_of_the_encoder(learner: Student, documents: list[Document]) -> None:
    from spanstream.representations.local import LocalEncoder
    from spanstream.representations.training.views import alone, in_context

    long = Document(" ".join(each.text for each in documents), "A title", documents[0].sentences)
    texts: list[Text] = [in_context(each) for each in [*documents[:5], long]] + [alone("a b"), alone("")]
    encoder = LocalEncoder(learner.model)
    with torch.no_grad():
        ours = learner.encode(texts)
    for found, wanted in zip(ours, encoder.encode(texts), strict=True):
        torch.testing.assert_close(found.whole, torch.from_numpy(wanted.whole), atol=2e-5, rtol=0)
        torch.testing.assert_close(found.ranges, torch.from_numpy(wanted.ranges), atol=2e-5, rtol=0)
    encoder.close()
