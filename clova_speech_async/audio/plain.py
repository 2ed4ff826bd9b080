"""Plain samples, in a WAV file or without any header: read here, by no library. A compressed WAV is told apart."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from clova_speech_async.errors import InvalidArgumentError

from . import formats
from .decoded import LEAST_RATE, Decoded, block_frames, judged, nothing_in
from .formats import Kind
from .pcm import PCM, check_floats, check_width
from .samples import Block, block_of, sample_format
from .source import Source, open_source
from .wave import Header, read_header

__all__ = ["open_pcm", "open_wave"]

_AHEAD = 1 << 14
_logger = logging.getLogger("clova_speech_async")


def open_wave(source: Source, kind: Kind) -> Decoded | None:
    """Begin to decode the WAV or RF64 file that `source` goes on with; None where its samples are compressed.

    Raises `CorruptAudioError` and `UnsupportedFormatError` as `read_header` does.
    """
    tagged = source.at > 0

    def ahead(size: int) -> bytes:
        if len(source.peek(0)) < size:
            # More at once: thousands of small chunks must not be read one by one.
            source.peek(_AHEAD)
        return source.read(size)

    header = read_header(ahead, source.skip, source.name)
    if header.samples is None:
        return None
    honest = header.data_size is not None and header.riff_size is not None
    # Not every reader passes over a tag in front of a WAV.
    plain = kind.taken and header.integer and header.rate >= LEAST_RATE and honest and not tagged
    decoded = Decoded(header.rate, header.channels, iter(()), source, source.name, plain)
    decoded.flaws.announced = _announced(header)
    decoded.blocks = judged(decoded, _wave_blocks(source, header, decoded), sure=True)
    return decoded


def _wave_blocks(source: Source, header: Header, decoded: Decoded) -> Iterator[Block]:
    form = header.samples
    assert form is not None  # what is compressed is not read here
    frame = form.width * header.channels
    most = block_frames(header.rate, header.channels) * frame
    left = header.data_size
    while left is None or left >= frame:
        want = most if left is None else min(most, left - left % frame)
        data = source.read(want)
        whole = len(data) - len(data) % frame
        if whole:
            yield form.decode(memoryview(data)[:whole], header.channels)
        if len(data) < want:
            # Cut off, or of a length that was never known: what is there is right, the header is not.
            decoded.passable = False
            return
        if left is not None:
            left -= want


def _announced(header: Header) -> float | None:
    """Seconds by the header; None where it tells nothing."""
    size = header.announced_size
    if size is None or header.samples is None:
        return None
    return size / (header.samples.width * header.channels * header.rate)


def open_pcm(pcm: PCM) -> Decoded:
    """Begin to decode raw samples; `InvalidArgumentError` where they are no samples of the kind that is told."""
    rate, channels = int(pcm.sample_rate), int(pcm.channels)
    if isinstance(pcm.data, np.ndarray):
        return Decoded(rate, channels, _array_blocks(pcm.data, rate), None, "the array", passable=False)
    form = sample_format(pcm.sample_format)
    source = open_source(pcm.data)
    try:
        _check_pcm(source)
    except BaseException:
        source.close()
        raise
    source.forget()
    header = Header(rate, channels, form, data_size=None, integer=False, riff_size=None)
    decoded = Decoded(rate, channels, iter(()), source, source.name, passable=False)
    blocks = _wave_blocks(source, header, decoded)
    decoded.blocks = _checked(blocks, source.name, rate) if form.is_float else blocks
    return decoded


def _check_pcm(source: Source) -> None:
    """Refuse what stands at its end, and a file with a header: all of it would be heard as noise."""
    head = source.peek(12)
    if not head and source.start:
        raise nothing_in(source)
    kind = formats.sniff(head[:12])
    if kind is not None and kind.name in ("WAV", "FLAC", "OGG", "AIFF"):
        raise InvalidArgumentError(
            f"PCM(data): {source.name} is a whole {kind.name} file, not samples: give it as it is, without PCM",
            argument="PCM(data)",
            remedy="give it as it is, without PCM",
        )


def _checked(blocks: Iterator[Block], name: str, rate: int) -> Iterator[Block]:
    at = 0
    for block in blocks:
        check_floats(block, name, at, rate)
        at += len(block)
        yield block


def _array_blocks(data: npt.NDArray[Any], rate: int) -> Iterator[Block]:
    told = check_width(data, "the array", rate)
    if told is not None:
        _logger.warning("%s", told)
    frames = block_frames(rate, 1 if data.ndim == 1 else data.shape[1])
    for at in range(0, len(data), frames):
        part = data[at : at + frames]
        if data.dtype.kind == "f":
            check_floats(part, "the array", at, rate)
        yield block_of(part.reshape(len(part), -1))
