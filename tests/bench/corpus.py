"""Documents to measure with: sentences of real texts, drawn again and again with a seed, so that any number can be had."""

from __future__ import annotations

import ast
import json
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import DATA

WORDS = 150  # per document: about one passage of the default budget


def _sentences() -> list[str]:
    """Sentences of the development sets; where these are absent, of the standard library's docstrings."""
    texts: list[str] = []
    if DATA.is_dir():
        for name in ("cranfield", "cisi", "medline", "xquad"):
            texts += _texts(name, "corpus")
    else:
        for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
            tree = ast.parse(path.read_text(errors="replace"))
            nodes = (n for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef))
            texts += filter(None, map(ast.get_docstring, nodes))
    pieces = [" ".join(piece.split()) for text in texts for piece in re.split(r"(?<=[.?!])\s+", text)]
    return [piece for piece in pieces if 5 <= len(piece.split()) <= 60]


def _texts(name: str, kind: str) -> list[str]:
    with (DATA / name / f"{kind}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def documents(count: int, *, seed: int, prefix: str = "doc") -> Iterator[dict[str, str]]:
    """`count` records {_id, title, text} of about 150 words, the same for the same seed and different for another."""
    sentences, chance = _sentences(), random.Random(seed)
    for number in range(count):
        chosen: list[str] = []
        words = 0
        target = chance.randint(WORDS * 2 // 3, WORDS * 4 // 3)
        while words < target:
            chosen.append(chance.choice(sentences))
            words += len(chosen[-1].split())
        yield {"_id": f"{prefix}-{seed}-{number}", "title": chosen[0][:60], "text": " ".join(chosen)}


def questions(count: int) -> list[str]:
    """Real questions of the development sets, else sentences."""
    found: list[str] = []
    if DATA.is_dir():
        for name in ("cranfield", "cisi", "medline", "xquad"):
            found += [text[:400] for text in _texts(name, "queries")]
    found = found or _sentences()
    random.Random(7).shuffle(found)
    return found[:count]
