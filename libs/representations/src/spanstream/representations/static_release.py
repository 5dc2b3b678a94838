"""A release whose model is a static table: what of it a table honours. What speaks of a forward pass is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from spanstream.representations.errors import ReleaseInvalid
from spanstream.representations.release import Release, behind
from spanstream.representations.stages import Stage
from spanstream.representations.static import Observer, StaticEncoder, StaticTable, load_static
from spanstream.representations.transforms import Chain

# Not the other way round: a key that comes to releases later is refused until a table knows of it.
_HONOURED = {"name", "model", "revision", "dtype", "transforms", "transforms_file", "truncate_dim", "precision"}
_DTYPES = ("auto", "float32")
_KEYS = {  # of a release file, where they are not called as the field
    "query_prompt": "prompts.query",
    "document_prompt": "prompts.document",
    "pooling": "pooling.pooling_mode",
    "layers": "pooling.layers",
    "overlap_tokens": "windows.overlap_tokens",
    "operator": "granularities.span.operator",
}


def open_static(release: Release, *, observe: Observer = lambda tokens, seconds: None) -> StaticEncoder:
    """The encoder of a release whose model is a folder with a table.

    Raises ModelNotFound, ModelUnsupported, ReleaseInvalid (which names the keys that a table cannot honour),
    TransformInvalid or TransformMismatch.
    """
    table = load_static(Path(release.model))
    if refused := _refused(release):
        raise ReleaseInvalid(
            f"{', '.join(refused)}: not for the static table in {release.model}, which adds up rows without a forward pass; "
            "leave out what is named"
        )
    if release.revision not in (None, f"sha256:{table.fingerprint}"):
        raise ReleaseInvalid(
            f"revision is {release.revision}, but the table in {release.model} is sha256:{table.fingerprint}"
        )
    return StaticEncoder(
        replace(table, name=release.name), chain=_chain(release, table), precision=release.precision, observe=observe
    )


def _refused(release: Release) -> list[str]:
    """Keys that ask for what a table has not; an empty prompt asks for nothing."""
    others = [field for field in fields(Release) if field.name not in _HONOURED]
    asking = [field.name for field in others if getattr(release, field.name) not in (field.default, "")]
    return [_KEYS.get(name, name) for name in asking] + ["dtype"] * (release.dtype not in _DTYPES)


def _chain(release: Release, table: StaticTable) -> Chain | None:
    """The release's transforms and its truncation as one chain."""
    width = table.rows.shape[1]
    chain, cut = behind(release, width, table.fingerprint)
    stages: tuple[Stage, ...] = (*(chain.stages if chain else ()), *([cut] if cut else ()))
    return Chain(stages, width, release.name, table.fingerprint, 0) if stages else None
