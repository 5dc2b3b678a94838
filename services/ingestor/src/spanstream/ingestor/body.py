"""Reading request bodies: bounded while they stream, and JSON told apart from what only looks like it."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from spanstream.ingestor.budget import Share
from spanstream.ingestor.parsing.kinds import bare
from spanstream.runtime.problems import Problem


def chunks(request: Request, max_bytes: int | None = None) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises Problem 415 if compressed, 413 if it says it will be too large, both at once, since
    a streamed answer may begin before the first chunk is read; 413 as soon as it is too large; 400 if it breaks off.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "compressed bodies are not accepted")
    length = request.headers.get("content-length", "")
    if max_bytes is not None and length.isdigit() and int(length) > max_bytes:
        raise Problem(413, f"the body has {length} bytes, more than {max_bytes}")
    return _received(request, max_bytes)


async def _received(request: Request, max_bytes: int | None) -> AsyncIterator[bytes]:
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if max_bytes is not None and received > max_bytes:
                raise Problem(413, f"the body has more than {max_bytes} bytes")
            yield chunk
    except ClientDisconnect as error:
        raise Problem(400, "the body ended early") from error


async def held(stream: AsyncIterator[bytes], share: Share) -> AsyncIterator[bytes]:
    """The same chunks, each taken out of the budget. Raises Problem 429 or 503."""
    async for chunk in stream:
        share.take(len(chunk))
        yield chunk


async def whole(request: Request, max_bytes: int, share: Share) -> bytes:
    """The whole body. Raises what `chunks` and `held` raise."""
    return b"".join([chunk async for chunk in held(chunks(request, max_bytes), share)])


def media_type(request: Request) -> str:
    """The Content-Type without its parameters, in lower case; empty if there is none."""
    return bare(request.headers.get("content-type", ""))


def json_object(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises Problem: 400 for what is not JSON, 422 for text that is not Unicode."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
            raise Problem(400, "send JSON as UTF-8 without a byte order mark") from error
        if "UTF-8" in error.msg:
            raise Problem(422, "not valid UTF-8") from error
        if "surrogate" in error.msg:
            raise Problem(422, "a string contains a lone surrogate") from error
        line = f"line {error.lineno}, " if error.lineno > 1 else ""  # a line of a batch has lines of its own only
        raise Problem(400, f"not valid JSON, at {line}column {error.colno}") from error
    if not isinstance(value, dict):
        raise Problem(422, 'not a JSON object, which looks like {"text": "…"}')
    return value


async def lines(stream: AsyncIterator[bytes], max_bytes: int, share: Share) -> AsyncIterator[tuple[int, bytes | None]]:
    """Numbered lines (from 1), blank ones left out; None for one over `max_bytes`, of which nothing more is kept. A byte
    order mark before the first is left out too: files of records begin with one where a spreadsheet wrote them.

    `share` holds what is kept, and the bytes of each line yielded: whoever takes the line gives them back. Raises
    Problem 429 or 503 where it finds no room.
    """
    kept: list[bytes] = []
    size, number = 0, 1
    async for piece in _pieces(stream):
        if piece is not None:
            size += len(piece)
            if size <= max_bytes:
                await share.wait(len(piece))
                kept.append(piece)
            else:
                share.give(sum(map(len, kept)))
                kept = []
            continue
        line = b"".join(kept)
        line = (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip()
        share.give(sum(map(len, kept)) - len(line))
        if size > max_bytes:
            yield number, None
        elif line:
            yield number, line
        kept, size, number = [], 0, number + 1


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    """What arrives of each line, and None where it ends."""
    async for chunk in stream:
        first, *others = chunk.split(b"\n")
        yield first
        for piece in others:
            yield None
            yield piece
    yield None
