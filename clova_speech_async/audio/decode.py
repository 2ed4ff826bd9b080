"""Blocks of PCM from whatever is given, in one sequential pass. The only file that knows all readers.

The law: every block is about a second, and no tag is held in memory, so that memory stays flat whatever a header
claims, and no call holds the interpreter for long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clova_speech_async.errors import AudioError, CorruptAudioError, UnsupportedFormatError

from . import formats, libav, sndfile
from .decoded import LEAST_MISSING, LEAST_RATE, Decoded, judged, nothing_in
from .ends import TAIL, boxes_of, ends_within_frame
from .formats import Kind
from .lengths import claimed_seconds
from .options import LONGEST_REQUEST, MOST_BYTES
from .pcm import PCM
from .plain import open_pcm, open_wave
from .samples import Block
from .source import Source, open_source

__all__ = ["open_audio"]

_MOST_TAGS = 100
"""One behind the other; no writer gives more than a few."""
_LEAST_OF_TABLES = 0.3
"""Seconds less than announced that are worth a word where tables and marks of time may count what an encoder added."""


def open_audio(audio: Any, *, av: bool | None = None) -> Decoded:
    """Find out what `audio` is and begin to decode it. Whoever calls this closes `source`.

    `av`: whether PyAV may be used; None: where it is installed.
    """
    if isinstance(audio, PCM):
        return open_pcm(audio)
    source = open_source(audio)
    try:
        return _open_source(source, av=av)
    except BaseException:
        source.close()
        raise


def _open_source(source: Source, *, av: bool | None) -> Decoded:
    head = source.peek(formats.HEAD)
    if not head:
        raise nothing_in(source)
    for _ in range(_MOST_TAGS):
        tag = formats.id3_size(head)
        if not tag:
            break
        source.skip(tag)
        head = source.peek(formats.HEAD)
    head = head[: formats.HEAD]
    kind = formats.sniff(head)
    if kind is None:
        raise _unknown(source, head)
    if kind.reader == "wave":
        start = source.at
        return open_wave(source, kind) or _open_sound(source, start, kind, passable=False)
    if kind.reader == "av":
        if av is False or not libav.installed():
            return _undecodable(source, kind)
        return _open_av(source, kind)
    return _open_sound(source, source.at, kind, passable=kind.taken)


def _open_av(source: Source, kind: Kind) -> Decoded:
    tagged = source.at > 0
    track = libav.open_sound(source, kind)
    # Tables of an M4A count from its own beginning, so that few readers find its sound behind a tag.
    passable = kind.taken and track.rate >= LEAST_RATE and not (tagged and kind is formats.M4A)
    decoded = Decoded(track.rate, track.channels, iter(()), source, source.name, passable)
    decoded.flaws.announced = track.announced
    decoded.blocks = judged(decoded, _looked_at(decoded, track), least=_LEAST_OF_TABLES, sure=track.boxes.cut)
    return decoded


def _open_sound(source: Source, start: int, kind: Kind, *, passable: bool) -> Decoded:
    opened = sndfile.open_sound(source, start, kind)
    passable = passable and opened.rate >= LEAST_RATE
    decoded = Decoded(opened.rate, opened.channels, iter(()), source, source.name, passable)
    coarse, sure = kind in (formats.OGG, formats.MP3), opened.account is not None
    least = _LEAST_OF_TABLES if coarse else LEAST_MISSING
    # Whoever copies a part of a FLAC leaves the length in its header as it was; a cut would hardly miss all its frames.
    alone = kind is not formats.FLAC
    decoded.blocks = judged(decoded, _held_against(decoded, opened), least=least, sure=sure, alone=alone)
    return decoded


def _unknown(source: Source, head: bytes) -> AudioError:
    """What begins as a format does, and ends before it is one, is damaged; the rest is no audio."""
    cut_off = formats.beginning_of(head)
    if source.at and not head:
        return CorruptAudioError(f"{source.name} ends within, or right behind, its ID3 tag: it was cut off")
    if cut_off is not None:
        return CorruptAudioError(f"{source.name}: the {cut_off} file ends within its header: it was cut off")
    where = f"at byte {source.start}, where it stands (seek(0) goes back), " if source.start else ""
    remedy = formats.foreign(head)
    return UnsupportedFormatError(
        f"{source.name} is not audio of a known format: {where}it begins with {head[:16]!r}; {remedy}",
        argument="sample_rate" if remedy == formats.AS_PCM else None,
        remedy=remedy,
    )


def _undecodable(source: Source, kind: Kind) -> Decoded:
    """Without PyAV: passed on where the service takes the format, and the file says that it is short enough."""
    remedy = "pip install 'clova-speech-async[av]'"
    if not kind.taken:
        raise UnsupportedFormatError(f"{source.name} is {kind.name}, which needs an extra: {remedy}")
    tag, data = source.at, source.original()
    if data is None:
        raise _too_much(source, kind, f"larger than {MOST_BYTES} bytes", remedy)
    cut_off, seconds = _account(data[tag:], kind)
    if cut_off and kind is formats.M4A:
        what = f"{source.name}: {kind.name} that was cut off"
        if seconds is None:
            raise CorruptAudioError(f"{what} before its tables, get it anew")
        raise CorruptAudioError(f"{what}: get it anew; to decode what there is of it needs an extra: {remedy}")
    if seconds is not None and seconds > LONGEST_REQUEST:
        raise _too_much(source, kind, f"{seconds:.0f} seconds long", remedy)
    if seconds is None or (tag and kind is formats.M4A):
        why = "a tag stands before it" if seconds is not None else _WHY_NO_LENGTH[kind.name]
        raise UnsupportedFormatError(
            f"{source.name} is {kind.name} that must be decoded before it can be sent, for {why}: that needs an extra: "
            f"{remedy}"
        )
    decoded = Decoded(0, 1, iter(()), source, source.name, passable=True, claimed=seconds)
    decoded.flaws.truncated = decoded.flaws.broken_off = cut_off
    return decoded


_WHY_NO_LENGTH = {
    "M4A": "it tells no length",
    "AAC": "its frames cannot be counted (damaged, or not AAC at all)",
    "AC3": "its frames cannot be counted (damaged, or E-AC-3)",
}


def _account(data: bytes, kind: Kind) -> tuple[bool, float | None]:
    """Whether a file that cannot be decoded here was cut off, and its seconds by its own account, or None."""
    seconds = claimed_seconds(data, kind.name)
    if kind is formats.M4A:
        return boxes_of(lambda at, size: data[at : at + size], len(data)).cut, seconds
    return seconds is not None and ends_within_frame(data[-TAIL:], len(data) <= TAIL, kind.name), seconds


def _too_much(source: Source, kind: Kind, how: str, remedy: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{source.name} is {kind.name} and {how}; only up to {LONGEST_REQUEST:.0f} seconds and {MOST_BYTES} bytes of "
        f"it can be passed on as they are. To decode it needs an extra: {remedy}"
    )


def _held_against(decoded: Decoded, opened: sndfile.Opened) -> Iterator[Block]:
    """The blocks; a file that is not as long as its header says is not one to be passed on."""
    yield from opened.blocks
    decoded.passable = decoded.passable and opened.honest
    decoded.flaws.broken_off, decoded.flaws.holes = opened.cut_off, opened.holes
    decoded.flaws.announced, decoded.flaws.truncated = opened.announced, opened.unended


def _looked_at(decoded: Decoded, track: libav.Opened) -> Iterator[Block]:
    """The blocks, and then a look at how they end."""
    yield from track.blocks
    decoded.passable = decoded.passable and not track.changing
    flaws = decoded.flaws
    flaws.broken_off = track.cut_off
    # What FFmpeg takes for the announced length of fragments is that of those that it has seen.
    flaws.short = track.boxes.cut and track.boxes.fragments
