"""PyAV (FFmpeg) for what libsndfile cannot read: AAC, M4A, AC3, WebM, MP4 and other video."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clova_speech_async.errors import CorruptAudioError, UnsupportedFormatError

from .convert import with_channels
from .decoded import block_frames
from .ends import TAIL, Boxes, boxes_of, ends_within_frame
from .formats import Kind
from .lengths import FRAMES
from .source import Source
from .view import Pipe, View, raise_kept

__all__ = ["Opened", "installed", "open_sound"]


_STREAMED = ("AAC", "AC3", "WebM", "Matroska", "MPEG transport stream", "FLV")
"""What is made for being read from a pipe; the others may keep their table of contents at the end."""
_BOXES = ("M4A", "MP4")


def installed() -> bool:
    """Whether PyAV is there to be used."""
    return importlib.util.find_spec("av") is not None


def _lenient(version: str) -> dict[str, Any]:
    """What keeps a tag that is not UTF-8 from being an error: an argument until PyAV 18, its way from 19 on."""
    major = version.partition(".")[0]
    return {"metadata_errors": "ignore"} if major.isdigit() and int(major) < 19 else {}


@dataclass
class Opened:
    """A file that FFmpeg has opened; its first sound track."""

    rate: int
    channels: int
    blocks: Iterator[npt.NDArray[Any]]
    announced: float | None
    """Seconds by its tables."""
    boxes: Boxes
    cut_off: bool = False
    """It ends within a frame. Final when all is decoded."""
    changing: bool = False
    """Its sample rate or its channels change in the middle. Final when all is decoded."""


def _pyav(source: Source, kind: Kind) -> Any:
    try:
        import av
    except ImportError as error:
        raise UnsupportedFormatError(
            f"{source.name} is {kind.name}, for which PyAV is needed, and it is installed, but cannot be imported "
            f"({error}): pip install --force-reinstall av"
        ) from error
    av.logging.set_level(None)
    return av


def open_sound(source: Source, kind: Kind) -> Opened:
    """Open the first sound track of what `source` goes on with; the blocks are about a second each.

    Raises `CorruptAudioError`, and `UnsupportedFormatError` where there is no sound track that FFmpeg knows.
    """
    pyav = _pyav(source, kind)
    pipe = kind.name in _STREAMED and not source.seekable
    # Behind a tag: FFmpeg would hold its pictures, and count the places in the tables of an M4A from before it.
    view: View | Pipe = Pipe(source, TAIL) if pipe else source.view(source.at)
    boxes = boxes_of(view.at, view.size) if isinstance(view, View) and kind.name in _BOXES else Boxes(cut=False)
    try:
        container = pyav.open(view, mode="r", **_lenient(pyav.__version__))
    except (pyav.FFmpegError, ValueError, OSError) as error:
        raise_kept(view)
        reason = "it was cut off before its tables, get it anew" if boxes.cut else _reason(error)
        raise CorruptAudioError(f"{source.name}: {kind.name} that cannot be decoded: {reason}") from error
    if view.error is not None:
        container.close()
        raise_kept(view)
    if not container.streams.audio:
        container.close()
        raise UnsupportedFormatError(f"{source.name} is {kind.name} without a sound track")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        container.close()
        raise UnsupportedFormatError(f"{source.name}: {kind.name} whose sound track is of a kind unknown to FFmpeg")
    rate, channels = stream.rate, stream.channels
    if not rate or not channels:
        container.close()
        raise CorruptAudioError(f"{source.name}: {kind.name} whose sound track tells no sample rate")
    if stream.codec_context.name.startswith("pcm_"):
        # An order of channels of the file's own, as MOV may tell one, is freed twice by PyAV, which ends the process.
        stream.codec_context.layout = f"{channels}c"
    opened = Opened(rate, channels, iter(()), _announced(container, stream, kind), boxes)
    even = _Even(rate)
    blocks = _blocks(container, stream, even, channels, view, f"{source.name}: {kind.name}")
    opened.blocks = _looked_at(blocks, opened, even, view, kind)
    return opened


def _looked_at(
    blocks: Iterator[npt.NDArray[Any]], opened: Opened, even: _Even, view: View | Pipe, kind: Kind
) -> Iterator[npt.NDArray[Any]]:
    """The blocks, and then a look at the last frame, which FFmpeg leaves out where it is not whole."""
    yield from blocks
    opened.changing = even.kinds > 1
    if kind.name in FRAMES:
        tail = view.tail(TAIL) if isinstance(view, View) else bytes(view.tail)
        raise_kept(view)
        opened.cut_off = ends_within_frame(tail, len(tail) == view.size, kind.name)


def _announced(container: Any, stream: Any, kind: Kind) -> float | None:
    """Seconds by the tables of the file; of other formats FFmpeg tells only a guess from the bit rate."""
    if kind.name in _BOXES and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if kind.name in ("WebM", "Matroska") and container.duration and len(container.streams) == 1:
        return float(container.duration / 1_000_000)
    return None


def _blocks(
    container: Any, stream: Any, even: _Even, channels: int, view: View | Pipe, what: str
) -> Iterator[npt.NDArray[Any]]:
    import av as pyav

    # The decoder of AC3 has numbers of its own for what it does not understand.
    damage = (pyav.InvalidDataError, pyav.UndefinedError)
    parts: list[npt.NDArray[Any]] = []
    have, most = 0, block_frames(even.rate, channels)
    with container:
        try:
            for packet in _packets(container, stream, view):
                for samples in _decode(packet, even, damage):
                    parts.append(with_channels(samples, channels))
                    have += len(samples)
                if have >= most:
                    yield np.concatenate(parts)
                    parts, have = [], 0
            parts += [with_channels(samples, channels) for samples in even.finish()]
        except (pyav.FFmpegError, ValueError, OSError, IndexError) as error:
            # The IndexError is PyAV's, where damage makes a new track appear.
            raise_kept(view)
            raise CorruptAudioError(f"{what} that cannot be decoded: {_reason(error)}") from error
    raise_kept(view)
    if parts:
        yield np.concatenate(parts)


def _packets(container: Any, stream: Any, view: View | Pipe) -> Iterator[Any]:
    """The packets of a track. A few bytes behind the last frame of AAC are an error to FFmpeg; they are none here."""
    import av as pyav

    heard = False
    try:
        for packet in container.demux(stream):
            yield packet
            heard = True
    except pyav.FFmpegError:
        if not (heard and container.format.name == "aac" and view.at_end and view.error is None):
            raise


def _decode(packet: Any, even: _Even, damage: tuple[type[Exception], ...]) -> Iterator[npt.NDArray[Any]]:
    """The samples of one packet, shape (frames, channels); a damaged packet is left out, as players do."""
    try:
        frames = packet.decode()
    except damage:
        return
    for frame in frames:
        yield from even.take(frame)


class _Even:
    """Makes floats at one rate of what a decoder gives; a broadcast may change rate and channels in the middle."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.kinds = 0
        """How many kinds of frames came one behind the other."""
        self._kind: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def take(self, frame: Any) -> Iterator[npt.NDArray[Any]]:
        """The samples of a frame, shape (frames, channels), with as many channels as it has."""
        import av as pyav

        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.finish()
            self._kind, self._resampler = kind, pyav.AudioResampler(format="flt", rate=self.rate)
            self.kinds += 1
        yield from self._samples(frame)

    def finish(self) -> Iterator[npt.NDArray[Any]]:
        """What is still held of the last frames."""
        if self._resampler is not None:
            yield from self._samples(None)

    def _samples(self, frame: Any) -> Iterator[npt.NDArray[Any]]:
        for same in self._resampler.resample(frame):
            if same is not None:
                yield same.to_ndarray().reshape(-1, len(same.layout.channels))


def _reason(error: Exception) -> str:
    """What FFmpeg says, without its number and the name "<none>" that it has for what is read from memory."""
    return getattr(error, "strerror", None) or str(error)
