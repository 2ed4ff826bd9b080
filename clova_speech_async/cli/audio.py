"""What the library is given for a file that a person named: its path, standard input, or samples without a header."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clova_speech_async.audio import PCM
from clova_speech_async.errors import AudioReadError

from .inputs import STANDARD_INPUT, shown

__all__ = ["Raw", "audio_of", "close_audio"]


@dataclass(frozen=True, kw_only=True)
class Raw:
    """How samples without a header are written; raises as `PCM` does."""

    rate: int
    channels: int = 1
    encoding: str = "s16le"

    def __post_init__(self) -> None:
        self.of(b"")

    def of(self, data: Any) -> PCM:
        """Samples that are written so."""
        form: Any = self.encoding  # whatever a person wrote: PCM knows which there are
        return PCM(data, self.rate, self.channels, form)


def audio_of(path: Path, raw: Raw | None) -> Any:
    """The audio of a file; blocks, as opening a pipe does.

    Raises `AudioReadError` where it is to be opened here, and cannot be.
    """
    if str(path) == STANDARD_INPUT:
        file = _standard_input()
    elif raw is None:
        return path
    else:
        try:
            file = path.open("rb")
        except (OSError, ValueError) as error:
            raise AudioReadError(f"{shown(path)}: {getattr(error, 'strerror', None) or error}") from error
    return file if raw is None else raw.of(file)


def close_audio(audio: Any) -> None:
    """Close what `audio_of` has opened."""
    if isinstance(audio, PCM) and audio.data is not _standard_input():
        data: Any = audio.data
        with suppress(OSError):
            data.close()


def _standard_input() -> Any:
    """Without its buffer: a thread that waits in that for ever holds its lock, which the end of Python wants."""
    buffer = getattr(sys.stdin, "buffer", None)  # there is none where it is closed
    return getattr(buffer, "raw", buffer)
