"""What a person sees in the terminal: hits, statuses, a progress bar. Nothing here talks to a server."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from spanstream.client import explained
from spanstream.client.plain import clean as clean
from spanstream.client.plain import line as line
from spanstream.client.results import Content, Failure, Hit, Passage, Progress, SearchResult, Source, Status

SHOWN = 480  # characters of a passage
UNBOUNDED = 2**30  # columns where there is no terminal: what reads a pipe or a file wants whole lines
LINE_SECONDS = 2.0  # between two lines of progress where there is no terminal
_STYLES = {"searchable": "green", "deleted": "yellow", "failed": "red", "pending": "cyan"}


def consoles() -> tuple[Console, Console]:
    """Standard output and standard error. Nothing is wrapped where one is no terminal: print nothing that fills its width."""
    return _console(stderr=False), _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = UNBOUNDED
    return console


def write_json(value: Any) -> None:
    """One JSON document on standard output."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=_plain)
    sys.stdout.write(text.encode(errors="backslashreplace").decode() + "\n")  # half a character as JSON spells it


def hits(result: SearchResult, *, marks: bool) -> Group:
    """The hits; the best span is highlighted, and between « » too where `marks` (no colours)."""
    warning = [Text("The model does not answer: ranked by words alone.", style="yellow")] if result.by_words else []
    counted = [_facet(field, values) for field, values in result.facets.items()]
    if not result.hits:
        return Group(*warning, *counted, Text("nothing found", style="dim"))
    parts = [part for number, hit in enumerate(result.hits, 1) for part in _hit(number, hit, marks)]
    count = f"{len(result.hits)} {'document' if len(result.hits) == 1 else 'documents'}"
    return Group(*warning, *parts, *counted, Text(f"{count} in {result.took_ms:.0f} ms", style="dim"))


def passage(found: Passage, *, marks: bool, shown: int = SHOWN) -> Text:
    """The passage as one paragraph, or the part of it around its best span."""
    best = found.spans[0] if found.spans else None
    start, end = (best.start - found.start, best.end - found.start) if best else (0, 0)
    first = max(0, min(start, start - (shown - (end - start)) // 2, len(found.text) - shown))
    last = max(end, first + shown)
    text = Text("…" if first else "")
    text.append(line(found.text[first:start]))
    if best:
        span = line(found.text[start:end])
        text.append(f"«{span}»" if marks else span, style="bold black on yellow")
    text.append(line(found.text[max(end, first) : last]))
    text.append("…" if last < len(found.text) else "")
    return text


def document(found: Content) -> Group:
    """Its title, unless the text begins with it, and its passages, a blank line between them."""
    title, passages = line(found.title).strip(), [clean(passage.text) for passage in found.passages]
    begins = bool(passages) and line(passages[0].strip().partition("\n")[0]).strip() == title
    titles = [Text(title, style="bold")] if title and not begins else []
    texts = [*titles, *map(Text, passages)]
    return Group(*(part for text in texts for part in (text, Text(""))))


def status_line(status: Status) -> Text:
    """One line for one status."""
    line = Text.assemble((status.state, _STYLES.get(status.state, "")), f"  {clean(status.source)}/{clean(status.id)}")
    if status.version:
        line.append(f"  version {status.version}", style="dim")
    if status.state == "failed":
        line.append(f"  {status.stage}: {status.reason}: {clean(status.detail)}")
    return line


def sources(found: Iterable[Source]) -> Table:
    """Sources and their numbers of documents."""
    table = Table("source", box=None)
    table.add_column("documents", justify="right")
    for source in found:
        table.add_row(Text(clean(source.name)), str(source.documents))
    return table


def failures(found: Iterable[Failure], total: int) -> Group:
    """Documents that failed, a line each, with stage and reason. A file's name, which is an id here, may hold line ends."""
    shown = list(found)[:50]
    told = [f"{clean(f.source)}/{clean(f.id)}  {_cause(f)}: {clean(f.detail)}".replace("\n", "\ufffd") for f in shown]
    lines = [Text.assemble(("failed ", "red"), text) for text in told]
    if total > len(shown):
        lines.append(Text(f"… and {total - len(shown)} more", style="red"))
    return Group(*lines)


def _cause(failure: Failure) -> str:
    """Where it failed and why; what the server would not take was simply refused, and the detail says why."""
    return "refused" if failure.stage == "accept" else f"{failure.stage}: {failure.reason}"


class IngestProgress:
    """A bar that counts searchable documents; plain lines where there is no terminal. Call it with each Progress."""

    def __init__(
        self,
        console: Console,
        title: str,
        total: int | None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._title, self._total, self._quiet, self._clock = console, title, total, quiet, clock
        self.counts = Progress()  # the last
        self._last = clock()
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("searchable"),
            TextColumn("[dim]{task.fields[others]}[/]"),
            TimeElapsedColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, others="")

    def __call__(self, counts: Progress) -> None:
        """Show these counts."""
        self.counts = counts
        total = self._total if self._total is not None else counts.accepted
        others = f"{counts.accepted} accepted" + (f", {counts.failed} failed" if counts.failed else "")
        self._bar.update(self._task, completed=counts.searchable, total=total, others=others)
        if self._bar.disable and not self._quiet and self._clock() - self._last >= LINE_SECONDS:
            self._last = self._clock()
            self._console.print(f"{self._title}: {counts.searchable} of {total} searchable, {others}", markup=False)

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._bar.stop()


def _facet(field: str, values: Iterable[tuple[str | float | bool, int]]) -> Text:
    shown = ", ".join(
        f"{line(value if isinstance(value, str) else json.dumps(value))} ({count})" for value, count in values
    )
    return Text.assemble((f"{clean(field)}: ", "bold"), shown or "no values")


def _hit(number: int, hit: Hit, marks: bool) -> list[Any]:
    title = clean(hit.title) or clean(hit.id)
    head = Text.assemble((f"{number:>2}  ", "dim"), (title, "bold"), (f"  {hit.score:.3f}", "dim"))
    where = Text(f"    {clean(hit.source)}/{clean(hit.id)}", style="cyan")
    body = [Padding(passage(found, marks=marks), (0, 0, 0, 4), expand=False) for found in hit.passages[:1]]
    why = explained.explanation(hit.explanation) if hit.explanation else None
    told = [Padding(why, (1, 0, 0, 4), expand=False)] if why else []
    return [head, where, *body, *told, Text("")]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(type(value).__name__)
