"""libsndfile, told never to seek: a file is opened and read block by block, and its errors become ours.

soundfile asks for the position after every read where a file can be sought in; in MP3 that makes the decoder inside
print to standard error. So it is told that no file can be sought in.
"""

from __future__ import annotations

import numpy as np
import soundfile

from clova_speech_async.errors import CorruptAudioError, UnsupportedFormatError

from .formats import Kind
from .forward import Forward
from .hush import hushed
from .pcm import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from .samples import Block
from .view import View, raise_kept

__all__ = ["Straight", "open_straight", "read_block", "reason_of", "silence"]

_SIXTEEN = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "VOX_ADPCM", "ALAC_16"}
"""Subtypes of no more than 16 bits, which are read as int16; the others as float32."""
_NOT_READ = ("unsupported", "unimplemented", "unknown format", "unknown encoding")
"""In libsndfile's words for what it does not read; its "unknown error in flac decoder" is damage."""
_LOUD = ("MP3", "CAF")
"""Formats the decoders of which print what is wrong with a file."""


class Straight(soundfile.SoundFile):  # type: ignore[misc]
    """A file open in libsndfile that is only read on and on."""

    def seekable(self) -> bool:
        return False


def open_straight(view: View | Forward, kind: Kind, what: str, *, whole: bool = True) -> Straight:
    """Open what `view` shows.

    `what`: the name and format of the file, for messages. `whole`: its header is there, so that libsndfile's word for
    an unknown kind is to be believed; without it, every refusal is damage. Raises `UnsupportedFormatError` for a kind
    that libsndfile does not read, `CorruptAudioError` for damage, and what `view` has kept.
    """
    try:
        with hushed(kind.name in _LOUD):
            file = Straight(view)
    except soundfile.LibsndfileError as error:
        raise_kept(view)
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
    """What libsndfile says of an error, without its prefix and its full stop."""
    reason: str = error.error_string.rstrip(".").removeprefix("Error : ")
    return "it is damaged or cut off" if reason == "Unspecified internal error" else reason


def silence(file: Straight, frames: int) -> Block:
    """A block of zeros, shape (frames, channels), of the type that `read_block` gives of `file`."""
    return np.zeros((frames, int(file.channels)), np.int16 if file.subtype in _SIXTEEN else np.float32)


def read_block(
    file: Straight, view: View | Forward, frames: int, kind: Kind
) -> tuple[Block, soundfile.LibsndfileError | None]:
    """The next `frames` frames, fewer at the end: a block of shape (frames, channels), int16 or float32.

    And the error that ended it, or None; the block then holds what was decoded before. Raises what `view` has kept.
    """
    dtype = np.int16 if file.subtype in _SIXTEEN else np.float32
    block: Block = np.zeros((frames, int(file.channels)), dtype)
    try:
        with hushed(kind.name in _LOUD):
            block, error = file.read(out=block), None
    except soundfile.LibsndfileError as damage:
        # How many samples came before it is not told; what is still zero is silence in any case.
        # Its traceback would hold the file for longer than it is needed.
        block, error = block[: _used(block)], damage.with_traceback(None)
    # Its own cause tells more than what the decoder made of it.
    raise_kept(view)
    return block, error


def _used(block: Block) -> int:
    """Rows up to the last one that is not all zero."""
    with np.errstate(invalid="ignore"):
        (rows,) = np.nonzero(block.any(axis=1))
    return int(rows[-1]) + 1 if len(rows) else 0
