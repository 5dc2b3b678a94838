"""What pooling, layers, transforms and dimensions change: `python -m tests.quality.representations [--only SET …] [--out FILE] [--page FILE]`.

One model, all-MiniLM-L6-v2, and no new weights. Every set is encoded once per reading (dtype, pooling, layers); transforms
are applied to those vectors. Pairs of texts are held against people's scores, queries find whole documents by exact search.
Each line is the difference to the plain release, with the 95 % interval of a paired bootstrap over pairs or queries.

Transforms are fitted without judgements on the set's own texts (a collection's documents, both sides of pairs), as in
WhiteningBERT (Huang et al. 2021). A set with too few texts for a transform has no such line.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder, Text
from spanstream.ingestor.normalise import normalise
from spanstream.ingestor.segmentation import Passage as Cut
from spanstream.ingestor.segmentation import passages
from spanstream.ingestor.settings import IngestorSettings
from spanstream.representations.bootstrap import RESAMPLES, Interval, interval_of
from spanstream.representations.errors import TransformInvalid
from spanstream.representations.local import LocalEncoder, open_local
from spanstream.representations.poolings import Pooling
from spanstream.representations.release import Release
from spanstream.representations.transforms import fit, parse_stages
from spanstream.standalone.encoder import comparison, judgements
from spanstream.standalone.encoder.fit import entry
from tests.bench import facts
from tests.conftest import DATA
from tests.quality import page

CORRELATIONS = {"sts16": "Spearman", "bird": "Pearson"}
COLLECTIONS = ("cranfield", "medline", "cisi", "xquad")
SETS = (*CORRELATIONS, *COLLECTIONS)
NO_RANGES = np.empty((0, 2), np.int32)
_CALL = 64  # texts

Vectors = NDArray[np.float32]
Items = NDArray[np.float64]  # a cosine per pair, or nDCG@10 per query


@dataclass(frozen=True, slots=True)
class Judged:
    """A set: unique `texts`, of which `left` are the first texts or the queries, `right` the second ones or the documents.

    `own` are those to fit transforms on. `figure` of `items` and how often each is drawn, [r, n] -> [r], is in points of 100.
    """

    name: str
    measure: str
    texts: list[Text]
    left: list[int]
    right: list[int]
    own: list[int]
    items: Callable[[Vectors, Vectors], Items]
    figure: Callable[[Items, NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What takes a forward pass of its own."""

    name: str
    dtype: str = "float32"
    pooling: Pooling = Pooling.MEAN
    layers: tuple[int, ...] = (-1,)
    stages: tuple[str, ...] = ()  # each alone, as `spanstream encoder fit` takes them


@dataclass(frozen=True, slots=True)
class Row:
    """A variant on a set, in points of 100, and its difference to the plain release."""

    set: str
    measure: str
    variant: str
    value: float
    difference: Interval
    items: int

    @property
    def word(self) -> str:
        """What the difference says."""
        if self.items < comparison.MIN_ITEMS or not self.difference.excludes_zero():
            return "not shown"
        return "gain" if self.difference.value > 0 else "loss"


PLAIN = "plain: mean, last layer"
_DIMENSIONS = (192, 96, 48)
_STAGES = (
    *("center", "standardize", "clip", "whiten", "remove_components:3"),
    *(f"{kind}:{dimension}" for kind in ("pca", "truncate") for dimension in _DIMENSIONS),
)
READINGS = (
    Reading(PLAIN, stages=_STAGES),
    *(
        Reading(f"pooling {pooling}", pooling=pooling)
        for pooling in (Pooling.CLS, Pooling.MAX, Pooling.WEIGHTEDMEAN, Pooling.LASTTOKEN, Pooling.LANDMARK)
    ),
    *(
        Reading(f"layers {list(layers)}", layers=layers, stages=("whiten",))
        for layers in ((1, -1), (-2, -1), (4,), (5,))
    ),
    Reading("dtype auto", "auto"),
)


def load(folder: Path) -> Judged:
    """Read a set. Raises judgements.Unreadable."""
    found = judgements.read(folder)
    if isinstance(found, judgements.Pairs):
        return of_pairs(folder.name, found)
    return of_collection(folder.name, found)


def of_pairs(name: str, pairs: judgements.Pairs) -> Judged:
    """Scored by the correlation that the set's publications report."""
    unique = {text: number for number, text in enumerate(dict.fromkeys(pairs.left + pairs.right))}
    of, scores = comparison.CORRELATIONS[CORRELATIONS[name]], pairs.scores
    return Judged(
        name,
        CORRELATIONS[name],
        [text_of(text) for text in unique],
        [unique[text] for text in pairs.left],
        [unique[text] for text in pairs.right],
        list(unique.values()),
        lambda left, right: np.einsum("nd,nd->n", left.astype(np.float64), right.astype(np.float64)),
        lambda cosines, counts: 100 * of(cosines, scores, counts),
    )


def of_collection(name: str, data: judgements.Collection) -> Judged:
    """Scored by nDCG@10 of whole documents."""
    texts = [text_of(document["text"], document.get("title") or "") for document in data.documents]
    documents = list(range(len(texts)))
    texts += [text_of(query) for query in data.queries.values()]
    return Judged(
        name,
        "nDCG@10",
        texts,
        list(range(len(documents), len(texts))),
        documents,
        documents,
        lambda queries, found: comparison.ranking_scores(data, queries, found)["nDCG@10"],
        lambda gains, counts: counts @ gains / len(gains),
    )


def text_of(text: str, title: str = "") -> Text:
    """As the embedder has it: normalised, with the starts of sentences as boundaries."""
    text = normalise(text)
    starts = [start for passage in _cut(text) for start, _ in passage.sentences]
    return Text(text, NO_RANGES, title, np.array(starts, np.int32))


def _cut(text: str) -> list[Cut]:
    settings = _settings()
    return passages(text, settings.passage_characters, settings.sentences_per_passage)


@cache
def _settings() -> IngestorSettings:
    return IngestorSettings.read(log_url="memory:", blob_url="memory:")


def opened(reading: Reading) -> LocalEncoder:
    """The encoder of a reading."""
    release = Release(reading.name, "minilm", dtype=reading.dtype, pooling=reading.pooling, layers=reading.layers)
    return open_local(release)


def encoded(encoder: Encoder, texts: Sequence[Text]) -> Vectors:
    """Of whole texts, [n, d]."""
    calls = [texts[start : start + _CALL] for start in range(0, len(texts), _CALL)]
    return np.array([each.whole for call in calls for each in encoder.encode(call)])


def measure(
    sets: Sequence[Judged],
    readings: Sequence[Reading] = READINGS,
    *,
    resamples: int = RESAMPLES,
    told: Callable[[str], None] = lambda line: None,
) -> Iterator[Row]:
    """A row per variant and set; the first reading is what the others are compared with. `told` of each step."""
    base: dict[str, Items] = {}
    for reading in readings:
        encoder = opened(reading)
        try:
            name = f"{reading.name} ({encoder.info().dtype})" if reading.dtype == "auto" else reading.name
            origin = {"release": encoder.info().release, "fingerprint": encoder.fingerprint}
            for data in sets:
                vectors = encoded(encoder, data.texts)
                told(f"{name}: {data.name} is encoded")
                variants = {name: vectors}
                for stage in reading.stages:
                    try:
                        chain = fit(parse_stages([entry(stage)]), vectors[data.own], **origin)
                    except TransformInvalid:
                        continue  # too few texts
                    variants[stage if reading.name == PLAIN else f"{name}, {stage}"] = chain.apply(vectors)
                for variant, these in variants.items():
                    items = data.items(these[data.left], these[data.right])
                    yield _row(data, variant, items, base.setdefault(data.name, items), resamples)
        finally:
            encoder.close()


def _row(data: Judged, variant: str, items: Items, base: Items, resamples: int) -> Row:
    def difference(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return data.figure(items, counts) - data.figure(base, counts)

    between = interval_of(difference, len(items), resamples=resamples)
    value = float(data.figure(items, np.ones((1, len(items))))[0])
    return Row(data.name, data.measure, variant, value, between, len(items))


def parts(folder: Path) -> dict[str, float]:
    """The plain release on each part of a set of pairs, which the fourth column names."""
    with (folder / "pairs.tsv").open(encoding="utf-8", newline="") as file:
        sources = np.array([row[3] for row in list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]])
    data, encoder = load(folder), opened(READINGS[0])
    try:
        vectors = encoded(encoder, data.texts)
    finally:
        encoder.close()
    cosines = data.items(vectors[data.left], vectors[data.right])
    return {
        str(source): float(data.figure(cosines, (sources == source)[None].astype(np.float64))[0])
        for source in np.unique(sources)
    }


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line per variant, a column per set."""
    columns = dict.fromkeys((row.set, row.measure, row.items) for row in rows)
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        found.setdefault(row.variant, {})[row.set] = row
    heads = [f"{name} {measure} ({items})" for name, measure, items in columns]
    lines = ["| variant | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for variant, cells in found.items():
        each = [_cell(cells.get(name), plain=variant == rows[0].variant) for name, _, _ in columns]
        lines.append(f"| {variant} | " + " | ".join(each) + " |")
    return "\n".join(lines)


def _cell(row: Row | None, *, plain: bool) -> str:
    if row is None:
        return "–"
    if plain:
        return f"{row.value:.2f}"
    value, low, high = row.difference
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}] {row.word}"


def _json(row: Row) -> Mapping[str, object]:
    return {**asdict(row), "difference": list(row.difference), "word": row.word}


def main() -> int:
    """Print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.quality.representations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--only", nargs="+", default=SETS, choices=SETS, metavar="SET", help="default: %(default)s")
    parser.add_argument(
        "--dtype",
        default="float32",
        help="of all but the last line; bfloat16 is several times as fast where there are matrix units (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument(
        "--page", type=Path, help="Markdown file whose tables of pairs and of collections to write anew"
    )
    options = parser.parse_args()
    if not options.data.is_dir():
        print("no development data beside the project", file=sys.stderr)
        return 1
    began = time.perf_counter()

    def told(line: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {line}", file=sys.stderr, flush=True)

    machine = facts.machine()
    print(json.dumps(machine, indent=1))
    rows, sets = [], [load(options.data / name) for name in options.only]
    readings = [reading if reading.dtype == "auto" else replace(reading, dtype=options.dtype) for reading in READINGS]
    for row in measure(sets, readings, told=told):
        told(f"{row.set} {row.measure} {row.value:.2f}  {row.variant}: {_cell(row, plain=False)}")
        rows.append(row)
    print(table(rows))
    if "sts16" in options.only:
        each = parts(options.data / "sts16")
        listed = ", ".join(f"{part} {value:.2f}" for part, value in each.items())
        print(f"\nsts16, plain, mean over its parts {np.mean(list(each.values())):.2f}: {listed}")
    if options.page:
        for name, group in (("pairs", CORRELATIONS), ("collections", COLLECTIONS)):
            if these := [row for row in rows if row.set in group]:
                page.write(options.page, name, table(these))
    if options.out:
        options.out.write_text(
            json.dumps({"machine": machine, "dtype": options.dtype, "rows": [_json(row) for row in rows]}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
