"""The command ``clova-speech`` (extra ``cli``). Text goes to standard output; all else to standard error."""

from __future__ import annotations

import typer

from .assess import assess
from .emulator import emulator
from .estimate import estimate
from .journal import journal
from .transcribe import transcribe

__all__ = ["app"]

app = typer.Typer(
    name="clova-speech",
    help="CLOVA Speech short sentence recognition: audio of any length in, transcripts out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(transcribe)
app.command()(assess)
app.command()(estimate)
app.command()(emulator)
app.add_typer(journal, name="journal")
