"""Losses on unit vectors. Shapes: anchors [n, d], candidates [m, d]; all return a scalar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import cross_entropy, kl_div, normalize

_NOT_COUNTED = -100


def info_nce(
    anchors: torch.Tensor,
    candidates: torch.Tensor,
    own: torch.Tensor,
    temperature: float,
    left_out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Each anchor should prefer its `own` candidate [n] to all others (InfoNCE, van den Oord et al., 2018).

    Pairs that `left_out` [n, m] names do not count: they may well belong together.
    """
    scores = anchors @ candidates.T / temperature
    if left_out is not None:
        scores = scores.masked_fill(left_out.to(scores.device), float("-inf"))
    return cross_entropy(scores, own.to(scores.device))


def group_contrast(wholes: torch.Tensor, parts: torch.Tensor, owner: torch.Tensor, temperature: float) -> torch.Tensor:
    """Each text [g, d] should be nearer to each of its own parts [n, d] than to any part of another text.

    `owner` [n] names each part's text (group-wise contrastive loss of COSTA, Ma et al., 2022).
    """
    scores = wholes @ parts.T / temperature
    owner = owner.to(scores.device)
    own = owner == torch.arange(len(wholes), device=scores.device)[:, None]
    others = scores.masked_fill(own, float("-inf")).logsumexp(dim=1)
    at = torch.arange(len(parts), device=scores.device)
    mine = scores[owner, at]
    return (torch.logaddexp(mine, others[owner]) - mine).mean()


def distance(vectors: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean of one minus the cosine [n, d], [n, d]."""
    return (1 - (vectors * targets).sum(dim=1)).mean()


def decorrelation(vectors: torch.Tensor) -> torch.Tensor:
    """The mean squared covariance between different components [n, d], in units of their variance.

    The covariance term of VICReg (Bardes et al., 2022), which keeps vectors from collapsing into few dimensions.
    """
    centred = (vectors - vectors.mean(dim=0)) * vectors.shape[1] ** 0.5  # components of about unit variance
    covariance = centred.T @ centred / max(len(vectors) - 1, 1)
    squares = covariance.square()
    found: torch.Tensor = (squares.sum() - squares.diagonal().sum()) / vectors.shape[1]
    return found


def at_prefixes(
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    anchors: torch.Tensor,
    candidates: torch.Tensor,
    dimensions: Sequence[int],
) -> torch.Tensor:
    """The mean of a loss over the first components of both (Matryoshka, Kusupati et al., 2022)."""
    return torch.stack(
        [loss(normalize(anchors[:, :size], dim=1), normalize(candidates[:, :size], dim=1)) for size in dimensions]
    ).mean()


def agreement(scores: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """How far what each anchor prefers, by `scores` [n, m], is from what it prefers by `like` [n, m], which does not learn.

    Kullback-Leibler divergence of softmaxes, the mean over anchors (2D Matryoshka, Li et al., 2024).
    """
    return kl_div(scores.log_softmax(dim=1), like.detach().log_softmax(dim=1), log_target=True, reduction="batchmean")


def late_interaction(
    queries: Sequence[torch.Tensor], words: torch.Tensor, owner: torch.Tensor, candidates: int
) -> torch.Tensor:
    """[n, m] scores of queries, each by its words' vectors [w, d]: the mean over them of the best cosine with a word of the
    candidate, -1 where it has none; `owner` [t] names the candidates of `words` [t, d], of which there are m.

    (MaxSim of ColBERT, Khattab and Zaharia, 2020; there it is the sum.)
    """
    asked = torch.cat(list(queries))
    best = asked.new_full((len(asked), candidates), -1.0)
    best.scatter_reduce_(1, owner.to(asked.device).expand(len(asked), -1), asked @ words.T, "amax")
    return torch.stack([each.mean(dim=0) for each in torch.split(best, [len(query) for query in queries])])


def reconstruction(logits: torch.Tensor, tokens: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """How surprising the tokens [n, length] are by `logits` [n, length, vocabulary], the mean over those that are `real`.

    (Cross-entropy of TSDAE, Wang et al., 2021.)
    """
    return cross_entropy(
        logits.flatten(0, 1), tokens.masked_fill(~real, _NOT_COUNTED).flatten(), ignore_index=_NOT_COUNTED
    )


def suspects(anchors: torch.Tensor, candidates: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """[n, m] bool: candidates that these vectors put nearer to an anchor than its `own` [n].

    Too many of them are right ones that nobody has marked (false negatives; as in NV-Retriever, Moreira et al., 2024). Of
    a model that knows nothing yet they are chance, and a part of what it can learn from stays.
    """
    cosines = anchors @ candidates.T
    return cosines > cosines.gather(1, own[:, None].to(cosines.device))
