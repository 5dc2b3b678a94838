"""The matrix behind a trained encoder: what it is learnt from is read with that encoder, as the index gets it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spanstream.encoder.encoder import Encoder
from spanstream.representations.stages import Project
from spanstream.representations.training import projection
from spanstream.representations.training.objective import Document
from spanstream.representations.training.projection import Examples, Projection
from spanstream.representations.training.stream import Split, split
from spanstream.representations.training.views import in_context
from spanstream.representations.transforms import Chain
from spanstream.standalone.encoder import encoding
from spanstream.standalone.encoder.texts import draw

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanstream.representations.release import Release

_CALL = 64  # texts


def project(
    release: Release, found: Iterable[Document], settings: Projection, seed: int, path: Path, bar: Progress
) -> dict[str, Any]:
    """Learn from passages that are not for the test, write the chain to `path` if it does better, and say how it went.

    `release`: the trained encoder alone. Raises a RepresentationError and OSError.
    """
    drawn, _ = draw((each for each in found if split(each) is not Split.TEST), settings.passages)
    documents = list({each.text: each for each in drawn}.values())  # one that is there twice would be told from itself
    asked = projection.ask(documents, settings, seed)
    with encoding.opened(release, bar) as encoder:
        examples = _examples(encoder, documents, asked, bar)
        origin = {"release": encoder.info().release, "fingerprint": encoder.fingerprint}
    told: dict[str, Any] = {"passages": len(documents), "queries": len(asked.words), "settings": asdict(settings)}
    if asked.held_out.all() or not asked.held_out.any():
        return told | {"kept": 0}  # nothing to learn from, or nothing to judge by
    task = bar.add_task("projection", total=settings.steps)
    learnt = projection.learn(examples, settings, seed, lambda step: bar.update(task, completed=step))
    first, kept = learnt.losses
    told |= {"kept": learnt.kept, "loss": {"start": first, "kept": kept}}
    if not learnt.kept:
        return told
    chain = Chain((Project(learnt.matrix),), learnt.matrix.shape[0], rows=len(asked.words), **origin)
    chain.save(path)
    return told | {"version": chain.version, "transforms": [spec.entry() for spec in chain.specs]}


def _examples(encoder: Encoder, documents: list[Document], asked: projection.Asked, bar: Progress) -> Examples:
    passages, sentences = [], []
    task = bar.add_task("reading passages for the projection", total=len(documents))
    for start in range(0, len(documents), _CALL):
        several = documents[start : start + _CALL]
        for encoded in encoder.encode([in_context(each) for each in several]):
            passages.append(encoded.ranges[0])
            sentences.append(encoded.ranges[1:])
        bar.update(task, completed=start + len(several))
    queries = encoding.vectors(encoder, asked.words, bar, "reading words for the projection", query=True)
    found = np.stack(passages), np.concatenate(sentences)
    return Examples(queries, asked.passages, asked.sentences, *found, asked.held_out)
