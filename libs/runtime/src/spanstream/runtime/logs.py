"""JSON lines: an event name plus fields. Never a document's text, a vector or a secret, at any level."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor


def _trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
    return event


def frames(error: BaseException) -> list[str]:
    """Where it was raised, outermost first. Never its words, which may quote a document."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]


def _error(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """An exception, third-party loggers' too, as its type and frames."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event.update(error=type(error).__name__, frames=frames(error))
    return event


def configure(level: str = "info", *, stream: Any = None) -> None:
    """Send every log line, third-party ones too, as JSON to `stream` (standard error by default)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace,
        _error,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Third-party chatter at info would repeat per record; what matters of it is counted in our metrics.
    for name in ("kafka", "httpx", "httpcore", "uvicorn.access", "pypdfium2", "trafilatura"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # It warns of each of its own tasks that took over 0.1 s, which a busy machine makes of any.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger() -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("event_name", field=value)`."""
    return structlog.get_logger("spanstream")  # type: ignore[no-any-return]
