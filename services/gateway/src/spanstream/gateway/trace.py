"""What a search keeps of its ranking where it is to be explained: values that it computed anyway, of its last round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spanstream.gateway.asking import Asked
from spanstream.gateway.fusion import Fusion, fuse, shares
from spanstream.gateway.meanings import Leaf, Meaning, leaves
from spanstream.store.queries import Condition, Leg

Scores = Mapping[str, NDArray[np.float32]]  # [candidates] by leg


@dataclass(slots=True)
class Trace:
    """What is asked (the legs that find candidates and all `legs`, of each text and example of `meaning` in its order, and
    what they look among), and what came of it.

    `questions`: the scores of each text and example; of a single one also those of the second question, as in `legs`. `total` [candidates]: what was made of them all. `stages`: the scores after each later step.
    """

    meaning: Meaning  # canonical
    fusion: Fusion
    asked: Mapping[Leaf, Asked] = field(repr=False)
    finders: Sequence[Mapping[str, Leg]] = field(repr=False)
    legs: Sequence[Mapping[str, Leg]] = field(repr=False)
    where: Condition | None
    ids: Sequence[str] = field(default=(), repr=False)  # [candidates]
    questions: Sequence[Scores] = field(default=(), repr=False)
    total: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32), repr=False)
    stages: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    teachers: Sequence[str] = field(default=(), repr=False)  # ids of the answers that the second question learnt from

    def scored(
        self,
        legs: Sequence[Mapping[str, Leg]],
        ids: Sequence[str],
        questions: Sequence[Scores],
        total: NDArray[np.float32],
    ) -> None:
        """All candidates have been scored, perhaps anew; later steps are to come."""
        self.legs, self.ids, self.questions, self.total = legs, ids, questions, total
        self.stages = {}

    @property
    def final(self) -> NDArray[np.float32]:
        """[candidates]: the scores that ranked them."""
        return list(self.stages.values())[-1] if self.stages else self.total

    @property
    def asked_again(self) -> bool:
        """Whether the one text or example has had a second question."""
        return len(self.questions) == 2 and len(leaves(self.meaning)) == 1

    @property
    def steps(self) -> list[tuple[str, NDArray[np.float32]]]:
        """The scores [candidates] after each step, in order."""
        first = fuse(self.questions[0], self.fusion) if self.asked_again else self.total
        again = [("feedback", self.total)] if self.asked_again else []
        return [("legs", first), *again, *self.stages.items()]

    @property
    def components(self) -> dict[str, NDArray[np.float32]]:
        """What the score of one text or example is the sum of: what each leg gives and each step adds [candidates]."""
        legs = self.questions[0]
        if len(legs) == 1:  # which keeps its own scores
            given = dict(legs)
        else:
            given = {name: each.weight * each.normalised for name, each in shares(legs, self.fusion).items()}
        return given | {name: after - before for (_, before), (name, after) in pairwise(self.steps)}

    def stage(self, name: str, ranked: Sequence[tuple[str, float]]) -> None:
        """A later step has given all candidates these scores."""
        scores = dict(ranked)
        self.stages[name] = np.array([scores[id] for id in self.ids], np.float32)
