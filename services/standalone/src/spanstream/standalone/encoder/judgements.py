"""What people judged, read from a folder: queries with their relevant documents, or pairs of texts with scores."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

FORMS = "a folder with corpus.jsonl, queries.jsonl and qrels.tsv (BEIR's form), or with pairs.tsv (score and two texts)"


class Unreadable(Exception):
    """The folder does not hold judgements in a known form: the message says what is missing or wrong, and where."""


@dataclass(frozen=True, slots=True)
class Collection:
    """`documents` have _id, title and text; only judged queries are kept (id -> text); `relevant`: query -> document -> grade."""

    documents: list[dict[str, str]] = field(repr=False)
    queries: dict[str, str] = field(repr=False)
    relevant: dict[str, dict[str, float]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Texts side by side and the score of each pair, all of one length."""

    left: list[str] = field(repr=False)
    right: list[str] = field(repr=False)
    scores: list[float] = field(repr=False)


def read(folder: Path) -> Collection | Pairs:
    """Whichever form the folder has. Raises Unreadable."""
    if (folder / "pairs.tsv").is_file():
        return read_pairs(folder / "pairs.tsv")
    if not folder.is_dir():
        raise Unreadable(f"{folder} is not a folder; needed is {FORMS}")
    return read_collection(folder)


def read_collection(folder: Path) -> Collection:
    """A folder in BEIR's form; its qrels.tsv may also be qrels/test.tsv. Raises Unreadable."""
    judgements = folder / "qrels.tsv" if (folder / "qrels.tsv").is_file() else folder / "qrels" / "test.tsv"
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", judgements):
        if not path.is_file():
            raise Unreadable(f"{folder} has no {path.relative_to(folder)}; needed is {FORMS}")
    relevant: dict[str, dict[str, float]] = {}
    for number, (query, document, grade, *_) in _table(judgements, 3, number=2):
        relevant.setdefault(query, {})[document] = _number(grade, judgements, number)
    texts = {record["_id"]: record["text"] for record in _records(folder / "queries.jsonl")}
    queries = {query: texts[query] for query in relevant if query in texts}
    documents = list(_records(folder / "corpus.jsonl"))
    if not queries or not documents:
        raise Unreadable(f"{folder} has no judged query, or no document: do the ids in {judgements.name} match?")
    return Collection(documents, queries, relevant)


def read_answers(folder: Path) -> dict[str, list[tuple[str, int, int]]]:
    """Query -> (document, start, end) of what answers it, from the folder's spans.tsv; empty without one. Raises Unreadable.

    Offsets are characters of the document's text, half-open.
    """
    answers: dict[str, list[tuple[str, int, int]]] = {}
    path = folder / "spans.tsv"
    if path.is_file():
        for number, (query, document, start, end, *_) in _table(path, 4, number=2):
            first, last = (int(_number(offset, path, number)) for offset in (start, end))
            answers.setdefault(query, []).append((document, first, last))
    return answers


def read_pairs(path: Path) -> Pairs:
    """A table with a header whose first three columns are a score and two texts: separated by tabs, or by commas in a file
    named .csv. Raises Unreadable.
    """
    pairs = Pairs([], [], [])
    for number, (score, left, right, *_) in _table(path, 3, number=0):
        pairs.scores.append(_number(score, path, number))
        pairs.left.append(left)
        pairs.right.append(right)
    if not pairs.scores:
        raise Unreadable(f"{path} has no pairs")
    return pairs


def _records(path: Path) -> Iterator[dict[str, str]]:
    known: set[str] = set()
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                read = {**record, "_id": str(record["_id"]), "text": str(record["text"])}
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise Unreadable(f"{path}:{number} is not a JSON object with _id and text") from error
            if read["_id"] in known:  # found twice it would count twice
                raise Unreadable(f"{path}:{number} has an _id that an earlier line has")
            known.add(read["_id"])
            yield read


def _table(path: Path, columns: int, *, number: int) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, with their line numbers. `number`: the column of a number, which no header has."""
    with path.open(encoding="utf-8", errors="replace", newline=None if path.suffix != ".csv" else "") as file:
        for line_number, row in _rows(file, path):
            if line_number == 1 and len(row) > number and _is_number(row[number]):
                raise Unreadable(f"{path}:1 is a row already; the first line must name the columns")
            if line_number > 1 and row != [""]:
                if len(row) < columns:
                    raise Unreadable(
                        f"{path}:{line_number} has {len(row)} columns, separated by "
                        f"{'commas' if path.suffix == '.csv' else 'tabs'}; {columns} are needed"
                    )
                yield line_number, row


def _rows(file: TextIO, path: Path) -> Iterator[tuple[int, list[str]]]:
    if path.suffix == ".csv":
        try:
            yield from ((number, row or [""]) for number, row in enumerate(csv.reader(file), 1))
        except csv.Error as error:
            raise Unreadable(f"{path} is not a table with commas: {error}") from error
        return
    yield from ((number, line.rstrip("\n").split("\t")) for number, line in enumerate(file, 1))


def _number(text: str, path: Path, line: int) -> float:
    if not _is_number(text):
        raise Unreadable(f"{path}:{line} has no number where the grade or score is expected")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
