"""What the first dimensions of a trained release keep: `python -m tests.quality.dimensions --out FILE [--dimensions N] [--only SET …]`.

For each set and seed the projection alone is learnt behind all-MiniLM-L6-v2 from the set's documents, as `tests.quality.training`
does with `--steps 0`. nDCG@10 on that set of all its dimensions and of the first N is held against the model without it: all
dimensions, the first N, and the stage `pca` to N, fitted on the set's passages (with their sentences where those are fewer than
the stage wants, two per dimension). Every set is encoded once, in float32, and read as the gate reads it; documents are found by
their best passage, by exact search. A query's score is the mean over the seeds; intervals are of a paired bootstrap over queries.

FILE gets every look at a set at once: the same command goes on, and with another N adds to it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spanstream.representations.bootstrap import Interval
from spanstream.representations.measures import ndcg
from spanstream.representations.model import named as model_named
from spanstream.representations.stages import KINDS, Array
from spanstream.representations.training.recipe import Recipe
from spanstream.representations.transforms import Chain, fit, parse_stages
from spanstream.standalone.encoder import encoding
from spanstream.standalone.gate import sources
from spanstream.standalone.gate.exam import Exam, Question
from spanstream.standalone.gate.measuring import DEPTH, Index, index_of
from spanstream.standalone.training import outcome
from tests.conftest import DATA
from tests.quality.training import SETS, START, Book, Scores, named, share, trained

DIMENSIONS = 128
RECIPE = Recipe(steps=0)  # of nothing but the projection, and the file says so
FULL, FIRST, PCA = "all", "first", "pca"


@dataclass(frozen=True, slots=True)
class Row:
    """Points of nDCG@10, and what share of whose is kept, in %."""

    name: str
    start: float
    trained: float
    truncated: Interval  # the start's first N, of the start
    pca: Interval  # the start's N of pca, of the start
    kept: Interval  # the trained one's first N, of the trained one
    overall: Interval  # the trained one's first N, of the start
    beside: Interval  # the trained one's first N, of the start's N of pca


@dataclass(frozen=True, slots=True)
class Read:
    """A set in the start's vectors."""

    index: Index
    queries: Array
    questions: Sequence[Question]

    def scores(self, chain: Chain) -> Scores:
        """Of each query, in points of 100."""
        ranked = replace(self.index, passages=chain.apply(self.index.passages)).ranked(chain.apply(self.queries))
        found = []
        for question, (_, best) in zip(self.questions, ranked, strict=True):
            relevant = {str(document): grade for document, grade in question.relevant.items()}
            order = np.argsort(-best, kind="stable")[:DEPTH]
            found.append(100 * ndcg([str(document) for document in order], relevant, DEPTH))
        return np.array(found)


def label(form: str, dimensions: int) -> str:
    """A form's name in the file."""
    return form if form == FULL else f"{form}:{dimensions}"


def work(
    book: Book, asked: Mapping[str, Exam], only: Sequence[str], seeds: int, dimensions: int, recipe: Recipe
) -> Iterator[str]:
    """Do what is not known yet, and say each step. `recipe`: of no steps, for its projection is learnt behind its start."""
    for one in only:
        wanted = [START, *(named(one, seed) for seed in range(seeds))]
        last = label(FIRST, dimensions)
        if all(last in book.run(name)["scores"].get(one, {}) for name in wanted):
            continue
        yield f"{one}: reading"
        found = read(asked[one], recipe.start)
        for seed, name in zip((None, *range(seeds)), wanted, strict=True):
            run = book.run(name)
            if last in run["scores"].get(one, {}):
                continue
            chains = plain(found.index, dimensions)
            if seed is not None:
                yield f"{name}: training"
                folder = book.work / f"{one}-{seed}"
                run |= trained(asked[one], replace(recipe, seed=seed), folder)
                chains = learnt(folder, found.index.passages.shape[1], dimensions)
                shutil.rmtree(folder)
            scores = {label(form, dimensions): found.scores(chain) for form, chain in chains.items()}
            run["scores"][one] = run["scores"].get(one, {}) | {k: v.round(4).tolist() for k, v in scores.items()}
            book.write()
            yield f"{name} on {one}: " + ", ".join(f"{form} {each.mean():.2f}" for form, each in scores.items())


def read(exam: Exam, start: str) -> Read:
    """The set's vectors, in float32: figures are not to depend on which dtype is fastest here."""
    with (
        encoding.progress(quiet=True) as bar,
        encoding.opened(replace(model_named(start), dtype="float32"), bar) as encoder,
    ):
        index = index_of(encoder, exam.papers, bar, "documents")
        texts = [question.text for question in exam.questions]
        return Read(index, encoding.vectors(encoder, texts, bar, "queries", query=True), exam.questions)


def plain(index: Index, dimensions: int) -> dict[str, Chain]:
    """Of a model without a matrix: all, the first, and as many of PCA."""
    entries = {FULL: [], PCA: [{"type": "pca", "dimension": dimensions}], FIRST: [_first(dimensions)]}
    sample, width = index.passages, index.passages.shape[1]
    if len(sample) < KINDS["pca"].rows(width, {"dimension": dimensions}):
        sample = np.concatenate([sample, index.sentences])
    return {form: fit(parse_stages(each), sample, release="", fingerprint="") for form, each in entries.items()}


def learnt(folder: Path, width: int, dimensions: int) -> dict[str, Chain]:
    """Of what was trained there: all, and the first; as the start's where no matrix was kept."""
    path = folder / outcome.PROJECTION
    stages = Chain.load(path).stages if path.exists() else ()
    cut = fit(parse_stages([_first(dimensions)]), np.empty((0, width), np.float32), release="", fingerprint="")
    return {FULL: replace(cut, stages=stages), FIRST: replace(cut, stages=(*stages, *cut.stages))}


def _first(dimensions: int) -> dict[str, object]:
    return {"type": "truncate", "dimension": dimensions}


def rows(book: Book, only: Sequence[str], seeds: int, dimensions: int) -> list[Row]:
    """Of each set, then the macro mean."""

    def of(name: str, one: str, form: str) -> Scores:
        return book.scores(name, one, label(form, dimensions))

    def after(one: str, form: str) -> Scores:
        return np.mean([of(named(one, seed), one, form) for seed in range(seeds)], axis=0)  # type: ignore[no-any-return]

    found = []
    for name, sets in (*((one, [one]) for one in only), ("macro", list(only))):
        start, first, pca = ([of(START, one, form) for one in sets] for form in (FULL, FIRST, PCA))
        whole, cut = ([after(one, form) for one in sets] for form in (FULL, FIRST))
        points = (float(np.mean([scores.mean() for scores in several])) for several in (start, whole))
        shares = (share(*pair) for pair in ((first, start), (pca, start), (cut, whole), (cut, start), (cut, pca)))
        found.append(Row(name, *points, *shares))
    return found


def table(found: Sequence[Row], dimensions: int) -> str:
    """Markdown, for people."""
    first = f"first {dimensions}"
    columns = ("set", "start", "trained", f"start's {first}, % of start", f"pca:{dimensions}, % of start")
    columns += (
        f"trained's {first}, % of trained",
        f"trained's {first}, % of start",
        f"trained's {first}, % of pca:{dimensions}",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in found:
        shares = (f"{each.value:.1f} [{each.low:.1f}, {each.high:.1f}]" for each in _shares(row))
        lines.append(f"| {row.name} | {row.start:.2f} | {row.trained:.2f} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _shares(row: Row) -> tuple[Interval, ...]:
    return row.truncated, row.pca, row.kept, row.overall, row.beside


def main() -> int:
    """Do what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.quality.dimensions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or to go on in")
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS, help="that are kept (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="matrices of each set (default: %(default)s)")
    parser.add_argument("--only", nargs="+", default=SETS, choices=SETS, metavar="SET")
    options = parser.parse_args()
    only = [name for name in options.only if (options.data / name).is_dir()]
    if not only:
        print("no development data beside the project", file=sys.stderr)
        return 1
    began = time.perf_counter()
    book, asked = Book(options.out, RECIPE), {name: sources.judged(options.data / name) for name in only}
    for line in work(book, asked, only, options.seeds, options.dimensions, RECIPE):
        print(f"{time.perf_counter() - began:6.0f} s  {line}", file=sys.stderr, flush=True)
    shutil.rmtree(book.work, ignore_errors=True)
    print(table(rows(book, only, options.seeds, options.dimensions), options.dimensions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
