"""Trace context across HTTP and Kafka (W3C `traceparent`), through OpenTelemetry.

A span tells its name, when it was, and what kind of error ended it: never an error's words, which may quote a document.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

Headers = Sequence[tuple[str, bytes]]

EXPORT_SECONDS = 3.0  # for one batch, with all its repeats: a stop waits as long for a collector that does not answer


_request: ContextVar[str | None] = ContextVar("request", default=None)


def configure(service: str, processors: Sequence[SpanProcessor] = (), share: float = 1.0) -> None:
    """Make traces for `service`; without processors they are propagated and logged, but exported nowhere.

    `share` of those that begin here are exported; of others the caller has decided.
    """
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}), sampler=ParentBased(TraceIdRatioBased(share))
    )
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)


def exporting(url: str | None) -> list[SpanProcessor]:
    """What sends spans to `url` (OTLP over HTTP), from a thread of its own, and drops them where nobody takes them."""
    if url is None:
        return []
    # Only now: it brings an HTTP client that nothing else of ours needs.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return [BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS))]


def current() -> dict[str, str]:
    """The current context as W3C fields, for record headers or an HTTP request; empty outside a trace."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


@contextmanager
def span(
    name: str, parent: Context | None = None, kind: SpanKind = SpanKind.INTERNAL, links: Sequence[Link] = ()
) -> Iterator[Span]:
    """A part of what goes on: below `parent`, or below the current span."""
    with trace.get_tracer("spanstream").start_as_current_span(
        name, parent, kind=kind, links=links, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield begun
        except BaseException as error:  # its type, never its words: they may quote a document
            begun.set_attribute("error.type", type(error).__name__)
            begun.set_status(StatusCode.ERROR, type(error).__name__)
            raise


@contextmanager
def server_span(name: str, headers: Mapping[str, str]) -> Iterator[Span]:
    """A span for one HTTP request, child of the caller's. The task is that request's: it keeps the id after the span."""
    with span(name, propagate.extract(dict(headers)), SpanKind.SERVER) as begun:
        context = begun.get_span_context()
        _request.set(f"{context.trace_id:032x}" if context.is_valid else None)
        yield begun


def request_id() -> str:
    """Of the request that this task answers: its trace's id, which its lines in log and audit log carry. Else a new one."""
    return _request.get() or f"{random.getrandbits(128):032x}"  # no secret; the system's own randomness is a call of it


@contextmanager
def batch_span(name: str, records: Sequence[Headers]) -> Iterator[None]:
    """A span for one batch of records, below the trace that all of them continue. Else the batch has a trace of its own, and each
    of theirs gets a span of the same time that is linked to it.
    """
    untraced = False
    contexts: dict[tuple[int, int], Context] = {}
    for headers in records:
        fields = {key: value.decode("ascii", "replace") for key, value in headers if key == "traceparent"}
        context = propagate.extract(fields)
        told = trace.get_current_span(context).get_span_context()
        if told.is_valid:
            contexts[told.trace_id, told.span_id] = context
        else:
            untraced = True
    parents = list(contexts.values())
    parent = parents[0] if len(parents) == 1 and not untraced else None
    links = [Link(trace.get_current_span(context).get_span_context()) for context in parents]
    began = time.time_ns()
    with span(name, parent, SpanKind.CONSUMER, links) as batch:
        yield
    for context in parents if parent is None else ():
        trace.get_tracer("spanstream").start_span(
            name, context, kind=SpanKind.CONSUMER, links=[Link(batch.get_span_context())], start_time=began
        ).end()
