"""A judgement for people: tables in the terminal, and the lines of a model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spanstream.standalone.encoder.compare import table
from spanstream.standalone.gate.rules import Status

if TYPE_CHECKING:
    from rich.console import Console

    from spanstream.standalone.gate.evaluating import Judgement

_STYLES = {Status.PASSED: "green", Status.FAILED: "red", Status.NOT_MEASURED: "dim"}


def tell(judgement: Judgement, console: Console) -> None:
    """Figures, rules and the verdict."""
    from rich.table import Table
    from rich.text import Text

    asked = judgement.asked
    what = f"{asked['queries']} {asked['from']}, {asked['documents']} documents to search"
    console.print(f"{judgement.candidate} against {judgement.base}: {what}", markup=False, soft_wrap=True)
    console.print(table(judgement.rows, "base", "new"))
    rules = Table("rule", "", "measured", box=None)
    for each in judgement.rulings:
        rules.add_row(each.rule, Text(each.status, _STYLES[each.status]), Text(each.reason))
    console.print(rules)
    failed = [ruling.rule for ruling in judgement.rulings if ruling.status is Status.FAILED]
    told = f"Not passed: {'; '.join(failed)}." if failed else "Passed."
    console.print(told, style="red" if failed else "green", markup=False, soft_wrap=True)


def card(plain: Mapping[str, Any]) -> list[str]:
    """Markdown of what `Judgement.plain` gives."""
    asked = plain["asked"]
    return [
        f"## Evaluation gate: {'passed' if plain['passed'] else 'not passed'}",
        "",
        f"Against {plain['base']}, on {asked['queries']} {asked['from']}, {asked['documents']} documents to search. Points of"
        " 100 with the 95 % interval of a paired bootstrap.",
        "",
        "| measure | base | candidate | difference | queries or pairs |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row['measure']} | {row['a']:.2f} | {row['b']:.2f} | {row['difference']:+.2f}"
            f" [{row['interval'][0]:+.2f}, {row['interval'][1]:+.2f}] | {row['items']} |"
            for row in plain["rows"]
        ),
        "",
        "| rule | | measured |",
        "| --- | --- | --- |",
        *(f"| {each['rule']} | {each['status']} | {each['reason']} |" for each in plain["rules"]),
        "",
    ]
