"""`spanstream eval`: how well the search finds what people judged relevant, through the public API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding, judgements
from spanstream.standalone.evaluation.asking import in_scratch, read_sets

if TYPE_CHECKING:
    from rich.table import Table

    from spanstream.client import Client
    from spanstream.standalone.evaluation.measuring import Difference, Scores

MODES = ("hybrid", "dense", "spans", "lexical")


def evaluate(
    datasets: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET", help="Folders with corpus.jsonl, queries.jsonl and qrels.tsv as in BEIR."),
    ],
    mode: Annotated[
        list[str] | None, typer.Option("--mode", help="hybrid, dense, spans or lexical; may be repeated. Default: all.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write all figures, query by query, as JSON.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Write a picture (PNG).")] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="Compare with what an earlier --out wrote.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    """Measure the search on judged queries: each set in a Spanstream of its own, started for it and removed afterwards.

    The settings of the environment hold (ENCODER_MODEL, SPANS, ...), so two runs tell two configurations apart. With a
    spans.tsv the first hit's best span is held against the answer. Intervals: paired bootstrap; p: randomisation test.
    """
    modes = tuple(dict.fromkeys(mode or MODES))
    if unknown := [name for name in modes if name not in MODES]:
        raise typer.BadParameter(f"{', '.join(unknown)} is none of {', '.join(MODES)}", param_hint="--mode")
    for file in (out, plot):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise typer.BadParameter(f"{file} is no file in a folder that exists")
    earlier = _earlier(against) if against else {}
    read = read_sets(datasets)
    found = in_scratch(
        {name: judged for name, (judged, _) in read.items()},
        lambda client, name, judged: _measured(client, name, judged, read[name][1], modes, quiet=as_json),
        quiet=as_json,
    )
    report = _report(found, {name: judged for name, (judged, _) in read.items()}, earlier)
    if out is not None:
        out.write_text(json.dumps(report | {"queries": _by_query(found, read)}, indent=1))
    if plot is not None:
        from spanstream.standalone.evaluation import plot as picture

        picture.save(found, plot)
    if as_json:
        output.write_json(report)
        return
    console, _ = output.consoles()
    console.print(_table(found))
    for line in _sentences(report):
        console.print(line, markup=False)


def _earlier(path: Path) -> dict[str, Any]:
    """Set -> query -> mode -> measure -> points."""
    try:
        read: dict[str, Any] = json.loads(path.read_text())["queries"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise typer.BadParameter(f"{path} is not what --out wrote", param_hint="--against") from error
    return read


def _measured(
    client: Client,
    name: str,
    judged: judgements.Collection,
    answers: Mapping[str, Sequence[tuple[str, int, int]]],
    modes: Sequence[str],
    *,
    quiet: bool,
) -> dict[str, Scores]:
    import numpy as np

    from spanstream.standalone.evaluation import measuring

    scores: dict[str, Scores] = {}
    with encoding.progress(quiet=quiet) as progress:
        for mode in modes:
            task = progress.add_task(f"{name}: {mode}", total=len(judged.queries))
            rows = []
            for query, text in judged.queries.items():
                hits = client.search(text, mode=mode, limit=measuring.DEPTH).hits
                row = measuring.ranking(hits, judged.relevant[query])
                rows.append(row | measuring.spans(hits, answers.get(query, ())) if answers else row)
                progress.advance(task)
            scores[mode] = {measure: np.array([row[measure] for row in rows]) for measure in rows[0]}
    return scores


def _report(
    found: Mapping[str, Mapping[str, Scores]], judged: Mapping[str, judgements.Collection], earlier: Mapping[str, Any]
) -> dict[str, Any]:
    from spanstream.standalone.evaluation import measuring

    sets: dict[str, dict[str, Any]] = {}
    for name, scores in found.items():
        first, *others = scores
        main = scores[first][measuring.MAIN]
        sets[name] = {
            "queries": len(judged[name].queries),
            "means": {mode: {measure: float(v.mean()) for measure, v in each.items()} for mode, each in scores.items()},
            f"{first} less": {
                mode: _plain(measuring.difference(scores[mode][measuring.MAIN], main)) for mode in others
            },
            "less earlier": _less_earlier(scores, list(judged[name].queries), earlier.get(name, {})),
        }
    means = {
        mode: sum(each["means"][mode][measuring.MAIN] for each in sets.values()) / len(sets)
        for mode in next(iter(found.values()))
    }
    return {"measure": measuring.MAIN, "sets": sets, "macro": means}


def _less_earlier(scores: Mapping[str, Scores], queries: Sequence[str], earlier: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    from spanstream.standalone.evaluation import measuring

    known = [number for number, query in enumerate(queries) if query in earlier]
    compared = {}
    for mode, each in scores.items():
        both = [number for number in known if mode in earlier[queries[number]]]
        if both:
            before = np.array([earlier[queries[number]][mode][measuring.MAIN] for number in both])
            compared[mode] = _plain(measuring.difference(before, each[measuring.MAIN][both]))
    return compared


def _plain(difference: Difference) -> dict[str, Any]:
    value, low, high = difference.value
    return {"difference": value, "interval": [low, high], "p": difference.p, "queries": difference.queries}


def _by_query(
    found: Mapping[str, Mapping[str, Scores]], read: Mapping[str, tuple[judgements.Collection, Any]]
) -> dict[str, Any]:
    """Set -> query -> mode -> measure -> points, so that a later run can be held against this one."""
    return {
        name: {
            query: {
                mode: {measure: float(values[number]) for measure, values in each.items()}
                for mode, each in scores.items()
            }
            for number, query in enumerate(read[name][0].queries)
        }
        for name, scores in found.items()
    }


def _table(found: Mapping[str, Mapping[str, Scores]]) -> Table:
    from rich.table import Table

    from spanstream.standalone.evaluation import measuring

    names = [*measuring.RANKING, *measuring.SPANS]
    shown = [name for name in names if any(name in each for scores in found.values() for each in scores.values())]
    table = Table("set", "mode", box=None)
    for name in shown:
        table.add_column(name, justify="right")
    for name, scores in found.items():
        for mode, each in scores.items():
            cells = [f"{each[measure].mean():.1f}" if measure in each else "–" for measure in shown]
            table.add_row(name, mode, *cells)
    if len(found) > 1:
        for mode in next(iter(found.values())):
            mean = sum(scores[mode][measuring.MAIN].mean() for scores in found.values()) / len(found)
            table.add_row("mean of sets", mode, f"{mean:.1f}")
    return table


def _sentences(report: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, each in report["sets"].items():
        for of, compared in each.items():
            if of in ("queries", "means"):
                continue
            for mode, told in compared.items():
                low, high = told["interval"]
                whom = f"{mode} less the earlier {mode}" if of == "less earlier" else f"{of} {mode}"
                lines.append(
                    f"{name}: {whom} {told['difference']:+.2f} points of {report['measure']}"
                    f" [{low:+.2f}, {high:+.2f}], p = {told['p']:.4f}, over {told['queries']} queries"
                )
    return lines
