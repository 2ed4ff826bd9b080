"""How samples are written, and how they become numpy blocks. Pure: bytes and arrays in, blocks out."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from clova_speech_async.errors import InvalidArgumentError

__all__ = ["RATE", "Block", "Encoding", "SampleFormat", "block_of", "sample_format"]

RATE = 16_000
"""Hz at which pauses are looked for, and at which what is encoded here is sent."""

Block = npt.NDArray[Any]
"""Shape (frames, channels); int16, or float32 with full scale at 1.0."""
SampleFormat: TypeAlias = Literal[
    "u8",
    "s8",
    "s16le",
    "s16be",
    "s24le",
    "s24be",
    "s32le",
    "s32be",
    "f32le",
    "f32be",
    "f64le",
    "f64be",
    "mulaw",
    "alaw",
]
"""How one sample is written: u unsigned, s signed, f float of full scale 1.0; bits; le little-endian, be big-endian.
mulaw and alaw are those of ITU-T G.711."""


@dataclass(frozen=True)
class Encoding:
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
        Encoding("u8", 1, "u1"),
        Encoding("s8", 1, "i1"),
        Encoding("s16le", 2, "<i2"),
        Encoding("s16be", 2, ">i2"),
        Encoding("s24le", 3, "little"),
        Encoding("s24be", 3, "big"),
        Encoding("s32le", 4, "<i4"),
        Encoding("s32be", 4, ">i4"),
        Encoding("f32le", 4, "<f4"),
        Encoding("f32be", 4, ">f4"),
        Encoding("f64le", 8, "<f8"),
        Encoding("f64be", 8, ">f8"),
        Encoding("mulaw", 1, "u1"),
        Encoding("alaw", 1, "u1"),
    )
}


def sample_format(name: str) -> Encoding:
    """How samples of the format `name` are written; `InvalidArgumentError` names the known formats."""
    try:
        return _FORMATS[name]
    except KeyError:
        near = difflib.get_close_matches(name, _FORMATS, n=1, cutoff=0.4)
        hint = f'did you mean "{near[0]}"? Known are' if near else "known are"
        raise InvalidArgumentError(
            f"sample_format={name!r} is not known: {hint} {', '.join(_FORMATS)}", argument="sample_format"
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
