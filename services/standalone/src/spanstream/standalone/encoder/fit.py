"""`spanstream encoder fit`: fit what vectors pass after the encoder, on a sample of passages, and keep it in a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spanstream.representations.transforms import Chain
    from spanstream.standalone.encoder.texts import Reader


def fit(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders, - for NDJSON on stdin, as for ingest; log: for the documents of the Spanstream here, or kafka://host:port.",
        ),
    ],
    stages: Annotated[
        str,
        typer.Option(
            "--stages",
            help="In order, separated by commas: center, standardize, clip:DEVIATIONS, whiten, pca:DIMENSION, "
            "remove_components:COUNT, truncate:DIMENSION. More after a further colon: whiten:0.1:method=pca.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write what was fitted (safetensors).")],
    model: Annotated[
        str, typer.Option("--model", help="minilm, a folder, a Hugging Face name, or a release file.")
    ] = "minilm",
    sample: Annotated[
        int, typer.Option("--sample", min=1, help="How many passages to draw, the same each time.")
    ] = 5000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Fit transforms of vectors (centring, whitening, fewer dimensions) on passages of texts like yours.

    It prints the lines for a release file, and writes what they name.

    It reads the texts of an index from its log, not its vectors, which are transformed already.
    """
    from spanstream.standalone.encoder.encoding import told

    with told():
        _fit(paths, stages, out, model, sample, as_json)


def _fit(paths: list[str], stages: str, out: Path, model: str, size: int, as_json: bool) -> None:
    import numpy as np

    from spanstream.client.output import consoles
    from spanstream.representations.model import named
    from spanstream.representations.transforms import fit as fit_chain
    from spanstream.representations.transforms import parse_stages
    from spanstream.standalone.encoder.encoding import counted, opened, progress, vectors
    from spanstream.standalone.encoder.texts import Reader, draw

    specs = parse_stages([entry(stage) for stage in stages.split(",")])
    if not out.parent.is_dir() or (out.exists() and not out.is_file()):  # /dev/null would be replaced
        raise typer.BadParameter(f"{out} is no file in a folder that exists", param_hint="--out")
    reader = Reader(paths)
    with progress(quiet=as_json) as bar:
        passages, total = draw(counted(reader.passages(), bar), size)
        different = len({(passage.text, passage.title) for passage in passages})
        if different < 2:  # nothing is left of a text that all others are
            reader.tell(consoles()[1])
            raise typer.BadParameter(f"{different} different passages in all of it; give more texts", param_hint="PATH")
        # Float32 whatever is fastest here: the same texts must give the same numbers.
        release = replace(named(model), transforms=(), transforms_file=None, truncate_dim=None, dtype="float32")
        with opened(release, bar) as encoder:
            origin = {"release": encoder.info().release, "fingerprint": encoder.fingerprint}
            # On zeros first, which takes no time: what cannot be fitted is found before minutes of encoding.
            fit_chain(specs, np.zeros((len(passages), encoder.info().dimension), np.float32), **origin)
            before = vectors(encoder, [one.text for one in passages], bar, "encoding", [one.title for one in passages])
        chain = fit_chain(specs, before, **origin)
    chain.save(out)
    _report(chain, before, {"file": str(out), "passages": total, "unread": len(reader.unread)}, reader, as_json)


def entry(stage: str) -> dict[str, Any]:
    """A stage as typed, such as "pca:192" or "whiten:0.1:method=pca", as a release file has it; the first value needs no name."""
    from spanstream.representations.stages import KINDS

    kind, *values = (part.strip() for part in stage.split(":"))
    names = list(KINDS[kind].PARAMETERS) if kind in KINDS else []
    found: dict[str, Any] = {"type": kind}
    for number, text in enumerate(values):
        name, given, value = text.rpartition("=")
        if not given:
            if number > 0 or not names:
                raise typer.BadParameter(f"{stage!r}: {text!r} is no NAME=VALUE of {kind}", param_hint="--stages")
            name = names[0]
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _report(chain: Chain, before: NDArray[np.float32], facts: dict[str, Any], reader: Reader, as_json: bool) -> None:
    """What was fitted, and what it does to the sample itself."""
    from rich.table import Table

    from spanstream.client import output
    from spanstream.representations import diagnostics

    after = chain.apply(before)
    measures = {
        "dimensions": (before.shape[1], after.shape[1]),
        "mean cosine of pairs": (diagnostics.mean_cosine(before), diagnostics.mean_cosine(after)),
        "effective rank": (diagnostics.effective_rank(before), diagnostics.effective_rank(after)),
    }
    transforms = [spec.entry() for spec in chain.specs]
    if as_json:
        compared = {name.replace(" ", "_"): {"before": old, "after": new} for name, (old, new) in measures.items()}
        origin = {"release": chain.release, "fingerprint": chain.fingerprint, "sample": chain.rows}
        output.write_json({**facts, "version": chain.version, **origin, "transforms": transforms, "measures": compared})
        return
    out, err = output.consoles()
    table = Table("of the sample", box=None)
    for name in ("before", "after"):
        table.add_column(name, justify="right")
    for name, values in measures.items():
        table.add_row(name, *(f"{value:d}" if isinstance(value, int) else f"{value:.3f}" for value in values))
    out.print(table)
    out.print(f"\n{chain.rows} of {facts['passages']} passages, {chain.release}", markup=False)
    out.print(f"written to {facts['file']}, version {chain.version}\n", markup=False, soft_wrap=True)
    lines = [f"  - {json.dumps(transform)}" for transform in transforms]
    lines = ["transforms:", *lines, f"transforms_file: {Path(facts['file']).name}  # beside the release file"]
    out.print("\n".join(lines), markup=False, soft_wrap=True)
    reader.tell(err)
