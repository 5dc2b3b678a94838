"""Round figures, so that sums can be done in the head."""

from __future__ import annotations

from spanstream.standalone.planning.calibration import Costs

COSTS = Costs(
    accept_document_seconds=0.001,
    broker_document_seconds=0.001,
    parse_passage_seconds=0.001,
    embed_passage_seconds=0.001,
    encode_token_seconds=0.0001,
    index_passage_seconds=0.001,
    write_passage_seconds=0.001,
    search_query_seconds=0.01,
    encode_query_seconds=0.005,
    find_query_seconds=0.01,
    find_passage_seconds=1e-7,
    tokens_per_passage=200.0,
    spans_per_passage=7.0,
    dimension=384,
    documents_passage_bytes=1000.0,
    passages_passage_bytes=1500.0,
    embeddings_passage_bytes=7000.0,
    stored_passage_bytes=3000.0,
    indexed_passage_bytes=2000.0,
)
