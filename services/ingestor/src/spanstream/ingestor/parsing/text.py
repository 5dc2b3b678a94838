"""Plain text: which encoding, and whether it is text at all."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from spanstream.events.v1.failure_pb2 import REASON_PARSE_FAILED, REASON_TYPE_UNSUPPORTED
from spanstream.ingestor.parsing.kinds import looks_like
from spanstream.ingestor.parsing.parsed import Limits, Parsed, ParseError, release

PARSER = "text/1"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27})
# Those that documents come in. Of all that Python knows, some are no encodings of text, and some take minutes for a megabyte.
_DECLARED = re.compile(
    "iso-?8859-?[0-9]{1,2}|latin-?1|windows-(125[0-8]|874)|cp125[0-8]|koi8-[ru]|macintosh"
    "|shift-?jis|euc-(jp|kr)|iso-2022-(jp|kr)|gb2312|gbk|gb18030|big5|utf-16(le|be)?"
)
# Text has next to no control bytes; of random bytes every tenth is one.
_MAX_CONTROL_SHARE = 0.01


def declared(data: bytes, charset: str) -> str | None:
    """The text, if it is in the charset that its sender names. None for UTF-8, which `decode` finds, where a byte order mark
    says otherwise, where bytes do not fit, and for a name that is none of those that documents come in.
    """
    name = charset.lower().replace("_", "-")
    if not _DECLARED.fullmatch(name) or data.startswith(tuple(mark for mark, _ in _BOMS)):
        return None
    try:
        return data.decode({"macintosh": "mac-roman", "windows-874": "cp874"}.get(name, name))
    except (LookupError, UnicodeDecodeError):
        return None


def decode(data: bytes) -> tuple[str, str]:
    """The text and the encoding it was in. UTF-8 wins wherever it is valid; else a byte order mark; else detection.

    Raises ParseError: TYPE_UNSUPPORTED for bytes that are not text, PARSE_FAILED where no encoding fits.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise ParseError(REASON_PARSE_FAILED, f"marked as {encoding}, but not valid in it") from error
    controls = len(data) - len(data.translate(None, _CONTROL))
    if controls > len(data) * _MAX_CONTROL_SHARE or b"\x00" in data:
        raise ParseError(REASON_TYPE_UNSUPPORTED, f"declared as text, but {looks_like(data)}")
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        match = from_bytes(data).best()
    if match is None:
        raise ParseError(REASON_PARSE_FAILED, "not valid UTF-8, and no other encoding fits")
    return str(match), match.encoding


def parse(data: bytes, limits: Limits) -> Parsed:
    """The text as it is. A detected encoding is named in `parser`, because it is a guess."""
    text, encoding = decode(data)
    guessed = not encoding.startswith("utf")
    return Parsed(text, "", f"{PARSER} {release('charset-normalizer')} {encoding}" if guessed else PARSER)
