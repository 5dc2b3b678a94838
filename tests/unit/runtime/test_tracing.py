"""Spans of what belongs to several traces at once, and what a span does not tell."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from spanstream.runtime import tracing


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    tracing.configure("test")  # the first of the process stays
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


def header(trace_id: str, span: str = "b") -> Sequence[tuple[str, bytes]]:
    return (("traceparent", f"00-{trace_id * 32}-{span * 16}-01".encode()),)


def traces(spans: Sequence[ReadableSpan]) -> list[str]:
    return [f"{span.get_span_context().trace_id:032x}" for span in spans]


def test_each_trace_of_a_batch_gets_its_span(exporter: InMemorySpanExporter) -> None:
    with tracing.batch_span("embedder step", [header("a"), header("c"), header("c"), ()]):
        pass
    batch, first, second = exporter.get_finished_spans()
    assert traces([first, second]) == ["a" * 32, "c" * 32]
    assert {span.name for span in (batch, first, second)} == {"embedder step"}
    assert [link.context.span_id for link in first.links] == [batch.get_span_context().span_id]
    assert len(batch.links) == 2


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_of_one_trace_is_within_it(exporter: InMemorySpanExporter, count: int) -> None:
    with tracing.batch_span("embedder step", [header("a")] * count):
        assert "a" * 32 in tracing.current()["traceparent"]
    assert traces(exporter.get_finished_spans()) == ["a" * 32]


def test_a_batch_with_a_record_of_no_trace_is_not_within_anothers(exporter: InMemorySpanExporter) -> None:
    with tracing.batch_span("embedder step", [header("a"), ()]):
        assert "a" * 32 not in tracing.current()["traceparent"]
    assert "a" * 32 in traces(exporter.get_finished_spans())


def test_a_span_tells_the_kind_of_an_error_and_not_its_words(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="secret"), tracing.server_span("HTTP PUT", {}):
        raise ValueError("the secret words of a document")
    [span] = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "secret" not in span.to_json()


def test_without_an_address_nothing_is_sent() -> None:
    assert tracing.exporting(None) == []
