"""Search over a store and an encoder: from a question to visible passages with their best spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder
from spanstream.encoder.errors import EncoderError, EncoderUnavailable
from spanstream.events.ids import Key
from spanstream.gateway import cursors, diversity
from spanstream.gateway.adjusting import adjusted
from spanstream.gateway.asking import Asked, Encodes, read, whole
from spanstream.gateway.deadline import ENCODER_CALLS, Deadline
from spanstream.gateway.expansion import WRITER_SECONDS, NoWriter, Writer, expanded
from spanstream.gateway.found import Answer, Found, FoundPassage
from spanstream.gateway.fusion import logistic, normalised
from spanstream.gateway.meanings import Leaf, Meaning, Words, grade, leaves, sought
from spanstream.gateway.query_cache import QueryCache
from spanstream.gateway.question import Mode, Question
from spanstream.gateway.ranked import Ranked
from spanstream.gateway.ranking import Ranking
from spanstream.gateway.reranking import NoSuchStage, Rerank, Rescorer, Stage, best_passages, reranked
from spanstream.gateway.spans import best
from spanstream.gateway.timing import timed
from spanstream.gateway.visibility import shows
from spanstream.runtime.logs import get_logger
from spanstream.store.points import Head, Passage
from spanstream.store.queries import Scope
from spanstream.store.store import Store

# Per leg; three per wanted hit where that is more. 50, 64 and 100 rank alike (macro nDCG@10 69.0, 69.3, 69.2 on the development
# sets), 32 worse (68.3); each costs a tenth of a millisecond.
CANDIDATES = 64
LOOK = 40  # candidates whose passages and heads are read at a time; four per wanted hit where that is more
SPARE = 5  # candidates read beyond the wanted ones where each is a hit of its own: few are hidden
REFILLS = 2
GROWTH = 4  # times as many candidates at each refill

log = get_logger()


class Searcher:
    """Thread-safe. Raises what the ports raise: StoreError, EncoderError."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        rescorers: Mapping[Stage, Rescorer],
        *,
        writer: Writer | None = None,
        cache: QueryCache | None = None,
    ) -> None:
        """`rescorers` and `writer`: what a question may ask for."""
        self._store = store
        self._encoder = encoder
        self._rescorers = rescorers
        self._writer = writer
        self._cache = cache or QueryCache(0)
        self._calls = ThreadPoolExecutor(ENCODER_CALLS, thread_name_prefix="search-encoder")

    def close(self) -> None:
        """Begin no further call of a model or a writer; those that a deadline left behind end by themselves."""
        self._calls.shutdown(wait=False, cancel_futures=True)

    def prepare(self, scope: Scope, texts: Sequence[str], deadline: Deadline) -> None:
        """Read queries that are about to be asked, all at once. Where that fails each search finds out by itself."""
        bounded = deadline.within(self._encoder, self._calls)
        try:
            self._remembering(bounded, scope).encode([whole(text) for text in texts], query=True)
        except EncoderError as error:
            log.info("queries_not_prepared", error=type(error).__name__)

    def search(
        self,
        scope: Scope,
        question: Question,
        dimension: int,
        deadline: Deadline | None = None,
        also: Sequence[str] = (),
    ) -> Answer:
        """1 read what is asked, 2 rank candidates, 3 adjust by recency and boosts, 4 keep what heads show, 5 group, 6 leave out
        what was shown, 7 rerank where asked, 8 choose unlike hits where asked, 9 name spans.

        Steps 2 to 6 are repeated with more candidates, at most twice, while there are too few hits. A hybrid search goes on
        by words alone while the encoder does not answer, and is not reranked while that does not. The passages `also` are
        candidates whether a leg finds them or not. Raises UnknownExample, NoSuchStage and NoWriter.

        After the `deadline` a search does the least that gives an answer: it finds, scores and reads once, without 7 and 9.
        """
        self._refuse(question)
        deadline = deadline or Deadline()
        mode, asked = self._read(scope, question, dimension, deadline)  # 1
        ranking = Ranking(self._store, scope, question, mode, asked, deadline)
        enough = max(question.limit, question.rerank.depth if question.rerank else 0)
        pool = max(enough, diversity.pool(question.limit) if question.diversity else 0)
        depth = max(CANDIDATES, 3 * (pool + len(question.shown)))
        ranked: Ranked = []
        seen: list[Found] = []
        hits: list[Found] = []
        more = ranking.finds
        for attempt in range(1 + REFILLS):
            if len(hits) >= enough or not more or (attempt and not deadline.allows("refill")):
                break
            ranked, more = ranking.ranked(depth, also)  # 2
            if question.boosts or question.recency:
                ranked = adjusted(self._store, scope, ranked, question.boosts, question.recency)  # 3
                ranking.stage("recency and boosts", ranked)
            seen = self._visible(scope, ranked, question, pool + len(question.shown) + 1)  # 4, 5
            hits = [hit for hit in seen if hit.mark not in question.shown]  # 6
            depth *= GROWTH
        short = len(hits) < question.limit
        behind = bool(hits) and (more or len(hits) > question.limit)
        if question.rerank and hits and deadline.allows("rerank"):
            ranked, hits = self._reranked(ranking, ranked, hits, question.rerank, question.meaning, deadline)  # 7
        if question.diversity:
            scores = dict(ranked)  # reranked, perhaps
            before = [hit.rescored(scores) for hit in seen if hit.mark in question.shown]
            hits = self._unlike(hits, before, question)  # 8
        count = question.spans_per_passage if question.spans_per_passage and deadline.allows("spans") else 0
        spanned = self._with_spans(
            hits[: question.limit], count, [asked[leaf] for leaf in sought(question.meaning)]
        )  # 9
        return Answer(
            spanned,
            partial=short and more,
            by_words=mode is not question.mode,
            unfinished=tuple(deadline.unfinished),
            more=behind,
            trace=ranking.trace if question.explain else None,
        )

    def _refuse(self, question: Question) -> None:
        if question.rerank and question.rerank.stage not in self._rescorers:
            raise NoSuchStage(question.rerank.stage)
        if question.expand and self._writer is None:
            raise NoWriter

    def _read(
        self, scope: Scope, question: Question, dimension: int, deadline: Deadline
    ) -> tuple[Mode, Mapping[Leaf, Asked]]:
        """The vectors and terms of what is asked, and the mode that they are enough for."""
        wanted, mode = leaves(question.meaning), question.mode
        if mode is Mode.LEXICAL:
            return mode, read(self._store, None, scope, wanted, dimension)
        bounded = deadline.within(self._encoder, self._calls)
        try:
            # What is remembered is not asked, and takes none of the search's time.
            asked = read(self._store, self._remembering(bounded, scope), scope, wanted, dimension)
        except EncoderUnavailable as error:
            if mode is not Mode.HYBRID:
                raise
            log.warning("search_by_words_alone", error=type(error).__name__)
            return Mode.LEXICAL, read(self._store, None, scope, wanted, dimension)
        if question.expand and self._writer and deadline.allows("expand"):
            expansion = partial(self._expanded, asked, sought(question.meaning), self._writer)
            try:
                return mode, deadline.call(self._calls, expansion, "expand", most=WRITER_SECONDS)
            except Exception as error:  # noqa: BLE001 what is plugged in may raise anything
                log.warning("expansion_left_out", error=type(error).__name__)
                deadline.leave_out("expand")
        return mode, asked

    def _remembering(self, encoder: Encodes, scope: Scope) -> Encodes:
        return self._cache.before(encoder, self._encoder.info().release, scope.tenant)

    def _expanded(self, asked: Mapping[Leaf, Asked], wanted: Sequence[Leaf], writer: Writer) -> dict[Leaf, Asked]:
        """With what is written for each text that is looked for."""
        with timed("expand"):
            return {
                leaf: replace(each, vector=expanded(each.vector, writer(leaf.text), self._encoder))
                if leaf in wanted and isinstance(leaf, Words) and each.vector is not None
                else each
                for leaf, each in asked.items()
            }

    def _visible(self, scope: Scope, ranked: Ranked, question: Question, wanted: int) -> list[Found]:
        """The first hits, at least `wanted` where there are as many: passages that a live head names and that admits the caller,
        by document where asked.

        Passages and heads are read a few at a time, so that further passages of a found document are the best of
        those looked at.
        """
        size = max(LOOK, 4 * question.limit) if question.by_document else wanted + SPARE
        heads: dict[Key, Head] = {}
        hits: dict[str, Found] = {}
        for start in range(0, len(ranked), size):
            if len(hits) >= wanted:
                break
            with timed("heads"):
                window = ranked[start : start + size]
                passages = self._store.fetch([id for id, _ in window])
                unknown = {passage.key for passage in passages.values()} - heads.keys()
                heads |= self._store.heads(list(unknown))
            for id, score in window:
                passage = passages.get(id)
                head = passage and heads.get(passage.key)
                if passage and head and shows(head, passage, scope):
                    name = passage.key.encode().decode() if question.by_document else id
                    if name not in hits:
                        hits[name] = Found(head, score, [], cursors.mark(name))
                    if len(hits[name].passages) < question.passages_per_document:
                        hits[name].passages.append(FoundPassage(passage, score))
        return list(hits.values())

    def _reranked(
        self,
        ranking: Ranking,
        ranked: Ranked,
        hits: list[Found],
        rerank: Rerank,
        meaning: Meaning,
        deadline: Deadline,
    ) -> tuple[Ranked, list[Found]]:
        """The candidates and hits by the scores that the stage gives the best passages; as they are where it gives none."""
        passages = [found.passage for found in best_passages(hits, rerank.depth)]
        stage = partial(self._scored_again, rerank.stage, meaning, passages, ranking.told(passages))
        try:
            with timed("rerank"):
                scores = deadline.call(self._calls, stage, "rerank")
        except EncoderError as error:
            log.warning("rerank_left_out", stage=rerank.stage, error=type(error).__name__)
            deadline.leave_out("rerank")
            return ranked, hits
        if scores is None:
            return ranked, hits
        ranked = reranked(ranked, [passage.id for passage in passages], scores, rerank.weight)
        ranking.stage("rerank", ranked)
        known = dict(ranked)
        return ranked, sorted((hit.rescored(known) for hit in hits), key=lambda hit: -hit.score)

    def _scored_again(
        self, stage: Stage, meaning: Meaning, passages: Sequence[Passage], told: Mapping[str, NDArray[np.float32]]
    ) -> NDArray[np.float32] | None:
        """[passages]; None where the query has no text, or the stage nothing to say."""
        asked = {leaf: leaf.text for leaf in leaves(meaning) if isinstance(leaf, Words)}
        if not asked or (rows := self._rescorers[stage](list(asked.values()), passages, told)) is None:
            return None
        if len(leaves(meaning)) == 1:
            alone: NDArray[np.float32] = rows[0]
            return alone
        graded = dict.fromkeys(leaves(meaning), np.full(len(passages), 0.5, np.float32))
        graded |= {leaf: logistic(normalised(row, 0.0)) for leaf, row in zip(asked, rows, strict=True)}
        return grade(meaning, graded)

    def _unlike(self, hits: Sequence[Found], before: Sequence[Found], question: Question) -> list[Found]:
        """The hits to show; `before`: those that were shown."""
        if not hits:
            return []
        seen = [*hits, *before]
        best = [hit.passages[0].passage.id for hit in seen]
        vectors = self._store.vectors(best)
        size = next((len(each.dense) for each in vectors.values()), 1)
        compared = np.stack([vectors[id].dense if id in vectors else np.zeros(size, np.float32) for id in best])
        scores = np.array([hit.score for hit in seen], np.float32)
        taken = np.arange(len(seen)) >= len(hits)
        return [seen[i] for i in diversity.diverse(scores, compared, question.diversity, taken, question.limit)]

    def _with_spans(self, hits: Sequence[Found], count: int, asked: Sequence[Asked]) -> list[Found]:
        """The hits with the best spans of their passages: by meaning, or by terms alone where there is no vector."""
        if not count:
            return list(hits)
        with timed("spans"):
            ids = [found.passage.id for hit in hits for found in hit.passages]
            meant = any(each.vector is not None for each in asked)
            vectors = self._store.span_vectors(ids) if ids and meant else {}

            def named(found: FoundPassage) -> FoundPassage:
                return replace(found, spans=best(found.passage, vectors.get(found.passage.id), asked, count))

            return [replace(hit, passages=[named(found) for found in hit.passages]) for hit in hits]
