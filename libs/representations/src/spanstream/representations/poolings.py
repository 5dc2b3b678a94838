"""The ways to make one vector of several token states, by the names that sentence-transformers gives them."""

from __future__ import annotations

from enum import StrEnum


class Pooling(StrEnum):
    """How a whole text is pooled. A range pools its own tokens the same way, but where it says otherwise."""

    MEAN = "mean"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"  # the sum over the square root of the count: a mean once it is normalised
    CLS = "cls"  # the first special token; ranges, which have none, pool their mean
    MAX = "max"
    WEIGHTEDMEAN = "weightedmean"  # later tokens weigh more (Muennighoff, SGPT, 2022)
    LASTTOKEN = "lasttoken"
    # The mean of tokens that are put behind each sentence for this purpose (LMK pooling, 2025). A range takes those
    # inside it; one that has none pools its mean.
    LANDMARK = "landmark"


class Operator(StrEnum):
    """How a span, a range below the passages, is pooled where the release does not leave that to its pooling."""

    POOLING = "pooling"  # as a whole text is
    ENDS = "ends"  # the mean of its first and last token (SpanBERT, 2019)
    MEAN_ENDS = "mean_ends"  # the mean of both
