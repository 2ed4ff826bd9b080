"""Blocks of any rate and any number of channels become 16-bit samples at 16 kHz, one voice or one per channel.

The law: what is 16 kHz, mono and 16 bit is passed on bit for bit. All else goes through float32: not-a-number becomes
silence, what is over full scale is limited. soxr may differ in the last bits of a float32 from one kind of processor to
another (it uses the vector instructions there are); rounding to 16 bits hides that but for ties, which are rare, not
impossible.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from .samples import RATE

__all__ = ["Converter", "Samples", "alike", "with_channels"]

Samples = npt.NDArray[np.int16]
"""Of one voice, 16 kHz."""
_SLICE = 48_000
"""Frames that are worked on at once, so that float copies stay small and no call holds the interpreter for long."""


class Converter:
    """Converts block after block; `finish` gives what the resampler still held.

    `each`: one voice for every channel, else all are mixed into one.
    """

    def __init__(self, rate: int, channels: int, *, each: bool) -> None:
        self.voices = channels if each else 1
        self._channels = channels
        self._resampler: Any = None
        if rate != RATE:
            self._resampler = soxr.ResampleStream(rate, RATE, self.voices, dtype="float32", quality="HQ")
        self._identity = rate == RATE and self.voices == channels

    def convert(self, block: npt.NDArray[Any]) -> list[Samples]:
        """Samples per voice; the lists of all calls joined are the recording."""
        if self._identity and block.dtype == np.int16:
            return [np.ascontiguousarray(block[:, voice]) for voice in range(self.voices)]
        parts = [self._slice(block[at : at + _SLICE], last=False) for at in range(0, len(block), _SLICE)]
        return _join(parts, self.voices)

    def finish(self) -> list[Samples]:
        if self._resampler is None:
            return [np.zeros(0, np.int16)] * self.voices
        return self._slice(np.zeros((0, self._channels), np.float32), last=True)

    def _slice(self, block: npt.NDArray[Any], *, last: bool) -> list[Samples]:
        if block.dtype == np.int16:
            x = _floats(block)
        else:
            x = np.clip(np.nan_to_num(block, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(
                np.float32, copy=False
            )
        if self.voices != self._channels:
            # Column by column: the order of the sum is the same whatever numpy makes of an axis.
            mixed = x[:, 0].copy()
            for channel in range(1, self._channels):
                mixed += x[:, channel]
            x = (mixed / np.float32(self._channels)).reshape(-1, 1)
        if self._resampler is not None:
            x = self._resampler.resample_chunk(np.ascontiguousarray(x), last=last)
        x = np.rint(x * np.float32(32768))
        y = np.clip(x, -32768, 32767).astype(np.int16)
        return [np.ascontiguousarray(y[:, voice]) for voice in range(self.voices)]


def _join(parts: list[list[Samples]], voices: int) -> list[Samples]:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return [np.zeros(0, np.int16)] * voices
    return [np.concatenate([part[voice] for part in parts]) for voice in range(voices)]


def alike(blocks: Iterator[npt.NDArray[Any]], rate: int, wanted: int, channels: int) -> Iterator[npt.NDArray[Any]]:
    """Blocks at `rate` as those of a recording that began at `wanted` Hz, with so many channels."""
    resampler: Any = None
    for block in blocks:
        even = with_channels(block, channels)
        if rate == wanted:
            yield even
            continue
        if resampler is None:
            resampler = soxr.ResampleStream(rate, wanted, channels, dtype="float32", quality="HQ")
        yield resampler.resample_chunk(_floats(even))
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


def with_channels(block: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """The block with so many channels; where it has others, each of them is their mix."""
    if block.shape[1] == channels:
        return block
    mixed: npt.NDArray[Any] = _floats(block).mean(axis=1, keepdims=True, dtype=np.float32)
    return np.repeat(mixed, channels, axis=1)


def _floats(block: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if block.dtype == np.int16:
        floats: npt.NDArray[np.float32] = block.astype(np.float32)
        floats *= np.float32(1 / 32768)
        return floats
    return np.ascontiguousarray(block, np.float32)
