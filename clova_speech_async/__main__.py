"""The command ``clova-speech``, also as ``python -m clova_speech_async``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; without the extra ``cli``, say how to get it."""
    try:
        from .cli import app
    except ImportError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit("clova-speech needs the extra 'cli': pip install 'clova-speech-async[cli]'")
    app()


if __name__ == "__main__":
    main()
