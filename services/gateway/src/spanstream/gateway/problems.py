"""Callers and their documents as the searcher takes them, and the neighbours' errors as problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from spanstream.encoder.errors import EncoderError, EncoderRejected
from spanstream.events.ids import Key
from spanstream.gateway.asking import UnknownExample
from spanstream.gateway.expansion import NoWriter
from spanstream.gateway.reranking import NoSuchStage
from spanstream.gateway.visibility import admits
from spanstream.runtime.auth import Identity
from spanstream.runtime.problems import Problem
from spanstream.store.errors import StoreError, StoreRejected
from spanstream.store.points import Head, State
from spanstream.store.queries import Scope

RETRY_SECONDS = 1
SUBJECT = "body.to"  # the one example that a request is about: without it there is nothing to answer


def scope_of(caller: Identity) -> Scope:
    """What the caller may look among."""
    return Scope(caller.tenant, caller.groups, caller.sources)


def admitted(heads: Mapping[Key, Head], scope: Scope) -> dict[Key, Head]:
    """Without the documents that the caller may not know of."""
    seen = {key: _seen(head, scope) for key, head in heads.items() if admits(key, head.groups, scope)}
    return {key: head for key, head in seen.items() if head is not None}


def _seen(head: Head, scope: Scope) -> Head | None:
    """The head without a failure of a version that has other groups; nothing where it held nothing else."""
    if head.failure is None or admits(head.key, head.failure.groups, scope):
        return head
    return None if head.state is State.ABSENT else replace(head, failure=None)


@contextmanager
def translated(query: str = "body.query") -> Iterator[None]:
    """Errors of the neighbours as problems. `query`: the field that says what to look for."""
    try:
        yield
    except EncoderRejected as error:
        raise Problem(422, "the encoder refuses this query", errors=[(query, str(error))]) from error
    except UnknownExample as error:
        status = 404 if query == SUBJECT else 422
        raise Problem(status, "an example cannot be read", errors=[(query, str(error))]) from error
    except NoSuchStage as error:
        told = f"this gateway has not what the stage {error} needs: set RERANKER_URL for cross, GATEWAY_BLEND for blend"
        raise Problem(
            422, "the request asks for what is not there", errors=[(f"{query.rpartition('.')[0]}.rerank.stage", told)]
        ) from error
    except NoWriter as error:
        told = "this gateway has no writer to expand queries: set GATEWAY_WRITER"
        raise Problem(
            422, "the request asks for what is not there", errors=[(f"{query.rpartition('.')[0]}.expand", told)]
        ) from error
    except StoreRejected as error:
        raise Problem(422, "the index refuses this request") from error
    except EncoderError as error:
        detail = 'the encoder does not answer; a search with "mode": "lexical" needs none'
        raise Problem(503, detail, retry_after=RETRY_SECONDS) from error
    except StoreError as error:
        raise Problem(503, "the index does not answer", retry_after=RETRY_SECONDS) from error
