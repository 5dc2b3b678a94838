"""Trace context across HTTP and Kafka (W3C `traceparent`), through OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanKind

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
    tracer = trace.get_tracer("spanstream")
    with tracer.start_as_current_span(name, propagate.extract(dict(headers)), kind=SpanKind.SERVER):
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
    tracer = trace.get_tracer("spanstream")
    with tracer.start_as_current_span(name, parent, kind=SpanKind.CONSUMER, links=links):
        yield
