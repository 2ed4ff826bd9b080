"""The command ``clova-speech`` (extra ``cli``). Text goes to standard output; all else to standard error."""

from __future__ import annotations

from typing import Annotated

import typer

from clova_speech_async import __version__

from .assess import assess
from .check import check
from .emulator import emulator
from .estimate import estimate
from .journal import journal
from .transcribe import transcribe

__all__ = ["app"]

app = typer.Typer(
    name="clova-speech",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clova-speech {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """CLOVA Speech short sentence recognition: audio of any length in, transcripts out."""


app.command()(transcribe)
app.command()(assess)
app.command()(estimate)
app.command()(check)
app.command()(emulator)
app.add_typer(journal, name="journal")
