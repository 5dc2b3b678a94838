"""How a source's name and a document's id look, for the published descriptions. What checks them is `Key.checked`."""

from __future__ import annotations

from typing import Annotated

from pydantic import WithJsonSchema

from spanstream.events.ids import MAX_ID_CHARACTERS, SOURCE_PATTERN

DOCUMENT_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_CHARACTERS,
    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
    "description": "not '.' or '..', which no URL can carry",
}
SourceName = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{SOURCE_PATTERN}$", "maxLength": 64})]
DocumentId = Annotated[str, WithJsonSchema(DOCUMENT_ID)]
