from __future__ import annotations

from pathlib import Path

import pytest

from spanstream.standalone.encoder.judgements import Collection, Pairs, Unreadable, read


def write_collection(folder: Path, qrels: str = "query-id\tcorpus-id\tscore\nq\td\t2\nq\te\t0\nlost\td\t1\n") -> Path:
    (folder / "corpus.jsonl").write_text('{"_id": "d", "text": "one"}\n{"_id": 2, "title": "t", "text": "two"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "which"}\n{"_id": "unjudged", "text": "x"}\n')
    (folder / "qrels.tsv").write_text(qrels)
    return folder


def test_a_collection_keeps_judged_queries_only(tmp_path: Path) -> None:
    found = read(write_collection(tmp_path))
    assert isinstance(found, Collection)
    assert found.queries == {"q": "which"}
    assert found.relevant["q"] == {"d": 2, "e": 0}
    assert [document["_id"] for document in found.documents] == ["d", "2"]


def test_judgements_may_lie_where_beir_puts_them(tmp_path: Path) -> None:
    write_collection(tmp_path)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels.tsv").rename(tmp_path / "qrels" / "test.tsv")
    assert isinstance(read(tmp_path), Collection)


def test_pairs_are_a_score_and_two_texts_quotes_included(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text('score\tone\ttwo\tsource\n0.5\t"a\tb\tx\n1\tc\td\ty\n')
    assert read(tmp_path) == Pairs(['"a', "c"], ["b", "d"], [0.5, 1.0])


def test_a_text_of_pairs_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text(f"score\tone\ttwo\n\n1\t{'x' * 200_000}\tb\n")
    assert read(tmp_path) == Pairs(["x" * 200_000], ["b"], [1.0])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("qrels.tsv", "h\nq\td\n", "qrels.tsv:2 has 2 columns"),
        ("qrels.tsv", "h\nq\td\tgood\n", "qrels.tsv:2 has no number"),
        ("qrels.tsv", "h\nz\td\t1\n", "no judged query"),
        ("corpus.jsonl", '{"_id": "d"}\n', "corpus.jsonl:1 is not a JSON object with _id and text"),
        ("pairs.tsv", "score\tone\ttwo\n", "has no pairs"),
        ("pairs.tsv", "0.5\ta\tb\n1\tc\td\n", "pairs.tsv:1 is a row already"),
        ("pairs.tsv", "score\tone\ttwo\nnan\ta\tb\n", "pairs.tsv:2 has no number"),
        ("qrels.tsv", "h\nq\td\tinf\n", "qrels.tsv:2 has no number"),
        ("corpus.jsonl", "[" * 100_000, "corpus.jsonl:1 is not a JSON object"),
        (
            "corpus.jsonl",
            '{"_id": 1, "text": "a"}\n{"_id": "1", "text": "b"}\n',
            "corpus.jsonl:2 has an _id that an earlier",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, file: str, text: str, message: str) -> None:
    (write_collection(tmp_path) / file).write_text(text)
    with pytest.raises(Unreadable, match=message):
        read(tmp_path)


def test_a_folder_without_judgements_is_told_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"no corpus\.jsonl; needed is .*pairs\.tsv"):
        read(tmp_path)
    with pytest.raises(Unreadable, match="not a folder"):
        read(tmp_path / "absent")
