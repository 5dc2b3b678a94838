"""The objectives, by the names that a recipe calls them."""

from __future__ import annotations

from spanstream.representations.training.objectives.consensus import Consensus
from spanstream.representations.training.objectives.crops import Crops
from spanstream.representations.training.objectives.decorrelate import Decorrelate
from spanstream.representations.training.objectives.denoising import Denoising
from spanstream.representations.training.objectives.dropout import Dropout
from spanstream.representations.training.objectives.interaction import Interaction
from spanstream.representations.training.objectives.keep import Keep
from spanstream.representations.training.objectives.layers import Layers
from spanstream.representations.training.objectives.matryoshka import Matryoshka
from spanstream.representations.training.objectives.pairs import Pairs
from spanstream.representations.training.objectives.sentences import Sentences
from spanstream.representations.training.objectives.spans import Spans

OBJECTIVES = {
    "consensus": Consensus,
    "crops": Crops,
    "decorrelate": Decorrelate,
    "denoising": Denoising,
    "dropout": Dropout,
    "interaction": Interaction,
    "keep": Keep,
    "layers": Layers,
    "matryoshka": Matryoshka,
    "pairs": Pairs,
    "sentences": Sentences,
    "spans": Spans,
}
