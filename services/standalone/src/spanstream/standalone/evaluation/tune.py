"""`spanstream tune`: weights for the rerank stage blend, learned from judged queries, and whether they help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding, judgements
from spanstream.standalone.evaluation.asking import in_scratch, read_sets

if TYPE_CHECKING:
    from spanstream.client import Client
    from spanstream.standalone.evaluation.tuning import Judged

DEPTH = 50  # hits of each query that are learned from
NO_GAIN = 1


def tune(
    datasets: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET", help="Folders with corpus.jsonl, queries.jsonl and qrels.tsv as in BEIR."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the weights, if they help.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Learn from judgements how much each part of a search's score should count, and write it for GATEWAY_BLEND.

    Each set is searched in a Spanstream of its own, as by `eval`. What the weights are worth is measured on queries that they were
    not fitted on (five folds). Where no gain is shown (95 % interval above 0) nothing is written, and the exit code is 1.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise typer.BadParameter(f"{out} is no file in a folder that exists", param_hint="--out")
    sets = read_sets(datasets)
    import numpy as np

    from spanstream.gateway.blend import COMPONENTS
    from spanstream.representations.bootstrap import chance, interval
    from spanstream.standalone.evaluation import tuning

    asked = in_scratch(
        {name: judged for name, (judged, _) in sets.items()},
        lambda client, name, judged: _judged(client, name, judged, quiet=as_json),
        quiet=as_json,
    )
    with encoding.told():
        weights = tuning.fit(list(asked.values()), len(COMPONENTS))
        gains = np.concatenate(tuning.cross_validated(list(asked.values()), len(COMPONENTS)))
    value, low, high = interval(gains)
    helps = low > 0
    told = dict(zip(COMPONENTS, weights.round(4).tolist(), strict=True))
    report = {
        "weights": told,
        "gain": {"nDCG@10": value, "interval": [low, high], "p": chance(gains), "queries": len(gains)},
        "sets": list(asked),
        "written": helps,
    }
    if helps:
        out.write_text(json.dumps(report, indent=1))
    if as_json:
        output.write_json(report)
    else:
        console, _ = output.consoles()
        console.print("  ".join(f"{name} {weight:.2f}" for name, weight in told.items()), markup=False)
        console.print(
            f"On queries that they were not fitted on: {value:+.2f} points of nDCG@10 [{low:+.2f}, {high:+.2f}],"
            f" over {len(gains)} queries.",
            markup=False,
        )
        last = (
            f'Written to {out}. Start the gateway with GATEWAY_BLEND={out} and search with "rerank": {{"stage": "blend"}}.'
            if helps
            else "No gain is shown, so nothing is written: the ranking without judgements is as good here."
        )
        console.print(last, markup=False)
    raise typer.Exit(0 if helps else NO_GAIN)


def _judged(client: Client, name: str, judged: judgements.Collection, *, quiet: bool) -> list[Judged]:
    import numpy as np

    from spanstream.gateway.blend import COMPONENTS
    from spanstream.standalone.evaluation.tuning import Judged

    found = []
    with encoding.progress(quiet=quiet) as progress:
        task = progress.add_task(f"{name}: search", total=len(judged.queries))
        for query, text in judged.queries.items():
            hits = client.search(text, limit=DEPTH, explain=True).hits
            rows = []
            for hit in hits:
                assert hit.explanation is not None
                told = {leg.leg: leg.contribution for leg in hit.explanation.legs}
                told |= {added.step: added.amount for added in hit.explanation.added}
                rows.append([told.get(component, 0.0) for component in COMPONENTS])
            if rows:
                found.append(Judged(query, [hit.id for hit in hits], np.array(rows), judged.relevant[query]))
            progress.advance(task)
    return found
