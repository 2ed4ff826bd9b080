"""The command ``clova-speech``, also as ``python -m clova_speech_async``."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command; without the extra ``cli``, say how to get it."""
    try:
        from .cli import app
    except ImportError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit("clova-speech needs the extra 'cli': pip install 'clova-speech-async[cli]'")
    _settle_streams()
    app()


def _settle_streams() -> None:
    """Let no text that was paid for fail on its way out: not for a terminal's letters, not for a stream that is closed.

    What a terminal cannot write comes as an escape such as ``\\uac00``, from which the text can be had back.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the process's life
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
