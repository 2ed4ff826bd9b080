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

from ..errors import EmptyAudioError, UnsupportedFormatError
from . import formats, libav, sndfile
from .formats import Kind
from .pcm import PCM, block_of, sample_format
from .source import Source, open_source
from .wave import Header, read_header

__all__ = ["Decoded", "open_audio"]

Block = npt.NDArray[Any]


@dataclass(frozen=True)
class Decoded:
    """Sound that is being decoded."""

    rate: int
    channels: int
    blocks: Iterator[Block]
    """Shape (frames, channels), int16 or float32 of full scale 1; can be walked once."""
    source: Source | None
    """Where the bytes come from; None for an array."""
    name: str
    passable: bool
    """The bytes themselves may go to the service, where they are few and short enough."""


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
        rate, channels, blocks = libav.open_blocks(source, kind, av=av)
        return Decoded(rate, channels, blocks, source, source.name, kind.taken)
    rate, channels, blocks = sndfile.open_blocks(source.view(skip), kind, source.name)
    return Decoded(rate, channels, blocks, source, source.name, kind.taken and rate >= 16_000)


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
        rate, channels, blocks = sndfile.open_blocks(source.view(0), kind, source.name)
        return Decoded(rate, channels, blocks, source, source.name, passable=False)
    source.read(header.offset)
    plain = kind.taken and header.integer and header.rate >= 16_000 and header.data_size is not None
    return Decoded(header.rate, header.channels, _wave_blocks(source, header), source, source.name, plain)


def _wave_blocks(source: Source, header: Header) -> Iterator[Block]:
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
    return Decoded(rate, channels, _wave_blocks(source, header), source, source.name, passable=False)


def _array_blocks(data: npt.NDArray[Any], rate: int) -> Iterator[Block]:
    for at in range(0, len(data), rate):
        part = data[at : at + rate]
        yield block_of(part.reshape(len(part), -1))
