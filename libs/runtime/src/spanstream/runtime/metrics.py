"""Every metric, declared once: name, kind, unit, labels, meaning. Labels are bounded; never an id, tenant or error text.

A tenant's share is told by slot: `runtime/tenants.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from prometheus_client import Counter, Gauge, Histogram

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_FRESHNESS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


def from_zero(metric: Counter | Histogram, *values: Iterable[str]) -> None:
    """Make the series of these label values, in every combination, before anything is counted.

    Prometheus cannot tell how far a counter rose that it first sees above zero, so an alert would miss what went wrong first.
    """
    for combination in product(*values):
        metric.labels(*combination)


# every process
SERVICE_UNREADY = Gauge("service_unready", "1 while a part of the process is not ready; `/readyz` says why.", ["part"])

# ingestor
INGESTOR_ACCEPTED = Counter(
    "ingestor_documents_accepted_total", "Documents durable in documents.v1, by operation.", ["operation"]
)
INGESTOR_UNCHANGED = Counter(
    "ingestor_documents_unchanged_total", "Documents whose content the index already holds: not published again."
)
INGESTOR_REFUSED = Counter(
    "ingestor_documents_refused_total", "Documents refused at the API, by problem type.", ["type"]
)
INGESTOR_PARSED = Counter("ingestor_documents_parsed_total", "Documents parsed and cut, by parser.", ["parser"])
INGESTOR_PASSAGES = Counter("ingestor_passages_total", "Passages cut.")
INGESTOR_BACKLOG_SECONDS = Gauge(
    "ingestor_backlog_seconds", "Time that what this process accepted will keep the pipeline busy, seconds."
)
INGESTOR_FAILURES_RESOLVED = Counter(
    "ingestor_failures_resolved_total", "Dead letters replayed or discarded, by resolution.", ["resolution"]
)
INGESTOR_MATCH_STREAMS = Gauge("ingestor_match_streams", "Streams of matches that are open.")

# embedder
EMBEDDER_SECONDS = Histogram("embedder_encode_seconds", "One call of the encoder, seconds.", buckets=_LATENCY)

# encoder
ENCODER_TOKENS = Counter("encoder_tokens_total", "Tokens run through the model, padding not counted.", ["release"])
ENCODER_PADDED = Counter(
    "encoder_padded_tokens_total",
    "Tokens run through the model with padding; the padding's share is 1 - encoder_tokens_total / this.",
    ["release"],
)
ENCODER_SECONDS = Counter("encoder_busy_seconds_total", "Seconds spent in the model's forward pass.", ["release"])
ENCODER_FILL = Histogram(
    "encoder_batch_fill_ratio",
    "Padded tokens / the tokens that a batch may have.",
    ["release"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
)
ENCODER_CACHE_HITS = Counter(
    "encoder_cache_hits_total", "Windows of documents whose vectors were remembered.", ["release"]
)
ENCODER_CACHE_MISSES = Counter(
    "encoder_cache_misses_total", "Windows of documents that the model had to read, where a cache is.", ["release"]
)
ENCODER_QUEUE_SECONDS = Histogram(
    "encoder_queue_seconds", "From a call of the encoder to its rows' batch, seconds.", ["release"], buckets=_LATENCY
)

# indexer
INDEXER_DOCUMENTS = Counter(
    "indexer_documents_total",
    "Embedding events applied, by outcome (live, deleted, unchanged, superseded).",
    ["outcome"],
)
INDEXER_PASSAGES = Counter("indexer_passages_written_total", "Passages written to the store.")
INDEXER_FRESHNESS = Histogram("indexer_freshness_seconds", "From accepted to searchable, seconds.", buckets=_FRESHNESS)

INDEXER_EXPIRED = Counter("indexer_documents_expired_total", "Deletes of documents that had expired, repeats included.")
INDEXER_TOMBSTONES_PURGED = Counter("indexer_tombstones_purged_total", "Deletes that were forgotten.")
INDEXER_PARTS_MISSING = Counter(
    "indexer_parts_missing_total", "Versions that were given up because parts of them did not arrive within 7 days."
)
INDEXER_MATCHES = Counter("indexer_matches_total", "Matches of standing queries, repeats included.")
INDEXER_MATCH_SECONDS = Histogram(
    "indexer_match_seconds",
    "Matching one tenant's documents of a poll with its standing queries, seconds.",
    buckets=_LATENCY,
)
INDEXER_STANDING_QUERIES = Gauge(
    "indexer_standing_queries", "Standing queries that documents are matched with: those computed for this index."
)
INDEXER_DRIFT = Gauge(
    "indexer_drift_ratio",
    "How far documents of the last 7 days lie from the others: 0 no further than by chance, 1 as far as these from each "
    "other; NaN: too few to tell.",
)
INDEXER_HUBNESS = Gauge(
    "indexer_hubness_ratio",
    "Share of places among the nearest ten that the commonest hundredth of the passages takes; NaN: too few to tell.",
)

# gateway
GATEWAY_BEST_COSINE = Histogram(
    "gateway_best_cosine",
    "Cosine of a query and the passage that is nearest to it.",
    buckets=[number / 20 for number in range(2, 20)],
)
GATEWAY_SECONDS = Histogram("gateway_search_seconds", "One search, seconds, by stage.", ["stage"], buckets=_LATENCY)
GATEWAY_SEARCHES = Counter("gateway_searches_total", "Searches, by mode and outcome.", ["mode", "outcome"])
GATEWAY_EMPTY = Counter("gateway_searches_empty_total", "Searches that were answered without any hit.")
GATEWAY_CACHE_HITS = Counter(
    "gateway_query_cache_hits_total",
    "Texts of queries whose vectors were remembered; the hit ratio is this / (this + misses).",
)
GATEWAY_CACHE_MISSES = Counter("gateway_query_cache_misses_total", "Texts of queries that the encoder was asked for.")
GATEWAY_REFUSED = Counter("gateway_searches_refused_total", "Searches answered 503 because too many waited already.")
GATEWAY_UNFINISHED = Counter(
    "gateway_unfinished_total", "Steps of searches that were not waited for, by step.", ["step"]
)

# every API
AUTH_REFUSED = Counter(
    "auth_requests_refused_total", "Requests answered 401 or 403 for who sent them, by reason.", ["reason"]
)
AUTH_FILE_UNREADABLE = Gauge(
    "auth_file_unreadable",
    "1 while the file that the setting names cannot be read: what it held before stays in force.",
    ["setting"],
)
LIMITS_REFUSED = Counter("limits_requests_refused_total", "Requests answered 429 for their tenant's limit.", ["limit"])

# tenants, by slot (`runtime/tenants.py`): a number of 0 to 31 that a tenant's name gives
TENANT_REQUESTS = Counter(
    "tenant_requests_total",
    "Requests, by slot of the tenant, scope of the route and outcome (answered, refused, failed).",
    ["slot", "scope", "outcome"],
)
TENANT_SECONDS = Counter("tenant_request_seconds_total", "Seconds that requests took, by slot.", ["slot"])
TENANT_BYTES = Counter("tenant_request_bytes_total", "Bytes of request bodies that were read, by slot.", ["slot"])
TENANT_DOCUMENTS = Counter(
    "tenant_documents_accepted_total", "Documents durable in documents.v1, deletes too, by slot.", ["slot"]
)
TENANT_PASSAGES = Counter("tenant_passages_written_total", "Passages written to the store, by slot.", ["slot"])

# every consumer
CONSUMER_RECORDS = Counter("consumer_records_total", "Records handled, by group and topic.", ["group", "topic"])
CONSUMER_PUBLISHED = Counter(
    "consumer_messages_published_total",
    "Messages published and acknowledged, dead letters not counted, by group and topic.",
    ["group", "topic"],
)
CONSUMER_FAILED = Counter(
    "consumer_records_failed_total", "Records dead-lettered, by group and reason.", ["group", "reason"]
)
CONSUMER_RETRIES = Counter(
    "consumer_retries_total",
    "Batches put back, or their commits put off, because a dependency was not there or a poll took too long.",
    ["group"],
)
CONSUMER_COMMIT_UNKNOWN = Counter(
    "consumer_commits_unknown_total", "Commits whose outcome is unknown; the records may be seen again.", ["group"]
)
CONSUMER_LAG_RECORDS = Gauge("consumer_lag_records", "Records not yet read, over all assigned partitions.", ["group"])
CONSUMER_LAG_SECONDS = Gauge(
    "consumer_lag_seconds", "Age of the oldest record of the last poll, seconds; 0 when caught up.", ["group"]
)
CONSUMER_BATCH = Histogram(
    "consumer_batch_records", "Records per poll that had any.", ["group"], buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
CONSUMER_STEP_SECONDS = Histogram("consumer_step_seconds", "Handling one poll, seconds.", ["group"], buckets=_LATENCY)
