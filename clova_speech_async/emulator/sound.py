"""A request's body to PCM: which format it is by its content, and how long it is by its decoded samples.

Law of this file: blocking and pure of any event loop; run it in a worker thread. A header's count of samples is never
believed: a forged one says ten seconds for six hours, and an MP3 without a Xing tag has none to say.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from .contract import Refusal

RATE = 16_000
"""Samples a second of what a recogniser is given."""
_BLOCK = 1 << 16
_MAX_CHANNELS = 16
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBIT_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBIT_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


@dataclass(frozen=True)
class Sound:
    """Audio as a recogniser takes it."""

    format: str
    seconds: float
    pcm: bytes
    """16-bit little-endian, mono, 16 kHz; empty where the length was found without decoding."""


def format_of(body: bytes) -> str | None:
    """The service's name of the format these bytes begin: WAV, FLAC, OGG, MP3, AAC, AC3, M4A, or None."""
    if body[:4] in (b"RIFF", b"RF64") and body[8:12] == b"WAVE":
        return "WAV"
    for magic, name in ((b"fLaC", "FLAC"), (b"OggS", "OGG"), (b"\x0b\x77", "AC3")):
        if body.startswith(magic):
            return name
    if body[4:8] == b"ftyp":
        return "M4A"
    if body.startswith(b"ID3"):
        after = body[_id3_size(body) :]
        return format_of(after) if after[:4] == b"fLaC" else "MP3"
    if len(body) > 1 and body[0] == 0xFF and body[1] & 0xE0 == 0xE0:
        return "AAC" if body[1] & 0xF6 == 0xF0 else "MP3"
    return None


def decode(body: bytes, *, max_seconds: float) -> Sound:
    """The audio in these bytes; raises `Refusal` (STT006 not audio of a known format, STT001 too long, STT007 empty).

    AAC, AC3 and M4A are decoded by PyAV. Without it, a file of these formats is STT006, whose message then says so: the
    emulator does not pretend to have heard what it cannot decode.
    """
    name = format_of(body)
    if name is None:
        raise Refusal("STT006")
    blocks = _by_av(body, name) if name in ("AAC", "AC3", "M4A") else _by_soundfile(body, name)
    kept: list[NDArray[np.float32]] = []
    rate, count = 0, 0
    try:
        for rate, block in blocks:
            count += len(block)
            if count > max_seconds * rate:
                raise Refusal("STT001")
            kept.append(block)
    except Refusal:
        raise
    except Exception as exc:
        # Every decoder has its own error tree, and PyAV raises built-in ones too: whatever it is, the audio is bad.
        raise Refusal("STT006") from exc
    if not count:
        raise Refusal("STT007")
    mono = np.nan_to_num(np.concatenate(kept), nan=0.0, posinf=1.0, neginf=-1.0)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    # By 32768, so that 16-bit samples come out as the same 16-bit samples.
    pcm = np.clip(np.rint(mono * 32768.0), -32768, 32767).astype("<i2").tobytes()
    return Sound(name, count / rate, pcm)


def measure(body: bytes) -> Sound:
    """The length a file's own header claims, without decoding it: fast, and as true as the header."""
    name = format_of(body)
    if name is None:
        raise Refusal("STT006")
    try:
        info = soundfile.info(io.BytesIO(body))
    except (RuntimeError, TypeError, ValueError) as exc:
        raise Refusal("STT006") from exc
    if not info.frames:
        raise Refusal("STT007")
    return Sound(name, info.frames / info.samplerate, b"")


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """Read straight through: libsndfile fails to seek in a FLAC without a length, and prints when it does in MP3."""

    def seekable(self) -> bool:
        return False


def _by_soundfile(body: bytes, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
    if name == "FLAC":
        body = _flac_without_length(body)
    elif name == "MP3":
        body = _mp3_with_true_length(body)
    with _Stream(io.BytesIO(body)) as file:
        if file.channels > _MAX_CHANNELS or file.format not in ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "MPEG"):
            raise Refusal("STT006")
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            yield file.samplerate, block.mean(axis=1, dtype=np.float32)


def _by_av(body: bytes, name: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
    try:
        import av
    except ImportError:
        because = f"this emulator cannot decode {name}: pip install 'clova-speech-async[av]'"
        raise Refusal("STT006", because=because) from None
    with av.open(io.BytesIO(body)) as container:
        stream = container.streams.audio[0]
        resampler: Any = None
        for frame in container.decode(stream):
            if resampler is None:
                resampler = av.AudioResampler(format="flt", layout="mono", rate=frame.sample_rate)
            for out in resampler.resample(frame):
                yield out.sample_rate, out.to_ndarray().reshape(-1)
        for out in resampler.resample(None) if resampler is not None else ():
            yield out.sample_rate, out.to_ndarray().reshape(-1)


def _flac_without_length(body: bytes) -> bytes:
    """The same FLAC with its count of samples set to "unknown", which makes libsndfile read to the real end."""
    start = _id3_size(body)
    if body[start : start + 4] != b"fLaC" or len(body) < start + 42:
        raise Refusal("STT006")
    at = start + 18  # 4 of magic, 4 of block header, 10 of block and frame sizes
    packed = int.from_bytes(body[at : at + 8], "big")
    return body[:at] + (packed >> 36 << 36).to_bytes(8, "big") + body[at + 8 :]


def _mp3_with_true_length(body: bytes) -> bytes:
    """The same MP3 with a Xing tag of its real count of frames, because libsndfile stops where that tag says.

    Without one it guesses from the first bit rate, which is wrong for every variable one.
    """
    start = at = _first_frame(body)
    frames = 0
    while (size := _frame_size(body, at)) and at + size <= len(body):
        frames += 1
        at += size
    if not frames:
        raise Refusal("STT006")
    size = _frame_size(body, start)
    tag = max(body.find(b"Xing", start, start + 64), body.find(b"Info", start, start + 64))
    if tag >= 0 and body[tag + 7] & 1:
        fields = (frames - 1).to_bytes(4, "big")
        if body[tag + 7] & 2:  # the length in bytes follows; mpg123 prints a warning where it is not true
            fields += (at - start).to_bytes(4, "big")
        return body[start : tag + 8] + fields + body[tag + 8 + len(fields) : at]
    if tag >= 0:
        start, frames = start + size, frames - 1
    mpeg1, mono = body[start + 1] >> 3 & 3 == 3, body[start + 3] >> 6 == 3
    offset = 4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    # Of the highest bit rate (index 14, no padding, no checksum), so that there is room for the tag.
    head = bytes([0xFF, body[start + 1] | 1, 0xE0 | body[start + 2] & 0x0C, body[start + 3]])
    made = bytearray(_frame_size(head, 0))
    made[:4] = head
    made[offset : offset + 12] = b"Info" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
    return bytes(made) + body[start:at]


def _id3_size(body: bytes) -> int:
    if not body.startswith(b"ID3") or len(body) < 10:
        return 0
    size = 0
    for byte in body[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if body[5] & 0x10 else 0)


def _first_frame(body: bytes) -> int:
    """Where the first MPEG frame begins that another follows, or the end of what there is."""
    at = _id3_size(body)
    while (at := body.find(b"\xff", at)) >= 0:
        size = _frame_size(body, at)
        if size and (at + size == len(body) or _frame_size(body, at + size)):
            return at
        at += 1
    return len(body)


def _frame_size(body: bytes, at: int) -> int:
    """Bytes of the layer III frame whose header stands there; 0 where none does."""
    if at + 4 > len(body) or body[at] != 0xFF or body[at + 1] & 0xE6 != 0xE2:
        return 0
    version, kbit, rate, pad = body[at + 1] >> 3 & 3, body[at + 2] >> 4, body[at + 2] >> 2 & 3, body[at + 2] >> 1 & 1
    if version == 1 or kbit in (0, 15) or rate == 3:
        return 0
    bits = (_KBIT_V1 if version == 3 else _KBIT_V2)[kbit] * 1000
    return (144 if version == 3 else 72) * bits // _MPEG_RATES[version][rate] + pad
