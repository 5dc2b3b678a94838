"""What training without labels gains: `python -m tests.quality.training --out FILE [--recipe FILE] [--steps N] [--seeds N] [--only SET …]`.

For each set and seed a model learns from the set's documents by a recipe: by the default one that is all-MiniLM-L6-v2. It is then held
against the model that it started from: on that set, and on the sets that it has not read (leave one corpus out). Both read
documents as the gate does, in one pass; documents are found by their best passage, by exact search. A query's score is the
mean over the seeds; intervals are of a paired bootstrap over queries.

FILE gets every training and every look at a set at once, and the weights so far lie in FILE.work: the same command goes on.

    span accuracy    whether the best sentence of the first document's best passage holds the answer
    without titles   documents are read, by both models, without their titles
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.bootstrap import Interval, interval, interval_of
from spanstream.representations.model import named as model_named
from spanstream.representations.training.recipe import Recipe, read_recipe
from spanstream.representations.training.student import student
from spanstream.representations.training.trainer import train
from spanstream.standalone.encoder import encoding
from spanstream.standalone.gate import sources
from spanstream.standalone.gate.exam import Exam
from spanstream.standalone.gate.measuring import measure
from spanstream.standalone.gate.rules import NDCG, SPANS
from spanstream.standalone.training import labels, outcome, projecting, spool
from tests.bench import facts
from tests.conftest import DATA

SETS = ("cranfield", "cisi", "medline", "xquad")
UNTITLED = ", without titles"
START = "start"

Scores = NDArray[np.float64]  # points of 100 of each query


@dataclass(frozen=True, slots=True)
class Row:
    """`read`: the set that was learnt from; `differences`: of each seed."""

    read: str
    asked: str
    measure: str
    start: float
    trained: float
    difference: Interval
    differences: Sequence[float]


class Book:
    """What is measured so far, in a file that is whole at all times."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self._path = path
        self.work = path.with_name(f"{path.name}.work")
        told: dict[str, Any] = {"recipe": json.loads(json.dumps(asdict(recipe)))}
        self._known = (
            json.loads(path.read_text()) if path.exists() else {**told, "machine": facts.machine(), "runs": {}}
        )
        if any(self._known[key] != value for key, value in told.items()):
            raise SystemExit(f"{path} is of another recipe: name another file")

    def run(self, name: str) -> dict[str, Any]:
        """A training by its name, or START: what is known of it."""
        found: dict[str, Any] = self._known["runs"].setdefault(name, {"scores": {}})
        return found

    def write(self) -> None:
        """Keep what is known."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text(json.dumps(self._known) + "\n")
        os.replace(new, self._path)

    def scores(self, name: str, asked: str, measure: str) -> Scores:
        """Of each query of a set; raises KeyError where it is not known."""
        return np.array(self._known["runs"][name]["scores"][asked][measure])


def exams(data: Path, names: Sequence[str]) -> dict[str, Exam]:
    """Set -> what is asked; a set with answers a second time without titles."""
    found: dict[str, Exam] = {}
    for name in names:
        exam = found[name] = sources.judged(data / name)
        if any(question.answers for question in exam.questions):
            found[name + UNTITLED] = replace(exam, papers=[replace(paper, title="") for paper in exam.papers])
    return found


def named(read: str, seed: int) -> str:
    """A training."""
    return f"{read}/{seed}"


def work(book: Book, asked: Mapping[str, Exam], only: Sequence[str], seeds: int, recipe: Recipe) -> Iterator[str]:
    """Do what is not known yet, and say each step."""
    yield from _examined(book, START, recipe.start, asked)
    for seed in range(seeds):
        for read in only:
            run, folder = book.run(named(read, seed)), book.work / f"{read}-{seed}"
            unknown = [one for one in asked if one not in run["scores"]]
            if "seconds" in run and unknown and not outcome.release(folder).is_file():
                raise SystemExit(
                    f"{named(read, seed)} has not been asked {unknown[0]}, and its weights are gone: name another file"
                )
            if "seconds" not in run:
                yield f"{named(read, seed)}: training"
                run |= trained(asked[read], replace(recipe, seed=seed), folder)
                book.write()
            yield from _examined(book, named(read, seed), str(outcome.release(folder)), asked)
            shutil.rmtree(folder, ignore_errors=True)


def trained(exam: Exam, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Learn, without labels, from the documents of a set, as `spanstream train` does; a stopped run goes on in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    spool.write(labels.plain(exam), folder)
    shutil.rmtree(folder / outcome.MODEL, ignore_errors=True)
    began = time.perf_counter()
    outcome.write(train(recipe, student(recipe.start), spool.source(folder), folder), recipe, folder)
    with encoding.progress(quiet=True) as bar:
        model = replace(model_named(str(folder / outcome.MODEL)), dtype="float32")
        path = folder / outcome.PROJECTION
        told = projecting.project(model, spool.source(folder)(), recipe.projected(), recipe.seed, path, bar)
    outcome.project(told, folder)
    seconds = time.perf_counter() - began  # since the last start, if it was stopped
    report = outcome.read(folder) or {}
    return {
        "seconds": round(seconds, 1),
        "kept": report["kept"],
        "projection": {key: told.get(key) for key in ("kept", "loss", "passages", "queries")},
        "passages": report["passages"],
    }


def _examined(book: Book, name: str, model: str, asked: Mapping[str, Exam]) -> Iterator[str]:
    known = book.run(name)["scores"]
    if all(one in known for one in asked):
        return
    with encoding.progress(quiet=True) as bar, encoding.opened(model, bar) as encoder:
        for one, exam in asked.items():
            if one not in known:
                found = measure(encoder, exam, bar, name).scores
                known[one] = {each: np.round(found[each], 4).tolist() for each in (NDCG, SPANS) if each in found}
                book.run(name)["dtype"] = encoder.info().dtype
                book.write()
                yield f"{name} on {one}: " + ", ".join(f"{each} {np.mean(v):.2f}" for each, v in known[one].items())


def rows(book: Book, asked: Mapping[str, Exam], only: Sequence[str], seeds: int) -> list[Row]:
    """In-domain first, then elsewhere."""
    found = []
    for read in only:
        for one in asked:
            for measured in (NDCG, SPANS):
                try:
                    start = book.scores(START, one, measured)
                except KeyError:
                    continue  # a set without answers
                each = np.array([book.scores(named(read, seed), one, measured) for seed in range(seeds)])
                differences = (each - start).mean(axis=1).tolist()
                between = interval(each.mean(axis=0) - start)
                found.append(Row(read, one, measured, start.mean(), each.mean(), between, differences))
    return sorted(found, key=lambda row: not row.asked.startswith(row.read))


def macro(book: Book, pairs: Sequence[tuple[str, str]], seeds: int) -> tuple[float, float, Interval]:
    """Mean of nDCG@10 over the sets asked: of the start, of what was trained, and by how many % it is more.

    `pairs`: (set read, set asked). A set that is asked of several trainings counts once: its queries' scores are the means of theirs.
    """
    sets = sorted({one for _, one in pairs})
    starts = [book.scores(START, one, NDCG) for one in sets]
    each = []
    for one in sets:
        runs = [named(read, seed) for read, other in pairs if other == one for seed in range(seeds)]
        each.append(np.mean([book.scores(run, one, NDCG) for run in runs], axis=0))
    kept = share(each, starts)
    before, after = (float(np.mean([scores.mean() for scores in several])) for several in (starts, each))
    return before, after, Interval(*(end - 100 for end in kept))


def share(parts: Sequence[Scores], wholes: Sequence[Scores]) -> Interval:
    """The mean over sets of `parts`, of that of `wholes` the %; the scores of a set are of the same queries."""
    bounds = np.cumsum([0, *map(len, wholes)])

    def mean(values: Sequence[Scores], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        drawn = [counts[:, low:high] for low, high in pairwise(bounds.tolist())]
        means = [each @ value / each.sum(axis=1) for each, value in zip(drawn, values, strict=True)]
        return np.mean(means, axis=0)  # type: ignore[no-any-return]

    return interval_of(lambda counts: 100 * mean(parts, counts) / mean(wholes, counts), int(bounds[-1]))


def table(book: Book, asked: Mapping[str, Exam], only: Sequence[str], seeds: int) -> str:
    """Markdown, for people."""
    lines = ["| read | asked | measure | start | trained | difference | of each seed |", "|---" * 7 + "|"]
    for row in rows(book, asked, only, seeds):
        each = ", ".join(f"{value:+.2f}" for value in row.differences)
        lines.append(
            f"| {row.read} | {row.asked} | {row.measure} | {row.start:.2f} | {row.trained:.2f} "
            f"| {_shown(row.difference)} | {each} |"
        )
    here = [(read, read) for read in only]
    elsewhere = [(read, one) for read in only for one in asked if not one.startswith(read) and UNTITLED not in one]
    for name, pairs in (("the set read", here), ("sets not read", elsewhere)):
        if pairs:
            start, after, more = macro(book, pairs, seeds)
            lines.append(f"| all | {name} | macro {NDCG} | {start:.2f} | {after:.2f} | {_shown(more)} % | |")
    return "\n".join(lines)


def _shown(difference: Interval) -> str:
    return f"{difference.value:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


def main() -> int:
    """Do what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.quality.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write, or to go on in")
    parser.add_argument("--recipe", type=Path, help="YAML file of docs/training.md (default: the default recipe)")
    parser.add_argument("--steps", type=int, help="of each training (default: the recipe's)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each set (default: %(default)s)")
    parser.add_argument(
        "--only", nargs="+", default=SETS, choices=SETS, metavar="SET", help="to learn from; all are asked"
    )
    options = parser.parse_args()
    present = [name for name in SETS if (options.data / name).is_dir()]
    only = [name for name in options.only if name in present]
    if not only:
        print("no development data beside the project", file=sys.stderr)
        return 1
    began = time.perf_counter()
    recipe = read_recipe(options.recipe) if options.recipe else Recipe()
    recipe = recipe if options.steps is None else replace(recipe, steps=options.steps)
    book, asked = Book(options.out, recipe), exams(options.data, present)
    for line in work(book, asked, only, options.seeds, recipe):
        print(f"{time.perf_counter() - began:6.0f} s  {line}", file=sys.stderr, flush=True)
    shutil.rmtree(book.work, ignore_errors=True)
    print(table(book, asked, only, options.seeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
