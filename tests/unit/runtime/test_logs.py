from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spanstream.runtime import logs, tracing


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


@pytest.mark.usefixtures("restored")
def test_every_line_is_json_with_its_trace() -> None:
    stream = io.StringIO()
    tracing.configure("test")
    logs.configure("info", stream=stream)
    with tracing.server_span("GET v1", {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}):
        logs.get_logger().info("document_accepted", partition=3)
        sent = tracing.current()
    logging.getLogger("library").warning("odd %s", "thing")
    logs.get_logger().debug("too_much")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["partition"], first["trace_id"]) == ("document_accepted", 3, "a" * 32)
    assert second["event"] == "odd thing"
    assert sent["traceparent"].startswith("00-" + "a" * 32)


@pytest.mark.usefixtures("restored")
@pytest.mark.promise("I29")
def test_an_exception_is_logged_by_type_and_place_without_its_words() -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    try:
        raise ValueError("the document's text")
    except ValueError as error:
        logs.get_logger().error("ours", exc_info=error)
        logs.get_logger().exception("ours")
        logging.getLogger("library").exception("theirs")
    for line in map(json.loads, stream.getvalue().splitlines()):
        assert line["error"] == "ValueError"
        assert "test_logs.py" in line["frames"][-1]
    assert "document" not in stream.getvalue()


def test_a_batch_of_one_continues_its_trace() -> None:
    tracing.configure("test")
    with tracing.batch_span("embed", [(("traceparent", b"00-" + b"c" * 32 + b"-" + b"d" * 16 + b"-01"),)]):
        assert "c" * 32 in tracing.current()["traceparent"]
    with tracing.batch_span("embed", [(("traceparent", b"nonsense\xff"),), ()]):
        assert tracing.current()["traceparent"]


def test_a_span_tells_the_type_of_an_error_and_none_of_its_words() -> None:
    tracing.configure("test")
    finished = InMemorySpanExporter()
    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(finished))
    with pytest.raises(ValueError, match="text"), tracing.server_span("GET v1", {}):
        raise ValueError("the document's text")
    with pytest.raises(ValueError, match="text"), tracing.batch_span("embed", [()]):
        raise ValueError("the document's text")
    told = [span.to_json() for span in finished.get_finished_spans()]
    assert all("ValueError" in each and "document" not in each for each in told)
    assert len(told) == 2
