"""Raw samples as a caller gives them: what they may be, and what they cannot be. No file format is known here."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

from .names import described
from .samples import Block, SampleFormat, sample_format

__all__ = [
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "MOST_CHANNELS",
    "PCM",
    "AsyncFile",
    "BinaryFile",
    "Samples",
    "check_floats",
    "check_shape",
    "check_width",
]

LOWEST_RATE = 1_000
HIGHEST_RATE = 768_000
MOST_CHANNELS = 64

_BEYOND = 100.0
"""40 dB over full scale is no loud mix any more."""


def check_floats(samples: Block, name: str, at: int, rate: int) -> None:
    """Refuse float samples that are no sound: not finite, or so far beyond full scale that they are integers' values.

    `samples`: at least one. `at`: the frame that these begin with. A little over full scale is what mixing gives, and
    is limited later.
    """
    with np.errstate(invalid="ignore"):
        low, high = samples.min(), samples.max()
    if low >= -_BEYOND and high <= _BEYOND:
        return
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = ~np.isfinite(samples)
        first = int(np.argmax(bad.reshape(len(samples), -1).any(axis=1)))
        remedy = (
            "check where it comes from, or make silence of such samples with numpy.nan_to_num(array, posinf=0, "
            "neginf=0)"
        )
        raise InvalidArgumentError(
            f"{name} has a sample that is {samples[bad][0]} at {(at + first) / rate:.3f} s: {remedy}",
            argument="sample_format",
            remedy=remedy,
        )
    peak = max(abs(float(low)), abs(float(high)))
    scale = next((scale for scale in (2**15, 2**23, 2**31) if peak <= scale), None)
    remedy = "check where they come from" if scale is None else f"divide by {scale}, or give the integers"
    raise InvalidArgumentError(
        f"{name} has float samples up to {peak:g}, but 1.0 is full scale: {remedy}",
        argument="sample_format",
        remedy=remedy,
    )


def check_width(samples: Block, name: str, step: int) -> str | None:
    """Refuse integers of 32 or 64 bits that are narrower samples, only cast; return what to say of what may be some.

    16-bit samples that were cast lie 90 dB and more below full scale, where no recording is: nothing would be heard,
    and billed. What a 24-bit converter gives of a quiet room may lie there, but in the upper bytes: the lowest is 0.
    Looks at `step` frames at a time, and no further than to the first that are no narrower than their type.
    """
    kind, size = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind not in "iu" or size < 32:
        return None
    most = 16 if kind == "u" else 24 if size == 32 else 32
    low = high = used = 0
    # Unsigned ones have their silence in the middle of their range; as signed ones these are what is next to its ends.
    signed = samples.view(np.dtype(samples.dtype.str.replace("u", "i")))
    for at in range(0, len(signed), step):
        part = signed[at : at + step]
        low, high = min(low, int(part.min())), max(high, int(part.max()))
        used |= int(np.bitwise_or.reduce(part, axis=None))
        if not _fits(low, high, most):
            return None
    if not used:
        return None
    if _fits(low, high, 16):
        to = "int16" if high < 1 << 15 else "uint16"
        bits, remedy = 16, f'give array.astype("{to}") (or zeros, if it is silence)'
    elif _fits(low, high, 24):
        bits, remedy = 24, "give array << 8" if size == 32 else 'give (array << 8).astype("int32")'
    else:
        bits, remedy = 32, 'give array.astype("int32")'
    told = f"{name} is {samples.dtype}, but all its values fit into {bits} bits"
    upper = kind == "i" and size == 32 and not used & 0xFF
    if upper or (size == 32 and bits == 24):
        return None if upper and bits == 24 else f"{told}: if they are samples of {bits} bits, {remedy}"
    raise InvalidArgumentError(f"{told}, which is silence among {size}: {remedy}")


def _fits(low: int, high: int, bits: int) -> bool:
    """Whether values fit into so many bits; into 16 also without a sign."""
    return low >= -(1 << bits - 1) and high < 1 << (bits if bits == 16 else bits - 1)


def _remedy_for(data: object) -> str:
    """How what cannot be samples becomes samples."""
    if isinstance(data, os.PathLike):
        return ": open the file with 'rb' and pass it"
    if isinstance(data, (list, tuple)):
        return ': make an array of it, numpy.array(data, "int16") for integers or "float32" for floats of full scale 1'
    way = next((way for way in ("numpy", "tobytes") if hasattr(data, way)), None)
    return "" if way is None else f": give what its .{way}() gives"


class BinaryFile(Protocol):
    """A file object that gives bytes: opened with ``'rb'``, a pipe, `io.BytesIO`, a temporary file."""

    def read(self, size: int = ..., /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class AsyncFile(Protocol):
    """A file object whose `read` is awaited: an upload of Starlette or FastAPI, a file of anyio, a stream."""

    async def read(self, size: int = ..., /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


Samples: TypeAlias = "bytes | bytearray | memoryview | npt.NDArray[Any] | BinaryFile | AsyncIterable[bytes] | AsyncFile"
"""What raw samples may be given as."""


@dataclass(frozen=True, repr=False)
class PCM:
    """Raw samples with what is needed to understand them.

    `data`: bytes-like, a binary file object, or a numpy array of any integer or float type with shape (frames,) or
    (frames, channels). Integers are full scale, floats 1.0.
    `sample_rate`: Hz. `channels`: interleaved in bytes; taken from the array's shape where it has two dimensions.
    `sample_format`: of bytes and files; an array brings its own. One of u8, s8, s16le, s16be, s24le, s24be, s32le,
    s32be, f32le, f32be, f64le, f64be, mulaw, alaw. Discord gives s16le at 48 kHz with 2 channels, telephony mulaw or
    alaw at 8 kHz.
    """

    data: Samples
    sample_rate: int
    channels: int = 1
    sample_format: SampleFormat = "s16le"

    def __repr__(self) -> str:
        form = "" if isinstance(self.data, np.ndarray) else f", sample_format={self.sample_format!r}"
        return f"PCM({described(self.data)}, sample_rate={self.sample_rate}, channels={self.channels}{form})"

    def __post_init__(self) -> None:
        data: Any = self.data
        if isinstance(data, np.ndarray):
            self._check_array(data)
        elif isinstance(data, str):
            raise ArgumentTypeError(
                "PCM(data) must be samples, not a str: open the file with 'rb' and pass it", argument="PCM(data)"
            )
        elif not isinstance(data, (bytes, bytearray, memoryview)) and not (
            hasattr(data, "read") or hasattr(data, "__aiter__")
        ):
            raise ArgumentTypeError(
                "PCM(data) must be bytes-like, a binary file object or a numpy array, not "
                f"{type(data).__name__}{_remedy_for(data)}",
                argument="PCM(data)",
            )
        if not isinstance(self.sample_format, str):
            raise ArgumentTypeError(
                f"sample_format must be a str, not {type(self.sample_format).__name__}", argument="sample_format"
            )
        form = sample_format(self.sample_format)
        check_shape(self.sample_rate, self.channels)
        if isinstance(data, (bytes, bytearray, memoryview)):
            self._check_length(memoryview(data).nbytes, form.width * int(self.channels))

    def _check_length(self, size: int, frame: int) -> None:
        """Whole frames only: half a frame at the end of all the bytes there are is a wrong format, or a part lost."""
        if size % frame:
            raise InvalidArgumentError(
                f"PCM(data) has {size} bytes, no whole number of frames of {frame} (sample_format="
                f"{self.sample_format!r}, channels={self.channels!r}): check both, or cut off the last "
                f"{size % frame}",
                argument="PCM(data)",
            )

    def _check_array(self, data: Any) -> None:
        if data.dtype.kind not in "iuf":
            raise ArgumentTypeError(f"a numpy array of samples must be of an integer or float type, not {data.dtype}")
        if data.ndim not in (1, 2):
            raise InvalidArgumentError(
                f"a numpy array of samples has shape (frames,) or (frames, channels), not {data.shape}"
            )
        if data.ndim == 2:
            if self.channels not in (1, data.shape[1]):
                raise InvalidArgumentError(
                    f"channels={self.channels!r}, but the array of shape {data.shape} has {data.shape[1]}: "
                    "its shape is (frames, channels)",
                    argument="channels",
                )
            if data.shape[1] > MOST_CHANNELS:
                raise InvalidArgumentError(
                    f"the array of shape {data.shape} has {data.shape[1]} channels, more than {MOST_CHANNELS}: its "
                    "shape is (frames, channels), so transpose it where channels come first"
                )
            object.__setattr__(self, "channels", data.shape[1])
        elif self.channels != 1:
            raise InvalidArgumentError(
                f"channels={self.channels!r}, but the array of shape {data.shape} has one: reshape it to "
                "(frames, channels)",
                argument="channels",
            )


def check_shape(sample_rate: object, channels: object) -> None:
    """Refuse a sample rate or a number of channels that no recording has."""
    for name, value in (("sample_rate", sample_rate), ("channels", channels)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            whole = f": give {int(value)}" if isinstance(value, float) and value.is_integer() else ""
            raise ArgumentTypeError(f"{name} must be an int, not {type(value).__name__}{whole}", argument=name)
    if not LOWEST_RATE <= int(sample_rate) <= HIGHEST_RATE:  # type: ignore[call-overload]
        raise InvalidArgumentError(
            f"sample_rate={sample_rate!r} is not between {LOWEST_RATE} and {HIGHEST_RATE} Hz", argument="sample_rate"
        )
    if not 1 <= int(channels) <= MOST_CHANNELS:  # type: ignore[call-overload]
        raise InvalidArgumentError(f"channels={channels!r} is not between 1 and {MOST_CHANNELS}", argument="channels")
