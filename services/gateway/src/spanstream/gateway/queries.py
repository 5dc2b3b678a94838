"""The query of a search as JSON: a text, or `all`, `any`, `not`, `like` and `unlike` over texts and documents, checked."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, StrictInt, StringConstraints, Tag, model_validator

from spanstream.events.ids import MAX_ID_CHARACTERS
from spanstream.gateway import meanings
from spanstream.gateway.closed import Closed
from spanstream.gateway.meanings import Meaning
from spanstream.gateway.nesting import check_nesting
from spanstream.runtime.names import DocumentId, SourceName

MAX_QUERY_CHARACTERS = 4000
MAX_PARTS = 32  # texts and examples of a query
MAX_CHARACTERS = 16_000  # of all texts of a query
MAX_DEPTH = 8

QueryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUERY_CHARACTERS, pattern=r"^[^\x00]*$"),
]
Offset = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]


class Document(Closed):
    """A document that the caller may see, or its characters `start` to `end`: a passage, a span."""

    source: SourceName = Field(max_length=64)
    id: DocumentId = Field(max_length=MAX_ID_CHARACTERS)
    start: Offset | None = None
    end: Offset | None = None

    @model_validator(mode="after")
    def _whole_or_part(self) -> Self:
        if (self.start is None) != (self.end is None) or (self.start or 0) > (self.end or 0):
            raise ValueError("give both 'start' and 'end', 'start' below 'end', or neither")
        return self

    def meaning(self) -> Meaning:
        """The searcher's form."""
        return meanings.Example(self.source, self.id, self.start, self.end)

    @classmethod
    def of(cls, example: meanings.Example) -> Self:
        """From the searcher's form."""
        return cls(source=example.source, id=example.id, start=example.start, end=example.end)


class TextOf(Closed):
    """The same as the text alone."""

    text: QueryText

    def meaning(self) -> Meaning:
        """The searcher's form."""
        return meanings.Words(self.text)


class Like(Closed):
    """What an example is about. The example itself is not found."""

    like: Document

    def meaning(self) -> Meaning:
        """The searcher's form."""
        return self.like.meaning()


class Unlike(Closed):
    """Anything but what an example is about."""

    unlike: Document

    def meaning(self) -> Meaning:
        """The searcher's form."""
        return meanings.Not(self.unlike.meaning())


class AllOfThese(Closed):
    """All of these meanings."""

    all: list[Query] = Field(min_length=1, max_length=MAX_PARTS)

    def meaning(self) -> Meaning:
        """The searcher's form."""
        return meanings.All(tuple(map(meaning, self.all)))


class AnyOfThese(Closed):
    """At least one of these meanings."""

    any: list[Query] = Field(min_length=1, max_length=MAX_PARTS)

    def meaning(self) -> Meaning:
        """The searcher's form."""
        return meanings.AnyOf(tuple(map(meaning, self.any)))


class NoneOfThat(Closed):
    """None of that."""

    not_: Query = Field(alias="not")

    def meaning(self) -> Meaning:
        """The searcher's form."""
        return meanings.Not(meaning(self.not_))


_FORMS = ("all", "any", "not", "like", "unlike")


def _kind(value: Any) -> str:
    """The tag of the query's form. In angle brackets it is left out of the paths that errors name."""
    for name in _FORMS:
        if (isinstance(value, dict) and name in value) or getattr(value, name.replace("not", "not_"), None) is not None:
            return f"<{name}>"
    return "<text of>" if isinstance(value, dict | TextOf) else "<text>"


Query = Annotated[
    Annotated[QueryText, Tag("<text>")]
    | Annotated[TextOf, Tag("<text of>")]
    | Annotated[Like, Tag("<like>")]
    | Annotated[Unlike, Tag("<unlike>")]
    | Annotated[AllOfThese, Tag("<all>")]
    | Annotated[AnyOfThese, Tag("<any>")]
    | Annotated[NoneOfThat, Tag("<not>")],
    Discriminator(_kind),
]
for _model in (AllOfThese, AnyOfThese, NoneOfThat):
    _model.model_rebuild()


def meaning(query: Query) -> Meaning:
    """The searcher's form of a checked query."""
    return meanings.Words(query) if isinstance(query, str) else query.meaning()


def check_size(value: Any) -> Any:
    """The raw query if it is small enough to be read at all; raises ValueError."""
    message = f"a query has at most {MAX_PARTS} parts, nested at most {MAX_DEPTH} deep"
    return check_nesting(value, parts=2 * MAX_PARTS, depth=MAX_DEPTH, message=message)


def check_sense(query: Query) -> Query:
    """The query if it says what to look for, in not too many parts; raises ValueError."""
    told = meanings.canonical(meaning(query))
    if len(meanings.leaves(told)) > MAX_PARTS:
        raise ValueError(f"a query has at most {MAX_PARTS} texts and examples")
    characters = sum(len(leaf.text) for leaf in meanings.leaves(told) if isinstance(leaf, meanings.Words))
    if characters > MAX_CHARACTERS:
        raise ValueError(f"the texts of a query have at most {MAX_CHARACTERS} characters together, these {characters}")
    if not meanings.seeks(told):
        raise ValueError("'not' alone fits nearly every passage: say beside it, in an 'all', what to look for")
    return query
