"""What to show of a passage: whole sentences around its best span, in few characters, and no word cut. Pure, linear.

Where a sentence is too long, it is cut at white space; in scripts without spaces behind a mark or, where none is near,
between any two characters, since only a dictionary knows their words. What has no border at all, a "word" longer than a
snippet, is cut anywhere but within a character.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from spanstream.gateway.spans import FoundSpan
from spanstream.store.points import Passage

SNIPPET_CHARACTERS = 300  # about three lines

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f\U00020000-\U0003ffff]"
)
_JOINER = "\u200d"
_FLAGS = range(0x1F1E6, 0x1F200)  # regional indicators: two make a flag
_SKINS = range(0x1F3FB, 0x1F400)
_CLOSING = ("Pe", "Pf", "Po", "Lm", "Mn", "Mc", "Me")

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Snippet:
    """Offsets are characters of the document's normalised text, half-open; `text` is what stands between them."""

    start: int
    end: int
    text: str = field(repr=False)


def snippet(passage: Passage, best: FoundSpan | None, characters: int = SNIPPET_CHARACTERS) -> Snippet:
    """At most so many characters around the `best` span; of the passage's beginning where there is none."""
    text, sentences = passage.text, _sentences(passage)
    shown = (best.start - passage.start, best.end - passage.start) if best else sentences[0]
    first = max(i for i, (start, _) in enumerate(sentences) if start <= shown[0] or i == 0)
    last = min(i for i, (_, end) in enumerate(sentences) if end >= shown[1] or i == len(sentences) - 1)
    start, end = min(sentences[first][0], shown[0]), max(sentences[last][1], shown[1])
    if end - start > characters:
        start, end = _cut(text, (start, end), shown, characters)
    else:
        start, end = _widened(sentences, first, last, (start, end), characters)
    return Snippet(passage.start + start, passage.start + end, text[start:end])


def _sentences(passage: Passage) -> list[Range]:
    """Offsets into the passage's text: its first spans, one behind the other. All others lie within these."""
    found: list[Range] = []
    for start, end in (passage.span_offsets - passage.start).tolist():
        if found and start < found[-1][1]:
            break
        found.append((start, end))
    return found or [(0, len(passage.text))]


def _widened(sentences: list[Range], first: int, last: int, shown: Range, characters: int) -> Range:
    """With the sentences behind and before it, in turn, that still fit."""
    start, end = shown
    grows = True
    while grows:
        grows = False
        if last + 1 < len(sentences) and sentences[last + 1][1] - start <= characters:
            last, end, grows = last + 1, sentences[last + 1][1], True
        if first > 0 and end - sentences[first - 1][0] <= characters:
            first, start, grows = first - 1, sentences[first - 1][0], True
    return start, end


def _cut(text: str, within: Range, shown: Range, characters: int) -> Range:
    """`shown` and as much around it as fits, cut at borders; the beginning of `shown` where it does not fit itself."""
    start, end = shown
    if end - start > characters:
        return start, _border_below(text, start, start + characters)
    before = max(within[0], start - (characters - (end - start)) // 2, 0)
    after = min(within[1], before + characters)
    before = max(within[0], after - characters)
    if before > within[0]:
        before = _nearest(text, range(before, start)) or start
    if after < within[1]:
        after = _nearest(text, range(after, end, -1)) or end
    while text[before].isspace():
        before += 1
    return before, len(text[:after].rstrip())


def _border_below(text: str, start: int, end: int) -> int:
    """The last border in text[start + 1 : end + 1]; `end` where there is none."""
    at = _nearest(text, range(end, start, -1)) or next((i for i in range(end, start, -1) if not _joined(text, i)), end)
    return start + len(text[start:at].rstrip())


def _nearest(text: str, places: range) -> int | None:
    """The first place of these that is a border between words: a clear one in the nearer half, else any, else a clear one."""
    clear = next((i for i in places if _clear(text, i)), None)
    if clear is not None and abs(clear - places.start) <= len(places) // 2:
        return clear
    return next((i for i in places if _between_unspaced(text, i)), clear)


def _clear(text: str, i: int) -> bool:
    """White space, or in scripts without spaces a mark, stands beside it."""
    before, after = text[i - 1], text[i] if i < len(text) else " "
    if before.isspace() or after.isspace():
        return True
    return bool(_UNSPACED.match(before)) and unicodedata.category(before)[0] == "P" and _apart(before, after)


def _between_unspaced(text: str, i: int) -> bool:
    before, after = text[i - 1], text[i]
    return bool(_UNSPACED.match(before) or _UNSPACED.match(after)) and not _joined(text, i) and _apart(before, after)


def _apart(before: str, after: str) -> bool:
    """Not between a bracket and what it opens or closes, nor before a mark."""
    return unicodedata.category(before) not in ("Ps", "Pi") and unicodedata.category(after) not in _CLOSING


def _joined(text: str, i: int) -> bool:
    """Whether the characters before and behind it are seen as one (a part of Unicode's grapheme clusters)."""
    before, after = text[i - 1], text[i] if i < len(text) else " "
    if unicodedata.category(after)[0] == "M" or _JOINER in (before, after) or ord(after) in _SKINS:
        return True
    return ord(before) in _FLAGS and ord(after) in _FLAGS
