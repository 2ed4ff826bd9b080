"""libsndfile, kept to what it does well: reading straight through.

The law: never seek. soundfile asks for the position after every read where a file can be sought in; in MP3 that makes
the decoder inside print to standard error. So it is told that no file can be sought in. Foreign errors end here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import soundfile

from ..errors import CorruptAudioError, UnsupportedFormatError
from .formats import Kind
from .pcm import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .source import View

__all__ = ["open_blocks"]

_SIXTEEN = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "ALAC_16"}


class _Straight(soundfile.SoundFile):  # type: ignore[misc]
    def seekable(self) -> bool:
        return False


def open_blocks(view: View, kind: Kind, name: str) -> tuple[int, int, Iterator[npt.NDArray[Any]]]:
    """Sample rate, channels and blocks of about a second of the file in `view`."""
    try:
        file = _Straight(view)
    except soundfile.LibsndfileError as error:
        if view.error is not None:
            raise view.error from error
        reason = error.error_string.rstrip(".")
        if "unsupported" in reason.lower() or "unimplemented" in reason.lower() or "unknown" in reason.lower():
            raise UnsupportedFormatError(f"{name}: {kind.name} of a kind that cannot be read here: {reason}") from error
        raise CorruptAudioError(f"{name}: {kind.name} that cannot be decoded: {reason}") from error
    rate, channels = int(file.samplerate), int(file.channels)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        file.close()
        raise CorruptAudioError(f"{name}: its {kind.name} header claims {channels} channels at {rate} Hz")
    return rate, channels, _blocks(file, view, kind, name)


def _blocks(file: _Straight, view: View, kind: Kind, name: str) -> Iterator[npt.NDArray[Any]]:
    dtype = "int16" if file.subtype in _SIXTEEN else "float32"
    with file:
        while True:
            try:
                block = file.read(file.samplerate, dtype=dtype, always_2d=True)
            except soundfile.LibsndfileError as error:
                if view.error is not None:
                    raise view.error from error
                raise CorruptAudioError(
                    f"{name}: {kind.name} that cannot be decoded: {error.error_string.rstrip('.')}"
                ) from error
            if view.error is not None:
                raise view.error
            if not len(block):
                return
            yield block
