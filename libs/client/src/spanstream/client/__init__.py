"""Python SDK and the spanstream command."""

from spanstream.client.aio import AsyncClient
from spanstream.client.client import Client
from spanstream.client.documents import Document, File, Line
from spanstream.client.errors import (
    Broken,
    Conflict,
    Invalid,
    NotFound,
    NotSettled,
    Refused,
    ServerFailed,
    SpanstreamError,
    TooLarge,
    Unauthorised,
    Unavailable,
    Unreachable,
    Unusable,
)
from spanstream.client.results import (
    Failure,
    Hit,
    Passage,
    Progress,
    Receipt,
    Report,
    SearchResult,
    Source,
    Span,
    Status,
)
from spanstream.client.standing import Match, StandingQuery

__all__ = [
    "AsyncClient",
    "Broken",
    "Client",
    "Conflict",
    "Document",
    "Failure",
    "File",
    "Hit",
    "Invalid",
    "Line",
    "Match",
    "NotFound",
    "NotSettled",
    "Passage",
    "Progress",
    "Receipt",
    "Refused",
    "Report",
    "SearchResult",
    "ServerFailed",
    "Source",
    "Span",
    "SpanstreamError",
    "StandingQuery",
    "Status",
    "TooLarge",
    "Unauthorised",
    "Unavailable",
    "Unreachable",
    "Unusable",
]
