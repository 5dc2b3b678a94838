"""From the vector of a sentence of which most words are gone, the whole sentence is written again (TSDAE, Wang et al., 2021).

Whatever the decoder knows of the sentence it knows from one vector, so that this has to hold it. The paper's decoder has the
encoder's layers; this one has a single layer of its own, over the encoder's words, which costs less and leaves more to the
vector (as RetroMAE's, Xiao et al., 2022). It is thrown away at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import torch
from torch import nn

from spanstream.representations.training.losses import reconstruction
from spanstream.representations.training.objective import Document, Draw, Sight
from spanstream.representations.training.settings import Count, Share
from spanstream.representations.training.student import Student
from spanstream.representations.training.views import alone, some_sentences, thinned

_LONGEST = 64  # tokens of a sentence that are written again


@dataclass(frozen=True, slots=True)
class Denoising:
    """`keep`: the share of a sentence's words that is read; `texts`: sentences of a batch, at most."""

    keep: Share = 0.4
    texts: Count = 16

    def draw(self, documents: Sequence[Document], chance: Random) -> Draw:
        """Sentences with words left out."""
        wholes = some_sentences(documents, chance, self.texts)
        return Draw([alone(thinned(each, chance, self.keep, self.keep)) for each in wholes], partial(_loss, wholes))

    def assistant(self, student: Student) -> nn.Module:
        """The decoder."""
        return Decoder(student)


def _loss(wholes: Sequence[str], sight: Sight) -> torch.Tensor:
    if sight.assistant is None:
        raise TypeError("denoising needs its decoder")
    return sight.assistant(wholes, torch.stack([each.whole for each in sight.now]))


class Decoder(nn.Module):
    """Writes texts from their vectors, token by token, each seeing those before it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        network: Any = student.network
        width, heads = student.model.width, network.config.num_attention_heads
        self._model = student.model
        self._words = [network.get_input_embeddings()]  # in a list: they are the network's, not saved with this
        self.places = nn.Parameter(torch.randn(_LONGEST, width) * 0.02)
        self.layer = nn.TransformerDecoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, texts: Sequence[str], vectors: torch.Tensor) -> torch.Tensor:
        """The loss of these texts by their vectors [n, width]."""
        read = [tokens.ids[:_LONGEST] for tokens in self._model.tokenize(texts)]
        length = max(1, *map(len, read))
        tokens = torch.full((len(read), length), self._model.padding)
        for number, ids in enumerate(read):
            tokens[number, : len(ids)] = torch.from_numpy(ids).long()
        real = torch.arange(length) < torch.tensor([[len(ids)] for ids in read])
        tokens, real = tokens.to(vectors.device), real.to(vectors.device)
        return reconstruction(self.logits(tokens, vectors), tokens, real)

    def logits(self, tokens: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """[n, length, vocabulary]: of each token by those before it [n, length] and the text's vector [n, width]."""
        words, length = self._words[0], tokens.shape[1]
        first = torch.full_like(tokens[:, :1], (self._model.before or (self._model.padding,))[0])
        states = words(torch.cat([first, tokens[:, :-1]], dim=1)) + self.places[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=states.device)
        memory = vectors[:, None] * vectors.shape[1] ** 0.5  # components of about unit variance
        states = self.norm(self.layer(states, memory, tgt_mask=mask, tgt_is_causal=True))
        found: torch.Tensor = states @ words.weight.T
        return found
