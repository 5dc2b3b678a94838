"""The gateway's API: searches, sources, documents and what became of them, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from spanstream.events.ids import MAX_VERSION, Key
from spanstream.gateway.admission import Admission
from spanstream.gateway.contents import content
from spanstream.gateway.document_view import (
    MAX_ORDINAL,
    MAX_PAGE_PASSAGES,
    PAGE_PASSAGES,
    ContentResponse,
    ContentRoute,
)
from spanstream.gateway.live import View
from spanstream.gateway.models import (
    MAX_WAIT_SECONDS,
    DocumentStatus,
    SourceCount,
    SourcesResponse,
    StatusRequest,
    StatusResponse,
)
from spanstream.gateway.problems import admitted, scope_of, translated
from spanstream.gateway.search_api import search_router
from spanstream.gateway.status import Watch, status
from spanstream.runtime.auth import Authenticator, Identity
from spanstream.runtime.guard import guarded
from spanstream.runtime.names import DocumentId, SourceName, Version, key_of
from spanstream.runtime.problems import Problem, responses
from spanstream.store.points import Head


def router(
    view: Callable[[], View],
    authenticator: Authenticator,
    admission: Admission | None = None,
    moving: Callable[[], bool] | None = None,
) -> APIRouter:
    """The routes. `view()` raises StoreUnavailable until the index is open. `moving()`: whether the index is being moved, so
    that what is shown is not what the services fill; None: it never is.
    """
    routes = guarded()
    reader = Depends(authenticator.requires("read", narrows=True))

    def read(keys: Sequence[Key]) -> Mapping[Key, Head]:
        heads = view().store.heads(keys)
        if moving is None or not moving():
            return heads
        # Whoever knows the hash takes a document for unchanged, where the services have nothing of it under way.
        return {key: replace(head, content_hash=b"") for key, head in heads.items()}

    watch = Watch(read)
    routes.include_router(search_router(view, watch, authenticator, admission or Admission()))

    @routes.get("/v1/sources", summary="Sources and their live documents")
    def sources(caller: Identity = reader) -> SourcesResponse:
        with translated():
            counts = view().store.sources(scope_of(caller))
        return SourcesResponse(sources=[SourceCount(source=name, documents=counts[name]) for name in sorted(counts)])

    def document_content(
        source: SourceName,
        id: DocumentId,
        caller: Identity = reader,
        first: Annotated[int, Query(alias="from", ge=0, le=MAX_ORDINAL, description="ordinal of a passage")] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_PASSAGES, description="passages")] = PAGE_PASSAGES,
    ) -> ContentResponse:
        scope = scope_of(caller)
        key = key_of(scope.tenant, source, id)
        with translated():
            found = content(view().store, scope, key, first, limit)
        if found is None:
            raise Problem(404, "no such document is searchable")
        return ContentResponse.of(found)

    routes.add_api_route(  # before the status, whose path takes ids of any end
        "/v1/sources/{source}/documents/{id:path}/content",
        document_content,
        summary="The text of a document",
        responses=responses(404),
        route_class_override=ContentRoute,
    )

    @routes.get(
        "/v1/sources/{source}/documents/{id:path}",
        summary="What became of a document",
        responses=responses(404),
    )
    async def document(
        source: SourceName,
        id: DocumentId,
        caller: Identity = reader,
        version: Annotated[Version | None, Query(ge=0, le=MAX_VERSION)] = None,
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False, description="seconds")] = 0,
    ) -> DocumentStatus:
        scope = scope_of(caller)
        key = key_of(scope.tenant, source, id)
        with translated():
            head = (await watch.heads({key: version}, wait, lambda heads: admitted(heads, scope))).get(key)
        if head is None and version is None:
            raise Problem(404, "no such document, or it has not arrived yet: ask for the receipt's version, or wait")
        return DocumentStatus.of(source, id, status(head, version))

    @routes.post(
        "/v1/sources/{source}/documents:status",
        summary="What became of many documents",
        responses=responses(400, 404, 413, 415),
    )
    async def documents(source: SourceName, request: StatusRequest, caller: Identity = reader) -> StatusResponse:
        scope = scope_of(caller)
        wanted = {
            key_of(scope.tenant, source, each.id, f"body.documents.{i}.id"): each.version
            for i, each in enumerate(request.documents)
        }
        with translated():
            heads = await watch.heads(wanted, request.wait, lambda heads: admitted(heads, scope))
        answers = [DocumentStatus.of(source, key.id, status(heads.get(key), wanted[key])) for key in wanted]
        return StatusResponse(documents=answers)

    return routes
