"""libsndfile, kept from seeking: opening, and reading a block, with its errors in our words.

soundfile asks for the position after every read where a file can be sought in; in MP3 that makes the decoder inside
print to standard error. So it is told that no file can be sought in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from clova_speech_async.errors import CorruptAudioError, UnsupportedFormatError

from .formats import MP3, Kind
from .forward import Forward
from .hush import hushed
from .pcm import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .source import View

__all__ = ["Straight", "open_straight", "read_block", "reason_of", "silence"]

Block = npt.NDArray[Any]
_SIXTEEN = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "ALAC_16"}


_NOT_READ = ("unsupported", "unimplemented", "unknown format", "unknown encoding")
"""In libsndfile's words for what it does not read; its "unknown error in flac decoder" is damage."""


class Straight(soundfile.SoundFile):  # type: ignore[misc]
    def seekable(self) -> bool:
        return False


def open_straight(view: View | Forward, kind: Kind, what: str, *, whole: bool = True) -> Straight:
    """`whole`: its header may be a right one; else what libsndfile makes of it tells nothing."""
    try:
        with hushed(kind is MP3):
            file = Straight(view)
    except soundfile.LibsndfileError as error:
        if view.error is not None:
            raise view.error from error
        reason = reason_of(error)
        if whole and any(word in reason.lower() for word in _NOT_READ):
            raise UnsupportedFormatError(f"{what} of a kind that cannot be read here: {reason}") from error
        raise CorruptAudioError(f"{what} that cannot be decoded: {reason}") from error
    rate, channels = int(file.samplerate), int(file.channels)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        file.close()
        raise CorruptAudioError(f"{what} whose header claims {channels} channels at {rate} Hz")
    return file


def reason_of(error: soundfile.LibsndfileError) -> str:
    reason: str = error.error_string.rstrip(".").removeprefix("Error : ")
    return "it is damaged or cut off" if reason == "Unspecified internal error" else reason


def silence(file: Straight, frames: int) -> Block:
    """A block of nothing, of the kind that `file` gives."""
    return np.zeros((frames, int(file.channels)), np.int16 if file.subtype in _SIXTEEN else np.float32)


def read_block(
    file: Straight, view: View | Forward, frames: int, kind: Kind
) -> tuple[Block, soundfile.LibsndfileError | None]:
    """The next block, and the error that ended it, with what was decoded before it."""
    dtype = np.int16 if file.subtype in _SIXTEEN else np.float32
    block: Block = np.zeros((frames, int(file.channels)), dtype)
    try:
        with hushed(kind is MP3):
            block, error = file.read(out=block), None
    except soundfile.LibsndfileError as damage:
        # How many samples came before it is not told; what is still zero is silence in any case.
        block, error = block[: _used(block)], damage
    if view.error is not None:
        # Its own cause tells more than what the decoder made of it.
        raise view.error
    return block, error


def _used(block: Block) -> int:
    """Rows up to the last one that is not all zero."""
    with np.errstate(invalid="ignore"):
        (rows,) = np.nonzero(block.any(axis=1))
    return int(rows[-1]) + 1 if len(rows) else 0
