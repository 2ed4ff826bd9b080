"""Blocks of PCM from whatever is given, in one sequential pass. The only file that knows all readers.

The law: the samples that come out are counted, never the header believed. Every block is about a second, so that
memory stays flat and no call holds the interpreter for long.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from clova_speech_async.errors import (
    AudioError,
    CorruptAudioError,
    EmptyAudioError,
    InvalidArgumentError,
    UnsupportedFormatError,
)

from . import formats, libav, sndfile
from .formats import Kind
from .lengths import claimed_seconds
from .options import LONGEST_REQUEST, Flaws
from .pcm import PCM, block_of, check_floats, check_width, sample_format
from .source import Source, open_source
from .wave import Header, read_header

__all__ = ["Decoded", "open_audio"]

Block = npt.NDArray[Any]
_logger = logging.getLogger("clova_speech_async")
_LEAST_RATE = 16_000
"""Hz that the service's sibling asks for; what has fewer is not passed on, but re-encoded at this rate."""
_MOST_TAGS = 100
"""One behind the other; no writer gives more than a few."""
_LEAST_MISSING = 0.05
"""Seconds less than announced that are worth a word: more than a rounding or a frame."""
_LEAST_OF_TABLES = 0.3
"""The same, where tables and marks of time may count what an encoder added."""


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
    flaws: Flaws = field(default_factory=Flaws)
    """What is wrong with it all the same. Final when all is decoded."""


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
        raise _nothing(source)
    skip = 0
    for _ in range(_MOST_TAGS):
        tag = formats.id3_size(head[skip:])
        if not tag:
            break
        skip += tag
        head = source.peek(skip + formats.HEAD)
    kind = formats.sniff(head[skip : skip + formats.HEAD])
    if kind is None:
        raise _unknown(source, head, skip)
    if kind.reader == "wave":
        return _open_wave(source, skip, kind)
    if kind.reader == "av":
        if av is False or not libav.installed():
            return _undecodable(source, kind)
        return _open_av(source, kind)
    return _open_sound(source, skip, kind, passable=kind.taken)


def _open_av(source: Source, kind: Kind) -> Decoded:
    track = libav.open_sound(source, kind)
    decoded = Decoded(track.rate, track.channels, iter(()), source, source.name, kind.taken)
    decoded.passable = kind.taken and track.rate >= _LEAST_RATE
    decoded.flaws.announced = track.announced
    decoded.blocks = _judged(decoded, _looked_at(decoded, track), least=_LEAST_OF_TABLES, sure=track.boxes.cut)
    return decoded


def _open_sound(source: Source, skip: int, kind: Kind, *, passable: bool) -> Decoded:
    opened = sndfile.open_sound(source, skip, kind)
    decoded = Decoded(opened.rate, opened.channels, iter(()), source, source.name, passable)
    decoded.passable = passable and opened.rate >= _LEAST_RATE
    coarse, sure = kind in (formats.OGG, formats.MP3), opened.account is not None
    least = _LEAST_OF_TABLES if coarse else _LEAST_MISSING
    # Whoever copies a part of a FLAC leaves the length in its header as it was; a cut would hardly miss all its frames.
    alone = kind is not formats.FLAC
    decoded.blocks = _judged(decoded, _held_against(decoded, opened), least=least, sure=sure, alone=alone)
    return decoded


def _nothing(source: Source) -> EmptyAudioError:
    if source.start:
        return EmptyAudioError(f"{source.name} stands at its end, at byte {source.start}: seek(0) before it is given")
    return EmptyAudioError(f"{source.name} is empty: it has no bytes")


def _unknown(source: Source, head: bytes, skip: int) -> AudioError:
    """What begins as a format does, and ends before it is one, is damaged; the rest is no audio."""
    cut_off = formats.beginning_of(head[skip:])
    if skip and not head[skip:]:
        return CorruptAudioError(f"{source.name} ends within, or right behind, its ID3 tag: it was cut off")
    if cut_off is not None:
        return CorruptAudioError(f"{source.name}: the {cut_off} file ends within its header: it was cut off")
    where = f"at byte {source.start}, where it stands (seek(0) goes back), " if source.start else ""
    return UnsupportedFormatError(
        f"{source.name} is not audio of a known format: {where}it begins with {head[skip : skip + 16]!r}; "
        f"{formats.foreign(head[skip:])}"
    )


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
    decoded.flaws.broken_off, decoded.flaws.holes = opened.cut_off, opened.holes
    decoded.flaws.announced, decoded.flaws.truncated = opened.announced, opened.unended


def _looked_at(decoded: Decoded, track: libav.Opened) -> Iterator[Block]:
    """The blocks, and then a look at how they end."""
    yield from track.blocks
    flaws = decoded.flaws
    flaws.broken_off = track.cut_off
    # What FFmpeg takes for the announced length of fragments is that of those that it has seen.
    flaws.short = track.boxes.cut and track.boxes.fragments


def _judged(
    decoded: Decoded, blocks: Iterator[Block], *, least: float = _LEAST_MISSING, sure: bool, alone: bool = True
) -> Iterator[Block]:
    """The blocks, and then a judgement of what they are all together.

    `least`: seconds missing that count. `sure`: what is missing was once there. `alone`: what was announced says enough
    alone, without a frame that is not whole.
    """
    frames = 0
    for block in blocks:
        frames += len(block)
        yield block
    if frames:
        _judge(decoded, frames, least, sure=sure, alone=alone)


def _judge(decoded: Decoded, frames: int, least: float, *, sure: bool, alone: bool) -> None:
    """Hold what was decoded against what was announced, and tell in the log what is missing."""
    flaws, seconds = decoded.flaws, frames / decoded.rate
    less = flaws.announced is not None and flaws.announced - seconds > least and (alone or flaws.broken_off)
    flaws.short = flaws.short or (less and sure)
    flaws.truncated = flaws.truncated or less or flaws.lacks_end
    if less:
        _logger.warning(
            "%s has %.2f of the %.2f seconds that its header announces: cut off? What is there is transcribed",
            decoded.name,
            seconds,
            flaws.announced,
        )
    elif flaws.truncated:
        _logger.warning(
            "%s breaks off after %.2f seconds: cut off? What is there is transcribed", decoded.name, seconds
        )
    if flaws.holes:
        _logger.warning(
            "%s is damaged: about %.2f seconds are lost in %d places, the first at %.1f s; they are taken as silence",
            decoded.name,
            flaws.lost_seconds,
            len(flaws.holes),
            flaws.holes[0].at,
        )


def _open_wave(source: Source, skip: int, kind: Kind) -> Decoded:
    """Plain samples are read here; a compressed kind of WAV is left to libsndfile, from the beginning."""
    held = source.peek(skip + (1 << 16))
    at = skip

    def ahead(size: int) -> bytes:
        nonlocal at, held
        if len(held) < at + size:
            # As much again: thousands of small chunks must not be read one by one.
            held = source.peek(2 * (at + size))
        part = held[at : at + size]
        at += len(part)
        return part

    header = read_header(ahead, source.name)
    if header.samples is None:
        return _open_sound(source, skip, kind, passable=False)
    source.read(skip + header.offset)
    honest = header.data_size is not None and header.riff_size is not None
    # Not every reader passes over a tag in front of a WAV.
    plain = kind.taken and header.integer and header.rate >= _LEAST_RATE and honest and not skip
    decoded = Decoded(header.rate, header.channels, iter(()), source, source.name, plain)
    decoded.flaws.announced = _announced(header)
    decoded.blocks = _judged(decoded, _wave_blocks(source, header, decoded), sure=True)
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


def _announced(header: Header) -> float | None:
    """Seconds by the header; None where it tells nothing."""
    size = header.announced_size
    if size is None or header.samples is None:
        return None
    return size / (header.samples.width * header.channels * header.rate)


def _open_pcm(pcm: PCM) -> Decoded:
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
    header = Header(rate, channels, form, None, 0, False, None)
    decoded = Decoded(rate, channels, iter(()), source, source.name, passable=False)
    blocks = _wave_blocks(source, header, decoded)
    decoded.blocks = _checked(blocks, source.name, rate) if form.is_float else blocks
    return decoded


def _check_pcm(source: Source) -> None:
    """Refuse what stands at its end, and a file with a header: all of it would be heard as noise."""
    head = source.peek(12)
    if not head and source.start:
        raise _nothing(source)
    kind = formats.sniff(head[:12])
    if kind is not None and kind.name in ("WAV", "FLAC", "OGG", "AIFF"):
        raise InvalidArgumentError(
            f"PCM(data): {source.name} is a whole {kind.name} file, not samples: give it as it is, without PCM"
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
    for at in range(0, len(data), rate):
        part = data[at : at + rate]
        if data.dtype.kind == "f":
            check_floats(part, "the array", at, rate)
        yield block_of(part.reshape(len(part), -1))
