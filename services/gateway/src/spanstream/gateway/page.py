"""The search page: files of this package, served with headers that let a browser run those files and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath

from fastapi import APIRouter, Request, Response

from spanstream.runtime.problems import Problem

INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# No script or style but these files, no frame, nothing from or to another address; and no text becomes markup, whatever a
# document holds (Trusted Types).
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds what was asked
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept, and asked again with its tag: after an upgrade all files are of one version
}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    content_type: str
    tag: str

    def answer(self, known: str | None) -> Response:
        """304 where the browser's copy is this one."""
        headers = HEADERS | {"ETag": self.tag}
        if known is not None and self.tag in (each.strip().removeprefix("W/") for each in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(self.data, headers=headers, media_type=self.content_type)


def router() -> APIRouter:
    """`/` and `/page/NAME`. The files are read once, here."""
    routes = APIRouter(include_in_schema=False)
    known = _files()

    @routes.api_route("/", methods=["GET", "HEAD"])
    def index(request: Request) -> Response:
        return known[INDEX].answer(request.headers.get("if-none-match"))

    @routes.api_route("/page/{name}", methods=["GET", "HEAD"])
    def file(request: Request, name: str) -> Response:
        if name not in known or name == INDEX:
            raise Problem(404, "the page has no such file")
        return known[name].answer(request.headers.get("if-none-match"))

    return routes


def _files() -> dict[str, _File]:
    """By name. The folder holds nothing but the page."""
    found = {}
    for each in files("spanstream.gateway").joinpath("page").iterdir():
        data = each.read_bytes()
        content_type = TYPES[PurePosixPath(each.name).suffix]
        found[each.name] = _File(data, content_type, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found
