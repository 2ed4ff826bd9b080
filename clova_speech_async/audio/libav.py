"""PyAV (FFmpeg) for what libsndfile cannot read: AAC, M4A, AC3, WebM, MP4 and other video."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CorruptAudioError, UnsupportedFormatError
from .formats import Kind
from .pcm import block_of
from .source import Source

__all__ = ["installed", "open_blocks"]


def installed() -> bool:
    """Whether PyAV is there to be used."""
    return importlib.util.find_spec("av") is not None


def open_blocks(source: Source, kind: Kind, *, av: bool | None) -> tuple[int, int, Iterator[npt.NDArray[Any]]]:
    """Sample rate, channels and blocks of the first sound track."""
    if av is False or not installed():
        raise UnsupportedFormatError(
            f"{source.name} is {kind.name}, which needs an extra: pip install 'clova-speech-async[av]'"
        )
    import av as pyav  # noqa: PLC0415  (an extra: it may be missing)

    pyav.logging.set_level(None)
    view = source.view(0)
    try:
        container = pyav.open(view, mode="r", metadata_errors="ignore")
    except (pyav.FFmpegError, ValueError, OSError) as error:
        if view.error is not None:
            raise view.error from error
        raise CorruptAudioError(f"{source.name}: {kind.name} that cannot be decoded: {error}") from error
    if not container.streams.audio:
        container.close()
        raise UnsupportedFormatError(f"{source.name} is {kind.name} without a sound track")
    stream = container.streams.audio[0]
    rate, channels = stream.rate, stream.channels
    if not rate or not channels:
        container.close()
        raise CorruptAudioError(f"{source.name}: {kind.name} whose sound track tells no sample rate")
    return rate, channels, _blocks(container, stream, rate, channels, kind, source.name)


def _blocks(
    container: Any, stream: Any, rate: int, channels: int, kind: Kind, name: str
) -> Iterator[npt.NDArray[Any]]:
    import av as pyav  # noqa: PLC0415

    resampler = pyav.AudioResampler(format="s16" if stream.format.name.startswith("s16") else "flt", rate=rate)
    parts: list[npt.NDArray[Any]] = []
    have = 0
    with container:
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except pyav.InvalidDataError:
                    continue
                for frame in frames:
                    for even in resampler.resample(frame):
                        samples = even.to_ndarray().reshape(-1, len(even.layout.channels))
                        if samples.shape[1] != channels:
                            samples = np.repeat(samples.mean(axis=1, keepdims=True), channels, axis=1).astype(samples.dtype)
                        parts.append(block_of(samples))
                        have += len(samples)
                if have >= rate:
                    yield np.concatenate(parts)
                    parts, have = [], 0
        except (pyav.FFmpegError, ValueError, OSError) as error:
            raise CorruptAudioError(f"{name}: {kind.name} that cannot be decoded: {error}") from error
    if parts:
        yield np.concatenate(parts)
