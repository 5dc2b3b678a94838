"""A candidate against the release it is to replace: both examined alike, the figures side by side, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    from spanstream.representations.local import LocalEncoder
    from spanstream.representations.static import StaticEncoder


@dataclass(frozen=True, slots=True)
class Judgement:
    """`base` and `candidate` are names of releases, `fingerprints` what these are of, `dtypes` what they were read in; `rows` hold
    the base as A.
    """

    base: str
    candidate: str
    fingerprints: Mapping[str, str]  # of base and candidate
    dtypes: Mapping[str, str]  # of both
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
            "dtypes": dict(self.dtypes),
            "asked": dict(self.asked),
            "rows": [row.plain() for row in self.rows],
            "rules": [asdict(ruling) for ruling in self.rulings],
        }


@dataclass(frozen=True, slots=True)
class _Side:
    release: str
    fingerprint: str
    dtype: str
    measured: Measured = field(repr=False)
    cosines: NDArray[np.float64] | None = field(repr=False)  # of scored pairs


def evaluate(base: str, candidate: str, exam: Exam, pairs: Pairs | None, bar: Progress) -> Judgement:
    """Both are names, folders or release files; without a question nothing is passed. Raises a RepresentationError.

    The base is read as the product reads it here, the candidate in the same dtype: one may be faster in another a moment later, and what
    that changes is no gain. A release file's own dtype counts, and a candidate that would not keep its vectors so is read in its own.
    """
    with encoding.opened(base, bar) as encoder:
        a = _side(encoder, exam, pairs, bar, "base")
    with _opened(candidate, a.dtype, bar) as encoder:
        b = _side(encoder, exam, pairs, bar, "candidate")
    bar.add_task("resampling", total=None)
    rows = _rows(a.measured, b.measured, exam)
    if pairs is not None and a.cosines is not None and b.cosines is not None:
        spearman, _ = compare_correlations(a.cosines, b.cosines, pairs.scores)
        rows.append(replace(spearman, measure=rules.SIMILARITY))
    return Judgement(
        a.release,
        b.release,
        {"base": a.fingerprint, "candidate": b.fingerprint},
        {"base": a.dtype, "candidate": b.dtype},
        {
            "queries": len(exam.questions),
            "documents": len(exam.papers),
            "from": exam.drawn_from,
            "pairs": len(pairs.scores) if pairs else 0,
        },
        rows,
        rules.rulings(rows),
    )


@contextmanager
def _opened(name: str, dtype: str, bar: Progress) -> Iterator[LocalEncoder | StaticEncoder]:
    from spanstream.representations.local import LocalEncoder
    from spanstream.representations.model import named

    with encoding.opened(name, bar) as encoder:
        # None where the release names a dtype; a static table has but one.
        calibration = encoder.calibration if isinstance(encoder, LocalEncoder) else None
        if encoder.info().dtype == dtype or calibration is None or not calibration.keeps(dtype):
            yield encoder
            return
    with encoding.opened(replace(named(name), dtype=dtype), bar) as encoder:
        yield encoder


def _side(encoder: LocalEncoder | StaticEncoder, exam: Exam, pairs: Pairs | None, bar: Progress, side: str) -> _Side:
    measured = measure(encoder, exam, bar, side)
    cosines = encoding.cosines(encoder, pairs, bar, side) if pairs is not None else None
    info = encoder.info()
    return _Side(info.release, encoder.fingerprint, info.dtype, measured, cosines)


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
