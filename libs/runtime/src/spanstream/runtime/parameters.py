"""The query of a URL: what a route does not describe is refused, so that a misspelt `version` is not left out in silence."""

from __future__ import annotations

from functools import lru_cache

from fastapi import Depends, FastAPI, Request

from spanstream.runtime.problems import MAX_ERRORS, MAX_PATH, misfit


async def _refuse_unknown(request: Request) -> None:
    if request.query_params:
        known = _described(request.app, request.scope["route"].path_format, request.method.lower())
        unknown = [name for name in dict.fromkeys(request.query_params) if name not in known][:MAX_ERRORS]
        if unknown:
            raise misfit(*((f"query.{name}"[:MAX_PATH], "is no parameter of this request") for name in unknown))


@lru_cache(maxsize=256)
def _described(app: FastAPI, path: str, method: str) -> frozenset[str]:
    """The query parameters that the published description gives the route."""
    parameters = app.openapi()["paths"][path][method].get("parameters", ())
    return frozenset(parameter["name"] for parameter in parameters if parameter["in"] == "query")


DESCRIBED = Depends(_refuse_unknown)  # among the dependencies of a router
