"""`spanstream encoder`: what can be said about a model, and what is fitted for one. Heavy imports are in the commands."""

from __future__ import annotations

import typer

from spanstream.standalone.encoder.bridge import bridge
from spanstream.standalone.encoder.compare import compare
from spanstream.standalone.encoder.diagnose import diagnose
from spanstream.standalone.encoder.distill import distill
from spanstream.standalone.encoder.evaluate import evaluate
from spanstream.standalone.encoder.fit import fit

app = typer.Typer(
    help="Look into the encoder: diagnose its vectors, compare models, fit what follows it, make cheaper ones.",
    no_args_is_help=True,
)
app.command()(diagnose)
app.command()(compare)
app.command()(evaluate)
app.command()(distill)
app.command()(fit)
app.command()(bridge)
