"""Blocks of PCM from whatever is given, in one sequential pass. The only file that knows all readers.

The law: the samples that come out are counted, never the header believed. Every block is about a second, so that
memory stays flat and no call holds the interpreter for long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clova_speech_async.errors import EmptyAudioError, UnsupportedFormatError

from . import formats, libav, sndfile
from .formats import Kind
from .lengths import claimed_seconds
from .options import LONGEST_REQUEST
from .pcm import PCM, block_of, sample_format
from .source import Source, open_source
from .wave import Header, read_header

__all__ = ["Decoded", "open_audio"]

Block = npt.NDArray[Any]
_LEAST_RATE = 16_000
"""Hz that the service's sibling asks for; what has fewer is not passed on, but re-encoded at this rate."""


@dataclass
class Decoded:
    """Sound that is being decoded."""

    rate: int
    """Hz; 0 where nothing here can decode it."""
    channels: int
    blocks: Iterator[Block]
    """Shape (frames, channels), int16 or float32 of full scale 1; can be walked once."""
    source: Source | None
    """Where the bytes come from; None for an array."""
    name: str
    passable: bool
    """The bytes themselves may go to the service, where they are few and short enough. Final when all is decoded."""
    claimed: float | None = None
    """Seconds by its own account, of a file that cannot be decoded here, but that the service takes; else None."""


def open_audio(audio: Any, *, av: bool | None = None) -> Decoded:
    """Find out what `audio` is and begin to decode it. Whoever calls this closes `source`.

    `av`: whether PyAV may be used; None: where it is installed.
    """
    if isinstance(audio, PCM):
        return _open_pcm(audio)
    source = open_source(audio)
    try:
        return _open_source(source, av=av)
    except BaseException:
        source.close()
        raise


def _open_source(source: Source, *, av: bool | None) -> Decoded:
    head = source.peek(formats.HEAD)
    if not head:
        raise EmptyAudioError(f"{source.name} is empty: it has no bytes")
    skip = 0
    while tag := formats.id3_size(head[skip:]):
        skip += tag
        head = source.peek(skip + formats.HEAD)
    kind = formats.sniff(head[skip : skip + formats.HEAD])
    if kind is None:
        raise UnsupportedFormatError(f"{source.name} is not audio of a known format: it begins with {head[:16]!r}")
    if kind.reader == "wave":
        return _open_wave(source, kind)
    if kind.reader == "av":
        if av is False or not libav.installed():
            return _undecodable(source, kind)
        rate, channels, blocks = libav.open_blocks(source, kind)
        return Decoded(rate, channels, blocks, source, source.name, kind.taken and rate >= _LEAST_RATE)
    opened = sndfile.open_sound(source, skip, kind)
    decoded = Decoded(opened.rate, opened.channels, opened.blocks, source, source.name, False)
    decoded.passable = kind.taken and opened.rate >= _LEAST_RATE
    decoded.blocks = _held_against(decoded, opened)
    return decoded


def _undecodable(source: Source, kind: Kind) -> Decoded:
    """Without PyAV: passed on where the service takes the format, and the file says that it is short enough."""
    remedy = "pip install 'clova-speech-async[av]'"
    if not kind.taken:
        raise UnsupportedFormatError(f"{source.name} is {kind.name}, which needs an extra: {remedy}")
    data = source.original()
    seconds = None if data is None else claimed_seconds(data, kind.name)
    if seconds is None or seconds > LONGEST_REQUEST:
        how = "tells no length" if seconds is None else f"is {seconds:.0f} seconds long"
        raise UnsupportedFormatError(
            f"{source.name} is {kind.name} and {how}; only up to {LONGEST_REQUEST:.0f} seconds of it can be passed on "
            f"as they are. To decode it needs an extra: {remedy}"
        )
    return Decoded(0, 1, iter(()), source, source.name, passable=True, claimed=seconds)


def _held_against(decoded: Decoded, opened: sndfile.Opened) -> Iterator[Block]:
    """The blocks; a file that is not as long as its header says is not one to be passed on."""
    yield from opened.blocks
    decoded.passable = decoded.passable and opened.honest


def _open_wave(source: Source, kind: Kind) -> Decoded:
    """Plain samples are read here; a compressed kind of WAV is left to libsndfile, from the beginning."""
    held = source.peek(1 << 16)
    at = 0

    def ahead(size: int) -> bytes:
        nonlocal at, held
        if len(held) < at + size:
            held = source.peek(at + size)
        part = held[at : at + size]
        at += len(part)
        return part

    header = read_header(ahead, source.name)
    if header.samples is None:
        opened = sndfile.open_sound(source, 0, kind)
        return Decoded(opened.rate, opened.channels, opened.blocks, source, source.name, passable=False)
    source.read(header.offset)
    honest = header.data_size is not None and header.riff_size not in (0, 0xFFFFFFFF)
    plain = kind.taken and header.integer and header.rate >= _LEAST_RATE and honest
    decoded = Decoded(header.rate, header.channels, iter(()), source, source.name, plain)
    decoded.blocks = _wave_blocks(source, header, decoded)
    return decoded


def _wave_blocks(source: Source, header: Header, decoded: Decoded) -> Iterator[Block]:
    form = header.samples
    if form is None:
        return
    frame = form.width * header.channels
    left = header.data_size
    while left is None or left >= frame:
        want = header.rate * frame if left is None else min(header.rate * frame, left - left % frame)
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


def _open_pcm(pcm: PCM) -> Decoded:
    rate, channels = int(pcm.sample_rate), int(pcm.channels)
    if isinstance(pcm.data, np.ndarray):
        return Decoded(rate, channels, _array_blocks(pcm.data, rate), None, "the array", passable=False)
    form = sample_format(pcm.sample_format)
    source = open_source(pcm.data)
    source.forget()
    header = Header(rate, channels, form, None, 0, False, 0)
    decoded = Decoded(rate, channels, iter(()), source, source.name, passable=False)
    decoded.blocks = _wave_blocks(source, header, decoded)
    return decoded


def _array_blocks(data: npt.NDArray[Any], rate: int) -> Iterator[Block]:
    for at in range(0, len(data), rate):
        part = data[at : at + rate]
        yield block_of(part.reshape(len(part), -1))
