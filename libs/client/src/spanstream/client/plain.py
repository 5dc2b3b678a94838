"""Texts of documents made fit for a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """Without control characters, so that a document cannot steer the terminal, and without what it cannot show: names of
    files need not be Unicode."""
    return _CONTROL.sub("\ufffd", text)


def line(text: str) -> str:
    """`clean`, and every run of white space as one space."""
    return re.sub(r"\s+", " ", clean(text))
