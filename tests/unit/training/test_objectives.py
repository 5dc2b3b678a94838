"""What each objective draws, and that its loss falls where the vectors are as it wants them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from spanstream.encoder.encoder import Text
from spanstream.representations.errors import ModelUnsupported
from spanstream.representations.local import LocalEncoder, open_local
from spanstream.representations.release import Release
from spanstream.representations.training.objective import Assisted, Document, Objective, Sight
from spanstream.representations.training.objectives import OBJECTIVES
from spanstream.representations.training.objectives.denoising import Decoder
from spanstream.representations.training.objectives.layers import Layers
from spanstream.representations.training.student import Student, Vectors, student
from spanstream.representations.training.views import alone, in_context
from tests.unit.representations.tiny import LINES

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
    return draw.loss(Sight(learner.encode(draw.texts, draw.layers), lambda: start, assistant(objective, learner)))


def assistant(objective: Objective, learner: Student) -> torch.nn.Module | None:
    torch.manual_seed(0)
    return objective.assistant(learner) if isinstance(objective, Assisted) else None


def of(name: str) -> Objective:
    """As a recipe has it that names no more, as far as a small model of chance allows: it has few layers, and its words are
    so much alike that at a usual temperature what they prefer is lost in rounding.
    """
    return OBJECTIVES[name](**{"layers": {"layers": (1, 2)}, "interaction": {"temperature": 1e-3}}.get(name, {}))


@EACH
def test_a_loss_is_finite_falls_by_a_step_and_is_the_same_for_the_same_seed(
    name: str, folder: Path, learner: Student, documents: list[Document]
) -> None:
    fresh = replace(student(str(folder)), mixed=False)
    fresh.network.eval()
    start = loss(of(name), fresh, learner, documents[:8])
    assert loss(of(name), fresh, learner, documents[:8]).item() == start.item()
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
    assert loss(of(name), fresh, learner, documents[:8]).item() < start.item()


@EACH
def test_documents_without_anything_to_learn_from_break_nothing(name: str, learner: Student) -> None:
    bare = [Document("a", "", ((0, 1),)), Document("b", "", ((0, 1),))]
    objective = of(name)
    draw = objective.draw(bare, Random(0))
    if draw.texts:
        vectors = learner.encode([*draw.texts, *draw.reference], draw.layers)
        sight = Sight(vectors[: len(draw.texts)], lambda: vectors, assistant(objective, learner))
        assert torch.isfinite(draw.loss(sight))


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


def test_interaction_wants_of_one_vector_each_what_the_words_prefer() -> None:
    left, right = torch.eye(2)
    passages = [Document("a b", "", ((0, 1), (2, 3))), Document("c", "", ((0, 1),))]
    objective = OBJECTIVES["interaction"](queries=1)
    draw = objective.draw(passages, Random(2))
    assert [each.text for each in draw.texts] == ["a b", "c", "a"]
    assert [each.ranges.tolist() for each in draw.reference] == [[[0, 1], [2, 3]], [[0, 1]], [[0, 1]]]
    none = torch.empty(0, 2)
    read = [Vectors(left, torch.stack([left, right])), Vectors(right, right[None]), Vectors(left, left[None])]

    def loss(first: torch.Tensor, second: torch.Tensor) -> float:
        """Where the sentences of the first passage have these vectors."""
        now = [Vectors(left, torch.stack([left, first, second])), Vectors(right, torch.stack([right, right]))]
        now.append(Vectors(left, none))
        return float(draw.loss(Sight(now, lambda: [*now, *read])))

    assert loss(left, right) == pytest.approx(
        0, abs=1e-6
    )  # as the words: `a` is in the first sentence, and in the first passage
    assert loss(right, left) > 1


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


def test_early_vectors_are_those_of_a_release_that_ends_there(folder: Path, learner: Student) -> None:
    texts = [alone(line) for line in LINES]
    with torch.no_grad():
        ours = learner.encode(texts, layers=(1, 3))
    encoder = open_local(Release("early", str(folder), dtype="float32", layers=(1,)))
    for found, wanted in zip(ours, encoder.encode(texts), strict=True):
        torch.testing.assert_close(found.early[0], torch.from_numpy(wanted.whole), atol=2e-5, rtol=0)
        torch.testing.assert_close(found.early[1], found.whole)
    encoder.close()
    with pytest.raises(ModelUnsupported, match="layers \\[4\\] of a model that has 3"):
        learner.encode(texts, layers=(4,))


def test_lower_layers_learn_to_find_and_to_agree() -> None:
    unit = torch.eye(2)
    passage = Document("a b", "", ((0, 1), (2, 3)))
    draw = Layers(layers=(1,), dimensions=(), temperature=1.0).draw([passage], Random(0))
    # Sentence, its words, sentence, its words: by the last layer each finds its own, by the first one the other's.
    now = [
        Vectors(unit[k], torch.empty(0, 2), unit[[k if place % 2 else 1 - k]]) for place, k in enumerate((0, 0, 1, 1))
    ]
    right, wrong = math.log(math.e + 1) - 1, math.log(math.e + 1)
    share = math.e / (math.e + 1)  # of an anchor's mass that its own candidate has, by the last layer
    disagreement = share * 1 + (1 - share) * -1  # each log-ratio of the softmaxes is 1 or -1
    assert float(draw.loss(Sight(now, list))) == pytest.approx((right + wrong + disagreement) / 2)


def test_the_decoder_sees_the_vector_and_what_stands_before(learner: Student) -> None:
    torch.manual_seed(0)
    decoder = Decoder(learner)
    tokens = torch.tensor([[5, 6, 7, 8]])
    vector = torch.randn(1, learner.model.width)
    with torch.no_grad():
        found = decoder.logits(tokens, vector)
        later = decoder.logits(torch.tensor([[5, 6, 9, 9]]), vector)
        other = decoder.logits(tokens, -vector)
    torch.testing.assert_close(found[:, :3], later[:, :3])  # of the third token, by the first two
    assert not torch.allclose(found[:, 3], later[:, 3])
    assert not torch.allclose(found[:, 0], other[:, 0])
    assert not [name for name in decoder.state_dict() if "words" in name]


def test_vectors_are_those_of_the_encoder(learner: Student, documents: list[Document]) -> None:
    long = Document(" ".join(each.text for each in documents), "A title", documents[0].sentences)
    texts: list[Text] = [in_context(each) for each in [*documents[:5], long]] + [alone("a b"), alone("")]
    encoder = LocalEncoder(learner.model)
    with torch.no_grad():
        ours = learner.encode(texts)
    for found, wanted in zip(ours, encoder.encode(texts), strict=True):
        torch.testing.assert_close(found.whole, torch.from_numpy(wanted.whole), atol=2e-5, rtol=0)
        torch.testing.assert_close(found.ranges, torch.from_numpy(wanted.ranges), atol=2e-5, rtol=0)
    encoder.close()
