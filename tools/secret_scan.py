"""Looks for secrets in files that git tracks: `python -m tools.secret_scan`. A finding is named by file, line and kind, never shown.

Keys whose form is known, and texts of much randomness that are given to something named like a secret. What is not one is
told so where it stands, with the word ALLOW in the same line.
"""

from __future__ import annotations

import math
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOW = "secret-scan: " + "allow"  # in two, so that this line is not one of those
LARGEST = 4 << 20  # bytes of a file; larger ones are data
RANDOM_BITS = 3.5  # a character, from which a text is no word: English has 2 to 3
RANDOM_HEX_BITS = 2.5  # of hexadecimal digits, which have 4 at most: 40 random ones 3 to 3.9, and 20 are no word

# What stands in each kind of line; the patterns look only where one of these does.
WORTH = re.compile(
    r"(?i)private key|sps_|AKIA|ASIA|AIza|gh[pousr]_|github_pat|glpat|pypi-|npm_|hf_|sk-|xox|eyJ|://|passw|secret|token|key|credential"
)
KNOWN: dict[str, re.Pattern[str]] = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*\S"),
    "key of this product": re.compile(r"\bsps_[A-Za-z0-9.-]+_[A-Za-z0-9_-]{40,}"),
    "access key of a cloud": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}\b"),
    "token of a forge or registry": re.compile(
        r"\bgh[pousr]_[0-9A-Za-z]{36,}\b|\bgithub_pat_\w{60,}\b|\bglpat-[\w-]{20,}|\bpypi-[\w-]{60,}|\bnpm_[0-9A-Za-z]{36}\b"
        r"|\bhf_[0-9A-Za-z]{34,}\b|\bsk-[\w-]{32,}|\bxox[abprs]-[\w-]{20,}"
    ),
    "signed token": re.compile(r"\beyJ[\w-]{16,}\.eyJ[\w-]{16,}\.[\w-]{20,}"),
    "password in an address": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'{}$<>]+:[^\s/:@\"'{}$<>]{6,}@"),
}
ASSIGNED = re.compile(
    r"(?i)(?:passw(?:or)?d|secret|token|api_?key|private_?key|credential)[\w.-]*[\"']?\s*[:=]\s*[\"']([\w+/=.-]{20,})[\"']"
)


def findings(text: str) -> Iterator[tuple[int, str]]:
    """(line, kind) of what looks like a secret."""
    for number, line in enumerate(text.splitlines(), 1):
        if not WORTH.search(line) or ALLOW in line:
            continue
        for kind, pattern in KNOWN.items():
            if pattern.search(line):
                yield number, kind
        for found in ASSIGNED.finditer(line):
            least = RANDOM_HEX_BITS if re.fullmatch("[0-9a-fA-F]+", found[1]) else RANDOM_BITS
            if randomness(found[1]) >= least and re.search(r"\d", found[1]):
                yield number, "random text given to a secret's name"


def randomness(text: str) -> float:
    """Shannon's entropy, bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def tracked(root: Path = ROOT) -> list[Path]:
    """The files that git tracks, and those that it would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    return [root / name for name in done.stdout.decode().split("\0") if name]


def scan(paths: Iterable[Path], root: Path = ROOT) -> Iterator[str]:
    """A line for each finding; files that are no text, or gone, are passed over."""
    for path in paths:
        if not path.is_file() or path.is_symlink() or path.stat().st_size > LARGEST:
            continue
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, kind in findings(content.decode(errors="replace")):
            yield f"{path.relative_to(root)}:{number}: {kind}"


def main() -> int:
    """Print what is found; 1 if anything is."""
    found = list(scan(tracked()))
    print(*(found or ["no secrets"]), sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
