"""The gateway put together: the only place where its objects meet."""

from __future__ import annotations

import time

import httpx

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.opening import open_encoder
from spanstream.encoder.rerank_http import HttpReranker
from spanstream.encoder.reranker import Reranker
from spanstream.events.segmenter import segmenter
from spanstream.gateway import forwarding, holdings, page, standing_api
from spanstream.gateway.admission import Admission
from spanstream.gateway.announcing import Announcing
from spanstream.gateway.api import router
from spanstream.gateway.blend import Blend, read_weights
from spanstream.gateway.expansion import open_writer
from spanstream.gateway.following import Following, Moving
from spanstream.gateway.index import Index
from spanstream.gateway.late_interaction import LateInteraction
from spanstream.gateway.live import Live, Views
from spanstream.gateway.query_cache import QueryCache
from spanstream.gateway.reranking import CrossEncoding, Rescorer, Stage
from spanstream.gateway.search import Searcher
from spanstream.gateway.settings import GatewaySettings
from spanstream.gateway.standing import Computing, Recomputing
from spanstream.runtime import tracing
from spanstream.runtime.auth import Authenticator
from spanstream.runtime.http import HttpServer
from spanstream.runtime.service import Report, Service, ThreadService
from spanstream.store.opening import open_store
from spanstream.store.store import Store


def build(
    settings: GatewaySettings,
    *,
    store: Store | None = None,
    encoder: Encoder | None = None,
    reranker: Reranker | None = None,
    http: HttpServer | None = None,
    live: Live | None = None,
) -> Service:
    """The gateway. What it is not given it makes from `settings`, and closes at the end.

    `live`: what searches are answered from in place of the generation of `encoder` in `store`. Standing queries are always
    of that one, whose indexer matches them.
    """
    owned: list[Store | Encoder | Reranker] = []
    home: Store | None = None
    if store is None:
        owned.append(home := open_store(settings.store_url, settings.store_secret, settings.store_ca_file))
        store = home.beside()
    if encoder is None:
        owned.append(encoder := open_encoder(settings.encoder_url, trace=tracing.current))
    if reranker is None and settings.reranker_url is not None:
        owned.append(reranker := HttpReranker(settings.reranker_url))
    own_http = http is None
    http = http or HttpServer(
        "gateway", settings.http_host, settings.http_port, title="Spanstream search", variable="GATEWAY_HTTP_PORT"
    )

    beside = settings.next_encoder_url is not None
    index = Index(store, encoder, segmenter(settings.spans), settings.store_compression, home, beside=beside)
    authenticator = Authenticator.from_settings(settings)
    stages: dict[Stage, Rescorer] = {}
    if reranker is not None:
        stages[Stage.CROSS] = CrossEncoding(reranker)
    if settings.blend is not None:
        stages[Stage.BLEND] = Blend(read_weights(settings.blend))
    writer = open_writer(settings.writer) if settings.writer else None
    cache = QueryCache(settings.query_cache_bytes)
    following: Following | None = None
    if home is not None and (url := settings.next_encoder_url) is not None:
        following = Following(
            home,
            index,
            lambda: open_encoder(url, trace=tracing.current),
            segmenter(settings.spans),
            settings.store_compression,
        )
    announcing = None if home is None else Announcing(store, index, following)
    answering = following or live or Live()

    def searcher(store: Store, encoder: Encoder) -> Searcher:
        return Searcher(store, encoder, {Stage.LATE: LateInteraction(encoder), **stages}, writer=writer, cache=cache)

    views = Views(answering, index, store, encoder, searcher)
    admission = Admission(settings.searches_at_once, settings.searches_waiting, settings.tenant_searches_at_once)
    limit = settings.max_body_bytes
    moving = None if home is None else Moving(lambda: views().store)
    http.include(router(views, authenticator, admission, moving), max_body_bytes=limit)
    http.include(page.router())
    http.include(holdings.router(views, authenticator), max_body_bytes=limit)
    if settings.ingest_url is not None:
        # No connection outlives its request: this client belongs to an event loop that it could not be closed from.
        unkept = httpx.Limits(max_keepalive_connections=0)
        http.include(forwarding.router(httpx.AsyncClient(base_url=settings.ingest_url, limits=unkept), authenticator))
    computing = Computing(store, encoder)
    http.include(
        standing_api.router(
            store,
            computing,
            index,
            authenticator,
            most=settings.max_standing_queries,
            now_us=lambda: time.time_ns() // 1000,
        ),
        max_body_bytes=limit,
    )
    recomputing = Recomputing(store, index, computing)

    def close() -> None:
        admission.close()
        views.close()
        if following is not None:
            following.close()
        for each in owned:
            each.close()

    def unready() -> list[str]:
        told = [] if announcing is None else announcing.unready()
        if following is not None:  # what answers may be the other one, and our own given up
            return [*authenticator.unready(), *following.unready(), *told]
        return [*authenticator.unready(), *index.unready(), *answering.unready(), *told]

    threads = [index.open, recomputing.run]
    threads += [following.run, following.prepare] if following else []
    threads += [announcing.run] if announcing else []
    opener = ThreadService("gateway", threads, unready=unready, closed=close)
    return Gateway(opener, http) if own_http else opener


class Gateway:
    """The opener of the index together with the HTTP server that is the gateway's own."""

    name = "gateway"

    def __init__(self, opener: ThreadService, http: HttpServer) -> None:
        self._opener = opener
        self.http = http

    def start(self, report: Report) -> None:
        """Open the index in the background and listen at once; until it is open searches answer 503."""
        self._opener.start(report)
        self.http.start(report)

    def live(self) -> bool:
        """Whether the HTTP server lives."""
        return self.http.live()

    def unready(self) -> list[str]:
        """Whether the server does not listen, the index is not open, or the store does not answer."""
        return [*self.http.unready(), *self._opener.unready()]

    def stop(self, deadline: float) -> None:
        """Finish running requests, then close what was opened."""
        self.http.stop(deadline)
        self._opener.stop(deadline)
