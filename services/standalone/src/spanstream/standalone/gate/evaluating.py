"""A candidate against the release it is to replace: both examined alike, the figures side by side, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spanstream.representations.bootstrap import interval
from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.comparison import Row, compare_correlations
from spanstream.standalone.encoder.judgements import Pairs
from spanstream.standalone.gate import rules
from spanstream.standalone.gate.exam import Exam
from spanstream.standalone.gate.measuring import Measured, measure
from spanstream.standalone.gate.scores import calibration_error, fitted_on

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True, slots=True)
class Judgement:
    """`base` and `candidate` are names of releases, `fingerprints` what these are of; `rows` hold the base as A."""

    base: str
    candidate: str
    fingerprints: Mapping[str, str]  # of base and candidate
    asked: Mapping[str, Any]  # where the questions come from, and how many
    rows: Sequence[Row]
    rulings: Sequence[rules.Ruling]

    @property
    def passed(self) -> bool:
        """Whether the candidate may be offered."""
        return rules.passed(self.rulings)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "passed": self.passed,
            "base": self.base,
            "candidate": self.candidate,
            "fingerprints": dict(self.fingerprints),
            "asked": dict(self.asked),
            "rows": [row.plain() for row in self.rows],
            "rules": [asdict(ruling) for ruling in self.rulings],
        }


@dataclass(frozen=True, slots=True)
class _Side:
    release: str
    fingerprint: str
    measured: Measured = field(repr=False)
    cosines: NDArray[np.float64] | None = field(repr=False)  # of scored pairs


def evaluate(base: str, candidate: str, exam: Exam, pairs: Pairs | None, bar: Progress) -> Judgement:
    """Both are names, folders or release files; without a question nothing is passed. Raises a RepresentationError."""
    a, b = (_side(name, exam, pairs, bar, side) for name, side in ((base, "base"), (candidate, "candidate")))
    bar.add_task("resampling", total=None)
    rows = _rows(a.measured, b.measured, exam)
    if pairs is not None and a.cosines is not None and b.cosines is not None:
        spearman, _ = compare_correlations(a.cosines, b.cosines, pairs.scores)
        rows.append(replace(spearman, measure=rules.SIMILARITY))
    return Judgement(
        a.release,
        b.release,
        {"base": a.fingerprint, "candidate": b.fingerprint},
        {
            "queries": len(exam.questions),
            "documents": len(exam.papers),
            "from": exam.drawn_from,
            "pairs": len(pairs.scores) if pairs else 0,
        },
        rows,
        rules.rulings(rows),
    )


def _side(name: str, exam: Exam, pairs: Pairs | None, bar: Progress, side: str) -> _Side:
    with encoding.opened(name, bar) as encoder:
        measured = measure(encoder, exam, bar, side)
        cosines = encoding.cosines(encoder, pairs, bar, side) if pairs is not None else None
        return _Side(encoder.info().release, encoder.fingerprint, measured, cosines)


def _rows(a: Measured, b: Measured, exam: Exam) -> list[Row]:
    """Of what is measured of questions; a measure is over those that it can be asked of."""
    rows = [
        Row(name, float(one.mean()), float(b.scores[name].mean()), interval(b.scores[name] - one), len(one))
        for name, one in a.scores.items()
    ]
    error = calibration_error(a.hits, b.hits, fitted_on([question.text for question in exam.questions]))
    if error is not None:
        difference, one, other, items = error
        rows.append(Row(rules.CALIBRATION, one, other, difference, items))
    return rows
