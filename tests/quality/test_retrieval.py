"""The development sets, ingested and searched through the public API, held against floors and an offline computation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spanstream.client.results import Hit, Passage, Span
from spanstream.ingestor.normalise import normalise
from spanstream.representations.local import LocalEncoder, open_local
from tests.fixtures.product import Product
from tests.quality.measures import Dataset, interval, load, ndcg
from tests.quality.offline import OfflineIndex

FLOORS = {"cranfield": 42.0, "cisi": 43.0, "medline": 79.0, "xquad": 96.0}
SHORT, EACH = "xquad", 5  # `make test` asks each fifth question of this one; the long form asks all of all
TOLERANCE = 0.5  # nDCG points between the product and the offline computation


@pytest.fixture(scope="module")
def encoder() -> Iterator[LocalEncoder]:
    local = open_local(dtype="float32")
    yield local
    local.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FLOORS)
def test_default_search_reaches_its_floor_and_equals_the_offline_ranking(
    name: str, long: bool, development_data: Path, tmp_path: Path, encoder: LocalEncoder
) -> None:
    if not long and name != SHORT:
        pytest.skip("long form only: make quality")
    data = load(development_data / name)
    questions = dict(list(data.queries.items())[:: 1 if long else EACH])
    with Product.start(tmp_path / "data", "--no-samples") as product, product.wait_ready().client() as client:
        report = client.ingest(name, data.documents)
        empty = [document["_id"] for document in data.documents if not document["text"].strip()]
        assert [failure.id for failure in report.failures] == empty
        answers = {query: client.search(text, limit=10).hits for query, text in questions.items()}
    check_spans(data, [hit for hits in answers.values() for hit in hits])
    measured = [100 * ndcg([hit.id for hit in hits], data.relevant[query]) for query, hits in answers.items()]
    index = OfflineIndex(data, encoder)
    offline = [100 * ndcg(index.search(text), data.relevant[query]) for query, text in questions.items()]
    mean, low, high = interval(measured)
    difference = interval([ours - theirs for ours, theirs in zip(measured, offline, strict=True)])
    print(f"\n{name}: nDCG@10 {mean:.1f} [{low:.1f}, {high:.1f}], offline {sum(offline) / len(offline):.1f}, ", end="")
    print(f"difference {difference[0]:+.2f} [{difference[1]:+.2f}, {difference[2]:+.2f}]; {_answers(data, answers)}")
    assert mean >= FLOORS[name]
    assert abs(difference[0]) <= TOLERANCE


@pytest.mark.timeout(600)
def test_spans_of_long_documents_are_exact(long: bool, development_data: Path, tmp_path: Path) -> None:
    if not long:
        pytest.skip("long form only: make quality")
    data = load(development_data / "longdocs")
    with Product.start(tmp_path / "data", "--no-samples") as product, product.wait_ready().client() as client:
        assert not client.ingest("longdocs", data.documents).failures
        answers = {query: client.search(text, limit=10).hits for query, text in data.queries.items()}
    check_spans(data, [hit for hits in answers.values() for hit in hits])
    print(f"\nlongdocs: {_answers(data, answers)}")


def check_spans(data: Dataset, hits: list[Hit]) -> None:
    """Every passage and span returned is the document's text at its offsets."""
    texts = {document["_id"]: normalise(document["text"]) for document in data.documents}
    spans = 0
    for hit in hits:
        for passage in hit.passages:
            assert texts[hit.id][passage.start : passage.end] == passage.text
            for span in passage.spans:
                assert texts[hit.id][span.start : span.end] == span.text
                spans += 1
    assert spans >= len(hits) > 0


def _answers(data: Dataset, answers: dict[str, tuple[Hit, ...]]) -> str:
    """How often the first hit's best span overlaps an answer, where the set has answer spans."""
    found = []
    for query, wanted in data.spans.items():
        if not answers.get(query):
            continue
        hit = answers[query][0]
        span = hit.passages[0].spans[0]
        found.append(any(hit.id == id and start < span.end and end > span.start for id, start, end in wanted))
    return (
        f"best span of the first hit overlaps the answer in {100 * sum(found) / len(found):.1f} %"
        if found
        else "no spans"
    )


def test_a_wrong_offset_would_be_found() -> None:
    data = Dataset("x", [{"_id": "1", "text": "A cat."}], {}, {}, {})

    good = Hit("s", "1", 1, "", {}, 1.0, (Passage(0, 0, 6, "A cat.", 1.0, (Span(2, 5, "cat", 1.0),)),))
    bad = Hit("s", "1", 1, "", {}, 1.0, (Passage(0, 0, 6, "A cat.", 1.0, (Span(1, 4, "cat", 1.0),)),))
    check_spans(data, [good])
    with pytest.raises(AssertionError):
        check_spans(data, [bad])
