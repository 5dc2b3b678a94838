"""A model in this process for as long as a command needs it, and texts through it under a progress bar."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray

from spanstream.encoder.encoder import Encoder, Text
from spanstream.standalone.encoder.judgements import Collection, Pairs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from spanstream.representations.local import LocalEncoder
    from spanstream.representations.release import Release
    from spanstream.representations.static import StaticEncoder

T = TypeVar("T")
NO_RANGES = np.empty((0, 2), np.int32)
_LINE_SECONDS = 5.0  # between two lines of progress where there is no terminal
_CALL = 64  # texts of one call: enough for every thread of the encoder, few enough for the bar and Ctrl-C


@contextmanager
def progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar on standard error; plain lines where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        ended = threading.Event()
        if not quiet and not console.is_terminal:
            threading.Thread(target=_lines, args=(bar, console, ended), daemon=True).start()
        try:
            yield bar
        finally:
            ended.set()


def _lines(bar: Progress, console: Console, ended: threading.Event) -> None:
    """Says now and then what is being done and how far it is."""
    while not ended.wait(_LINE_SECONDS):
        for task in [task for task in bar.tasks if not task.finished][-1:]:
            done = f": {task.completed:.0f} of {task.total:.0f}" if task.total else ""
            console.print(f"{task.description}{done}", markup=False)


@contextmanager
def opened(model: str | Release, bar: Progress) -> Iterator[LocalEncoder | StaticEncoder]:
    """The encoder of that name, folder or release, closed afterwards; raises a RepresentationError."""
    import torch

    from spanstream.representations.local import open_local

    task = bar.add_task(f"loading {model if isinstance(model, str) else model.name}", total=None)
    threads = torch.get_num_threads()
    try:
        encoder = open_local(model)
        bar.remove_task(task)
        try:
            yield encoder
        finally:
            encoder.close()
    finally:
        torch.set_num_threads(threads)  # an encoder takes all but one from torch, and a training after it needs them


def vectors(
    encoder: Encoder,
    texts: Sequence[str],
    bar: Progress,
    what: str,
    titles: Sequence[str] | None = None,
    *,
    query: bool = False,
) -> NDArray[np.float32]:
    """The whole texts' vectors [n, d]; titles are read before the texts, as for documents. `query`: with its prompt."""
    found = np.empty((len(texts), encoder.info().dimension), np.float32)
    task = bar.add_task(what, total=len(texts))
    for start in range(0, len(texts), _CALL):
        several = range(start, min(start + _CALL, len(texts)))
        asked = [Text(_whole(texts[i]), NO_RANGES, context=_whole(titles[i]) if titles else "") for i in several]
        found[start : several.stop] = [encoded.whole for encoded in encoder.encode(asked, query=query)]
        bar.update(task, completed=several.stop)
    return found


def documents(encoder: Encoder, judged: Collection, bar: Progress, what: str) -> NDArray[np.float32]:
    """The whole documents' vectors [n, d]."""
    texts = [document["text"] for document in judged.documents]
    titles = [str(document.get("title") or "") for document in judged.documents]
    return vectors(encoder, texts, bar, what, titles)


def queries(encoder: Encoder, judged: Collection, bar: Progress, what: str) -> NDArray[np.float32]:
    """The judged queries' vectors [q, d]."""
    return vectors(encoder, list(judged.queries.values()), bar, what, query=True)


def cosines(encoder: Encoder, pairs: Pairs, bar: Progress, side: str) -> NDArray[np.float64]:
    """Of each pair [n]."""
    left = vectors(encoder, pairs.left, bar, f"{side}: first texts").astype(np.float64)
    right = vectors(encoder, pairs.right, bar, f"{side}: second texts").astype(np.float64)
    found: NDArray[np.float64] = np.einsum("nd,nd->n", left, right)
    return found


def _whole(text: str) -> str:
    """Without halves of characters, which JSON can spell and no model reads."""
    return text.encode(errors="replace").decode()


def counted(found: Iterable[T], bar: Progress) -> Iterator[T]:
    """The same, counted as they come."""
    task = bar.add_task("reading", total=None)
    for each in found:
        yield each
        bar.advance(task)


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong as one line and an exit code: 2 for what was asked, 1 for what broke, 130 for Ctrl-C."""
    from spanstream.encoder.errors import EncoderError
    from spanstream.ingestor.parsing.parsed import ParserUnavailable
    from spanstream.representations.errors import RepresentationError
    from spanstream.runtime.settings import SettingsError

    try:
        yield
    except (RepresentationError, SettingsError) as error:
        raise typer.BadParameter(str(error)) from error
    except OSError as error:
        raise typer.BadParameter(f"{error.filename or 'the file'}: {error.strerror or error}") from error
    except (EncoderError, ParserUnavailable) as error:
        typer.echo(f"Nothing was written: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("\ninterrupted; nothing was written", err=True)
        raise typer.Exit(130) from None
