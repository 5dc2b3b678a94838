"""`spanstream releases`: what passed the gate, kept where all can fetch it. Heavy imports are in the commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanstream.client import output
from spanstream.standalone.encoder import encoding

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanstream.standalone.releases.registry import Progress as Tell

app = typer.Typer(
    help="Releases of encoders that passed the gate: in a folder, or s3://bucket/prefix.", no_args_is_help=True
)

Url = Annotated[
    str,
    typer.Option("--registry", metavar="URL", envvar="RELEASES_URL", help="A folder, or s3://bucket/prefix."),
]
Name = Annotated[str, typer.Argument(metavar="RELEASE", help="Its name, as `list` shows it.")]
Seal = Annotated[
    str | None, typer.Option("--seal", metavar="HASH", help="That `publish` printed; another release is refused.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


@app.command("list")
def list_(registry: Url, as_json: AsJson = False) -> None:
    """All releases of a registry. Exit code 1 if one cannot be read; the others are shown."""
    from spanstream.standalone.releases.manifest import Manifest, Refused
    from spanstream.standalone.releases.registry import Registry

    manifests, refused = list[Manifest](), dict[str, str]()
    with encoding.told():
        found = Registry(registry)
        for name in found.names():
            try:
                manifests.append(found.manifest(name))
            except Refused as error:
                refused[name] = str(error)
    if as_json:
        rows = [{"release": each.release, "base": each.lineage["base"], "bytes": each.bytes} for each in manifests]
        output.write_json({"registry": registry, "releases": rows, "refused": refused})
        raise typer.Exit(1 if refused else 0)
    from rich.table import Table
    from rich.text import Text

    table = Table("release", "from", "judged by", box=None)
    table.add_column("MB", justify="right")
    for each in manifests:
        told = (each.release, each.lineage["base"], each.gate["asked"]["from"], f"{each.bytes / 1e6:.1f}")
        table.add_row(*(Text(output.clean(str(cell))) for cell in told))
    console, errors = output.consoles()
    console.print(table)
    for said in refused.values():
        errors.print(output.clean(said), markup=False)
    raise typer.Exit(1 if refused else 0)


@app.command()
def show(name: Name, registry: Url, as_json: AsJson = False) -> None:
    """What a release was made from, and what the gate measured."""
    from spanstream.standalone.gate import report
    from spanstream.standalone.releases.registry import Registry

    with encoding.told():
        found = Registry(registry).manifest(name)
    if as_json:
        lineage, gate = dict(found.lineage), dict(found.gate)
        files = {path: {"bytes": entry.bytes, "sha256": entry.sha256} for path, entry in found.files.items()}
        output.write_json({"release": name, "seal": found.seal, "lineage": lineage, "gate": gate, "files": files})
        return
    lines = [f"# {found.release}", "", *(f"- {key}: {told}" for key, told in found.lineage.items())]
    lines += [f"- seal: {found.seal}", "", *report.card(found.gate)]
    card, (out, _) = "\n".join(map(output.clean, lines)), output.consoles()
    if not out.is_terminal:
        out.print(card, markup=False)
        return
    from rich.markdown import Markdown

    out.print(Markdown(card))


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="That `spanstream train` wrote.")],
    registry: Url,
    as_json: AsJson = False,
) -> None:
    """Put a release into a registry, for good. One that did not pass the gate is refused."""
    from spanstream.standalone.releases.packing import packed
    from spanstream.standalone.releases.registry import Registry

    with encoding.told(), encoding.progress(quiet=as_json) as bar:
        target = Registry(registry)
        found = packed(folder, bar)
        with _bytes(bar, "publishing", found.bytes) as progress:
            came = target.publish(folder, found, progress)
    if as_json:
        output.write_json({"release": found.release, "seal": found.seal, "published": came})
        return
    console, _ = output.consoles()
    console.print(f"{found.release} is {'' if came else 'already '}in {registry}", markup=False, soft_wrap=True)
    console.print(f"Seal, to be noted elsewhere: {found.seal}", markup=False, soft_wrap=True)


@app.command()
def fetch(
    name: Name,
    registry: Url,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where to; default: its name.")] = None,
    seal: Seal = None,
    as_json: AsJson = False,
) -> None:
    """Copy a release to a folder that ENCODER_MODEL can name; what is not as it was published is refused."""
    from spanstream.standalone.releases.registry import Registry
    from spanstream.standalone.training.outcome import RELEASE

    folder = out or Path(name)
    with encoding.told(), encoding.progress(quiet=as_json) as bar, _bytes(bar, "fetching", None) as progress:
        found, came = Registry(registry).fetch(name, folder, seal, progress)
    if as_json:
        told = {"release": found.release, "seal": found.seal, "fetched": came, "release_file": str(folder / RELEASE)}
        output.write_json(told)
        return
    console, _ = output.consoles()
    console.print(f"{found.release} is {'' if came else 'already '}in {folder}, every file as published", markup=False)
    console.print(f"To start with it: ENCODER_MODEL={folder / RELEASE}", markup=False, soft_wrap=True)


@app.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="RELEASE", help="Its name; or a folder that `fetch` wrote.")],
    registry: Annotated[
        str | None, typer.Option("--registry", metavar="URL", envvar="RELEASES_URL", help="None for a folder.")
    ] = None,
    seal: Seal = None,
    as_json: AsJson = False,
) -> None:
    """Read a whole release, and say whether every file is as it was published."""
    from spanstream.standalone.releases.registry import Registry, verify_folder

    with encoding.told(), encoding.progress(quiet=as_json) as bar, _bytes(bar, "reading", None) as progress:
        if Path(name).is_dir() and (registry is None or "/" in name):
            found = verify_folder(Path(name), seal, progress)
        elif registry is None:
            raise typer.BadParameter(
                f"{name} is no folder; a release's registry must be named", param_hint="--registry"
            )
        else:
            found = Registry(registry).verify(name, seal, progress)
    if as_json:
        output.write_json({"release": found.release, "seal": found.seal, "files": len(found.files)})
        return
    console, _ = output.consoles()
    console.print(
        f"{found.release}: all {len(found.files)} files are as published; seal {found.seal}",
        markup=False,
        soft_wrap=True,
    )


@contextmanager
def _bytes(bar: Progress, what: str, total: int | None) -> Iterator[Tell]:
    task = bar.add_task(f"{what} (bytes)", total=total)
    yield lambda more: bar.advance(task, more)
