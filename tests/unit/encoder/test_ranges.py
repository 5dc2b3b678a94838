from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanstream.encoder.ranges import token_ranges

TEXT = st.text(st.sampled_from("ab \u00e9\U0001f600\u4f60\u0301"), max_size=30)


@given(TEXT, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_tokens_of_a_range_are_those_that_share_a_character(text: str, pairs: list[tuple[int, int]]) -> None:
    tokens = [match.span() for match in re.finditer(r"\w|[^\w\s]+", text)]
    ranges = [(min(pair), max(pair)) for pair in pairs]
    found = token_ranges(np.array(tokens, np.int32).reshape(-1, 2), np.array(ranges, np.int32).reshape(-1, 2))
    for (start, end), (first, last) in zip(ranges, found.tolist(), strict=True):
        expected = [i for i, token in enumerate(tokens) if max(start, token[0]) < min(end, token[1])]
        assert list(range(first, last)) == expected
