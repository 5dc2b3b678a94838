"""What an operator's request is about: a document, a source, or all of the tenant; and whether the caller may."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from spanstream.events.ids import MAX_ID_CHARACTERS
from spanstream.runtime.identity import Identity
from spanstream.runtime.names import DocumentId, SourceName, key_of
from spanstream.runtime.problems import Problem, misfit


class Breadth(BaseModel):
    """`id` none: all of the source; both none: all of the tenant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: SourceName | None = None
    id: Annotated[DocumentId | None, Field(max_length=MAX_ID_CHARACTERS)] = None

    def check(self, caller: Identity) -> None:
        """Raises Problem 422, or 403 for a caller that does not see all of it: numbers would tell of the rest."""
        if self.id is not None and self.source is None:
            raise misfit(("body.source", "is missing: an id is one of a source"))
        source, id = ("x" if each is None else each for each in (self.source, self.id))
        key_of(caller.tenant, source, id, "body.id", "body.source")
        if caller.groups is not None:
            raise Problem(403, "this key is bound to groups of documents")
        if caller.sources is not None and self.source not in caller.sources:
            raise Problem(403, "this key is bound to other sources")
