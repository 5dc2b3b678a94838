"""Explanations of a search's hits: the words that its second question learnt are read from the answers it learnt them from."""

from __future__ import annotations

from collections.abc import Sequence

from spanstream.gateway.explanation import Explainer, Explanation, readable, taught_terms
from spanstream.gateway.found import Answer
from spanstream.gateway.trace import Trace
from spanstream.gateway.visibility import shows
from spanstream.store.queries import Scope
from spanstream.store.store import Store


def explain(store: Store, scope: Scope, answer: Answer) -> list[Explanation]:
    """Of the best passage of each hit; none where the search kept no trace."""
    trace = answer.trace
    if trace is None or not answer.hits:
        return []
    taught = taught_words(store, scope, trace)
    explainer = Explainer(trace, taught)
    return [explainer(hit.passages[0].passage) for hit in answer.hits]


def taught_words(store: Store, scope: Scope, trace: Trace) -> Sequence[str]:
    """Of the terms that the second question added: those that stand in passages which the caller sees."""
    terms = taught_terms(trace)
    if not terms:
        return ()
    passages = list(store.fetch(trace.teachers).values())
    heads = store.heads(list({passage.key for passage in passages}))
    seen = [each for each in passages if each.key in heads and shows(heads[each.key], each, scope)]
    return readable(terms, [text for passage in seen for text in (passage.text, passage.title)])
