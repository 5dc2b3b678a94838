"""Trace context across HTTP and Kafka (W3C `traceparent`), through OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanKind, StatusCode

Headers = Sequence[tuple[str, bytes]]


def configure(service: str, processors: Sequence[SpanProcessor] = ()) -> None:
    """Make traces for `service`; without processors they are propagated and logged, but exported nowhere."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)


def current() -> dict[str, str]:
    """The current context as W3C fields, for record headers or an HTTP request; empty outside a trace."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


@contextmanager
def server_span(name: str, headers: Mapping[str, str]) -> Iterator[None]:
    """A span for one HTTP request, child of the caller's."""
    with _span(name, propagate.extract(dict(headers)), SpanKind.SERVER):
        yield


@contextmanager
def batch_span(name: str, records: Sequence[Headers]) -> Iterator[None]:
    """A span for one batch of records: child of the only record's trace, or linked to each of several."""
    contexts = [
        propagate.extract({key: value.decode("ascii", "replace") for key, value in headers if key == "traceparent"})
        for headers in records
    ]
    spans = [trace.get_current_span(context).get_span_context() for context in contexts]
    links = [Link(span) for span in spans if span.is_valid]
    parent = contexts[0] if len(contexts) == 1 else None
    with _span(name, parent, SpanKind.CONSUMER, links):
        yield


@contextmanager
def _span(name: str, parent: Context | None, kind: SpanKind, links: Sequence[Link] = ()) -> Iterator[None]:
    """A span that tells the type of an error that ends it, and never its words: they may quote a document."""
    tracer = trace.get_tracer("spanstream")
    with tracer.start_as_current_span(
        name, parent, kind=kind, links=links, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise
