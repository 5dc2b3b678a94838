"""The short form of what spans cost: it runs, and spans change no passage's vector. Never its times."""

from __future__ import annotations

from spanstream.representations.local import open_local
from tests.bench import spans


def test_spans_change_no_passage_and_each_form_is_timed() -> None:
    encoder = open_local(dtype="float32")
    try:
        result = spans.measure(encoder, short=True)
    finally:
        encoder.close()
    assert all(result["guards"].values())
    assert len(result["rows"]) == len(spans.FORMS) == len(result["figures"]["ratios"])
    per_passage = result["figures"]["spans_per_passage"]
    assert per_passage["sentences"] < per_passage[spans.FORMS[-1]]
