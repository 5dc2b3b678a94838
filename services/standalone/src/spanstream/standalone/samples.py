"""The first corpus goes in through the public API, and a few questions show what comes out."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from spanstream.client import Client, Document, Progress, output
from spanstream.standalone import corpus

QUESTIONS = (
    "How do I find the largest items of a list without sorting all of it?",
    "wait until several threads have reached the same point",
    "Which random numbers are safe for passwords?",
)
# A person's own document waits for no more than these, a few seconds; more at once are hardly faster.
IN_FLIGHT = 32


class Stopped(Exception):
    """Somebody asked us to stop; what was accepted stays accepted."""


def missing(client: Client) -> list[Document]:
    """The documents of the corpus that the index has never settled: not those that were deleted since."""
    documents = list(corpus.documents())
    statuses = client.statuses(corpus.SOURCE, [(document.id, None) for document in documents])
    return [document for document, status in zip(documents, statuses, strict=True) if not status.settled]


def ingest(client: Client, documents: list[Document], console: Console, stop: threading.Event) -> None:
    """Ingest with a bar of searchable documents; raises Stopped soon after `stop` is set."""
    with output.IngestProgress(console, "Python's documentation", len(documents)) as bar:

        def progress(counts: Progress) -> None:
            bar(counts)
            if stop.is_set():
                raise Stopped

        report = client.ingest(corpus.SOURCE, documents, in_flight=IN_FLIGHT, on_progress=progress)
    if report.counts.failed:
        console.print(output.failures(report.failures, report.counts.failed))


def show(client: Client, console: Console) -> None:
    """Ask the questions and print the best answer to each."""
    for question in QUESTIONS:
        result = client.search(question, limit=1, sources=[corpus.SOURCE])
        console.print(Text.assemble(("? ", "bold cyan"), (question, "bold")))
        for hit in result.hits:
            answer = output.passage(hit.passages[0], marks=not console.is_terminal, shown=320)
            answer.append(f"  ({hit.id}, {result.took_ms:.0f} ms)", style="dim")
            console.print(Padding(answer, (0, 0, 1, 2), expand=False))
