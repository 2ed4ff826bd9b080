"""Raw samples: how they are described, and how they become numpy blocks. No file format is known here."""

from __future__ import annotations

import difflib
import os
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

from .names import described

__all__ = [
    "HIGHEST_RATE",
    "LOWEST_RATE",
    "MOST_CHANNELS",
    "PCM",
    "AsyncFile",
    "BinaryFile",
    "SampleFormat",
    "Samples",
    "check_floats",
    "check_shape",
    "check_width",
    "sample_format",
]

LOWEST_RATE = 1_000
HIGHEST_RATE = 768_000
MOST_CHANNELS = 64

_BEYOND = 100.0
"""40 dB over full scale is no loud mix any more."""

Block = npt.NDArray[Any]
"""Shape (frames, channels); int16, or float32 with full scale at 1.0."""


@dataclass(frozen=True)
class SampleFormat:
    """How one sample is written."""

    name: str
    width: int
    """Bytes."""
    dtype: str
    """Of numpy; for three bytes that of one byte; for mu-law and a-law that of the table's index."""

    @property
    def is_float(self) -> bool:
        return self.name.startswith("f")

    def decode(self, data: bytes | bytearray | memoryview, channels: int) -> Block:
        """Samples of whole frames as a block."""
        if self.width == 3:
            return _from_three_bytes(data, channels, big=self.dtype == "big")
        samples = np.frombuffer(data, self.dtype)
        if self.name in ("mulaw", "alaw"):
            samples = (_MULAW if self.name == "mulaw" else _ALAW)[samples]
        return block_of(samples.reshape(-1, channels))


_FORMATS = {
    form.name: form
    for form in (
        SampleFormat("u8", 1, "u1"),
        SampleFormat("s8", 1, "i1"),
        SampleFormat("s16le", 2, "<i2"),
        SampleFormat("s16be", 2, ">i2"),
        SampleFormat("s24le", 3, "little"),
        SampleFormat("s24be", 3, "big"),
        SampleFormat("s32le", 4, "<i4"),
        SampleFormat("s32be", 4, ">i4"),
        SampleFormat("f32le", 4, "<f4"),
        SampleFormat("f32be", 4, ">f4"),
        SampleFormat("f64le", 8, "<f8"),
        SampleFormat("f64be", 8, ">f8"),
        SampleFormat("mulaw", 1, "u1"),
        SampleFormat("alaw", 1, "u1"),
    )
}


def sample_format(name: str) -> SampleFormat:
    """The sample format of this name; `InvalidArgumentError` names the known ones."""
    try:
        return _FORMATS[name]
    except KeyError:
        near = difflib.get_close_matches(name, _FORMATS, n=1, cutoff=0.4)
        hint = f'did you mean "{near[0]}"? ' if near else ""
        raise InvalidArgumentError(
            f"sample_format={name!r} is not known: {hint}Known are {', '.join(_FORMATS)}."
        ) from None


def block_of(samples: Block) -> Block:
    """Samples of any integer or float type as a block: 16-bit ones untouched, others as float32 of full scale 1."""
    kind, width = samples.dtype.kind, samples.dtype.itemsize
    if kind == "i" and width == 2:
        return samples.astype(np.int16, copy=False)
    if kind == "f":
        # Numbers too large for float32 become infinite here, and are limited with the infinite ones later.
        with np.errstate(over="ignore", invalid="ignore"):
            return samples.astype(np.float32, copy=False)
    scale = float(2 ** (8 * width - 1))
    wide = np.float32 if width < 4 else np.float64
    centred = samples.astype(wide) - wide(scale) if kind == "u" else samples.astype(wide)
    return np.asarray(centred / wide(scale), np.float32)


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
        raise InvalidArgumentError(
            f"{name} has a sample that is {samples[bad][0]} at {(at + first) / rate:.3f} s: check where it comes from, "
            "or make silence of such samples with numpy.nan_to_num(array, posinf=0, neginf=0)"
        )
    peak = max(abs(float(low)), abs(float(high)))
    scale = next((scale for scale in (2**15, 2**23, 2**31) if peak <= scale), None)
    remedy = "check where they come from" if scale is None else f"divide by {scale}, or give the integers"
    raise InvalidArgumentError(f"{name} has float samples up to {peak:g}, but 1.0 is full scale: {remedy}")


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


def _from_three_bytes(data: bytes | bytearray | memoryview, channels: int, *, big: bool) -> Block:
    parts = np.frombuffer(data, np.uint8).reshape(-1, 3)
    whole = np.zeros((len(parts), 4), np.uint8)
    whole[:, 1:] = parts[:, ::-1] if big else parts
    return block_of(whole.view("<i4").reshape(-1, channels))


def _mulaw_table() -> npt.NDArray[np.int16]:
    """ITU-T G.711 mu-law: sign, three bits of exponent, four of mantissa, all inverted."""
    code = ~np.arange(256, dtype=np.uint8)
    mantissa, exponent = (code & 0x0F).astype(np.int32), (code >> 4 & 7).astype(np.int32)
    value = ((mantissa << 3) + 0x84 << exponent) - 0x84
    return np.where(code & 0x80, -value, value).astype(np.int16)


def _alaw_table() -> npt.NDArray[np.int16]:
    """ITU-T G.711 a-law: every other bit inverted; sign, exponent, mantissa."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    mantissa, exponent = (code & 0x0F).astype(np.int32), (code >> 4 & 7).astype(np.int32)
    value = np.where(exponent == 0, (mantissa << 4) + 8, (mantissa << 4) + 0x108 << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, value, -value).astype(np.int16)


_MULAW = _mulaw_table()
_ALAW = _alaw_table()


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
    sample_format: str = "s16le"

    def __repr__(self) -> str:
        form = "" if isinstance(self.data, np.ndarray) else f", sample_format={self.sample_format!r}"
        return f"PCM({described(self.data)}, sample_rate={self.sample_rate}, channels={self.channels}{form})"

    def __post_init__(self) -> None:
        data: Any = self.data
        if isinstance(data, np.ndarray):
            self._check_array(data)
        elif isinstance(data, str):
            raise ArgumentTypeError("PCM(data) must be samples, not a str: open the file with 'rb' and pass it")
        elif not isinstance(data, (bytes, bytearray, memoryview)) and not (
            hasattr(data, "read") or hasattr(data, "__aiter__")
        ):
            raise ArgumentTypeError(
                "PCM(data) must be bytes-like, a binary file object or a numpy array, not "
                f"{type(data).__name__}{_remedy_for(data)}"
            )
        if not isinstance(self.sample_format, str):
            raise ArgumentTypeError(f"sample_format must be a str, not {type(self.sample_format).__name__}")
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
                f"{size % frame}"
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
                    "its shape is (frames, channels)"
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
                "(frames, channels)"
            )


def check_shape(sample_rate: object, channels: object) -> None:
    """Refuse a sample rate or a number of channels that no recording has."""
    for name, value in (("sample_rate", sample_rate), ("channels", channels)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            whole = f": give {int(value)}" if isinstance(value, float) and value.is_integer() else ""
            raise ArgumentTypeError(f"{name} must be an int, not {type(value).__name__}{whole}")
    if not LOWEST_RATE <= int(sample_rate) <= HIGHEST_RATE:  # type: ignore[call-overload]
        raise InvalidArgumentError(f"sample_rate={sample_rate!r} is not between {LOWEST_RATE} and {HIGHEST_RATE} Hz")
    if not 1 <= int(channels) <= MOST_CHANNELS:  # type: ignore[call-overload]
        raise InvalidArgumentError(f"channels={channels!r} is not between 1 and {MOST_CHANNELS}")
