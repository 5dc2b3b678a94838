"""`spanstream encoder`: what can be said about a model, and what is fitted for one. Heavy imports are in the commands."""

from __future__ import annotations

import typer

from spanstream.standalone.encoder.fit import fit

app = typer.Typer(help="Look into the encoder, and fit what follows it.", no_args_is_help=True)
app.command()(fit)
