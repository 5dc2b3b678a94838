"""Why a record fails, in words for people."""

from __future__ import annotations

from spanstream.events.v1 import failure_pb2 as failure

UNKNOWN = "A newer release gave a reason that this one does not know."

WORDS = {
    failure.REASON_UNSPECIFIED: "No reason was given.",
    failure.REASON_ENVELOPE_UNREADABLE: "The record is not an event: its key or its bytes cannot be read.",
    failure.REASON_SCHEMA_UNKNOWN: "The event is of a message or schema that this release does not know.",
    failure.REASON_SCHEMA_INVALID: "A field of the event is missing or wrong.",
    failure.REASON_TENANT_MISMATCH: "The record's key names another document than the event.",
    failure.REASON_VERSION_CONFLICT: "The source gave one version to two contents.",
    failure.REASON_VERSION_OUT_OF_RANGE: "The version is not an integer from 0 to 2^53-1.",
    failure.REASON_BLOB_MISSING: "The file is not in the blob store.",
    failure.REASON_BLOB_HASH: "The file in the blob store is not the one that was accepted.",
    failure.REASON_TYPE_UNSUPPORTED: "There is no parser for this type of file.",
    failure.REASON_PARSE_FAILED: "The file is damaged, or not of the type that it claims.",
    failure.REASON_PARSE_LIMIT: "Parsing took more time, memory or room than one document may.",
    failure.REASON_ENCRYPTED: "The file needs a password.",
    failure.REASON_EMPTY_TEXT: "There is no text in the document.",
    failure.REASON_TOO_MANY_PASSAGES: "The document is longer than one document may be.",
    failure.REASON_PARTS_MISSING: "Parts of a long document never arrived.",
    failure.REASON_EMBED_INVALID: "The encoder gave vectors that cannot be used.",
    failure.REASON_INDEX_REJECTED: "The index refuses the document.",
    failure.REASON_HANDLER_CRASH: "The software failed on this record, twice, and on it alone.",
}


def words(reason: int) -> str:
    """One sentence."""
    return WORDS.get(reason, UNKNOWN)  # type: ignore[call-overload, no-any-return]
