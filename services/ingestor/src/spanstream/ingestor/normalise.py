"""The one text that offsets refer to: done once, after parsing, and stored as it leaves here.

Only what cannot be shown changes: line ends become "\\n", the byte order mark and control characters go. Text that
is clean already is returned character by character as it came, so offsets that a source knows stay true. Therefore
no Unicode composition (NFC would move offsets, and the model's tokenizer composes for itself) and no trimming of
spaces, at line ends either; the parsers of layout formats tidy what they make up themselves.
"""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85]")
# C0 and C1 controls but tab and newline, the byte order mark, non-characters.
_UNSHOWN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_WORD_CHARACTER = re.compile(r"\w")


def normalise(text: str) -> str:
    """The normalised text; idempotent and linear."""
    return _UNSHOWN.sub("", _LINE_ENDS.sub("\n", text))


def is_empty(text: str) -> bool:
    """Whether there is nothing to read: only blanks, marks and formatting characters."""
    if _WORD_CHARACTER.search(text):
        return False
    return all(unicodedata.category(c)[0] in "ZCM" for c in text)
