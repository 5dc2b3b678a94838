"""How a source's name, a document's id and its version look: for the published descriptions, and what refuses others."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from spanstream.events.errors import InvalidKey
from spanstream.events.ids import MAX_ID_CHARACTERS, SOURCE_PATTERN, Key
from spanstream.runtime.problems import misfit

_INTEGER = re.compile("-?[0-9]+")
DOCUMENT_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_CHARACTERS,
    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
    "description": "not '.' or '..', which no URL can carry",
}
SourceName = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{SOURCE_PATTERN}$", "maxLength": 64})]
DocumentId = Annotated[str, WithJsonSchema(DOCUMENT_ID)]


def _digits(text: str) -> str:
    # Pydantic takes 1.0, +1 and 1_0 too, which are no versions where one is given in a body.
    if not _INTEGER.fullmatch(text):
        raise ValueError("must be an integer")
    return text


Version = Annotated[int, BeforeValidator(_digits)]  # in a query


def key_of(tenant: str, source: str, id: str, field: str = "path.id", source_field: str = "path.source") -> Key:
    """The tenant's document; raises Problem 422, which names the field that is wrong."""
    try:
        return Key.checked(tenant, source, id)
    except InvalidKey as error:
        wrong = source_field if str(error).startswith("source") else field
        raise misfit((wrong, str(error))) from error
