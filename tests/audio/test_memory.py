"""Memory is bounded by what is looked ahead, whatever the length of a recording and the claims of its header."""

from __future__ import annotations

import gc
import io
import struct
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio import PCM, Splitting, cut, load, measure
from clova_speech_async.errors import AudioError, AudioReadError

RATE = 16_000
MB = 1_000_000


class Made:
    """A reader of bytes that are made up as they are read, part after part, and held by nobody."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""
        self.largest = 0

    def read(self, size: int) -> bytes:
        self.largest = max(self.largest, size)
        while not self._rest:
            following = next(self._parts, None)
            if following is None:
                return b""
            self._rest = following
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def sparse_noise(seconds: int, channels: int = 1, quiet: int = 12, of: int = 20) -> Iterator[bytes]:
    """16-bit samples: of every `of` seconds, the last `quiet` are silence; channels begin one after the other."""
    random = np.random.default_rng(3)
    noise = [random.integers(-4000, 4000, (RATE, channels)).astype("<i2") for _ in range(3)]
    for second in range(seconds):
        heard = [(second + 7 * channel) % of < of - quiet for channel in range(channels)]
        yield (noise[second % 3] * np.array(heard, np.int16)).tobytes()


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Give a function that tells the most bytes that were held at once within."""
    gc.collect()
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def peak_of_cutting(seconds: int, channels: int, splitting: Splitting, **kind: int) -> int:
    reader = Made(sparse_noise(seconds, channels, **kind))
    with peak() as most:
        pieces = sum(1 for _ in cut(PCM(reader, RATE, channels), splitting))
        assert pieces >= seconds // 60
        return most()


def test_an_hour_takes_no_more_memory_than_ten_minutes() -> None:
    short, long = (peak_of_cutting(minutes * 60, 1, Splitting()) for minutes in (10, 60))
    # An hour of it is 115 MB.
    assert short < 16 * MB
    assert long < 16 * MB
    assert long < 1.25 * short


def test_nor_does_a_longer_recording_of_many_channels() -> None:
    splitting = Splitting(channels="each", longest_piece=5.0)
    short, long = (peak_of_cutting(seconds, 16, splitting, quiet=1, of=11) for seconds in (40, 120))
    # Some piece of theirs always waits for its turn.
    assert long < 1.5 * short


def zeros(size: int) -> Iterator[bytes]:
    part = bytes(MB)
    yield from (part[: min(MB, left)] for left in range(size, 0, -MB))


def with_tag(data: bytes, size: int) -> Iterator[bytes]:
    yield b"ID3\4\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    yield from zeros(size)
    yield data


class File(io.RawIOBase):
    """A large file that is nowhere: zeros, but for what stands at its beginning and its end."""

    def __init__(self, first: bytes, zeros: int, last: bytes) -> None:
        super().__init__()
        self._parts = (first, zeros, last)
        self._size = len(first) + zeros + len(last)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        first, gap, last = self._parts
        if self._at < len(first):
            part = first[self._at : self._at + len(buffer)]
        elif self._at < len(first) + gap:
            part = bytes(min(len(buffer), len(first) + gap - self._at))
        else:
            part = last[self._at - len(first) - gap :][: len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


LARGEST_TAG = (1 << 28) - 1
TAG = b"ID3\4\0\0\x7f\x7f\x7f\x7f"


@pytest.mark.parametrize("name", ["MP3", "FLAC", "OGG", "WAV", "AIFF"])
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_the_largest_tag_is_not_held(name: str, kind: str, talk: Any, encoded: Any) -> None:
    data = encoded(talk(2).samples, format=name)
    audio = Made(with_tag(data, LARGEST_TAG)) if kind == "stream" else File(TAG, LARGEST_TAG, data)
    with peak() as most:
        assert measure(audio).duration == measure(data).duration
        # What fits into a request, 10 MB, is held for it, and may be copied.
        assert most() < 40 * MB


def test_the_largest_tag_with_nothing_behind_it_is_not_held() -> None:
    for audio in (Made(with_tag(b"", LARGEST_TAG)), TAG + bytes(100)):
        with peak() as most:
            with pytest.raises(AudioError, match="ID3 tag: it was cut off"):
                measure(audio)
            assert most() < 40 * MB


def wave(tag: bytes, body: bytes, size: int, samples: bytes) -> tuple[bytes, int, bytes]:
    """A WAV file with a chunk of `body` and so many zeros before its samples: what stands before and behind these."""
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    chunks = b"" if tag == b"fmt " else b"fmt " + struct.pack("<I", 16) + form
    body = form if tag == b"fmt " else body
    chunks += tag + struct.pack("<I", len(body) + size) + body
    end = struct.pack("<4sI", b"data", len(samples)) + samples
    return (b"RIFF" + struct.pack("<I", 4 + len(chunks) + size + len(end)) + b"WAVE" + chunks, size, end)


@pytest.mark.parametrize("tag", [b"LIST", b"bext", b"fmt ", b"ds64"])
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_long_chunk_before_the_samples_is_not_held(tag: bytes, kind: str, talk: Any) -> None:
    samples = talk(3).samples.tobytes()
    first, size, last = wave(tag, bytes(16), 60 * MB, samples)
    parts = (part for stretch in ([first], zeros(size), [last]) for part in stretch)
    audio = Made(parts) if kind == "stream" else File(first, size, last)
    with peak() as most:
        assert load(audio).seconds == len(samples) / (2 * RATE)
        assert most() < 40 * MB


def test_a_second_of_many_channels_at_a_high_rate_is_not_read_at_once() -> None:
    align = 64 * 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 64, 768_000, (768_000 * align) & 0xFFFFFFFF, align, 64)
    head = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + form + struct.pack("<4sI", b"data", 0xFFFFFFFF)
    reader = Made(part for stretch in ([head], zeros(64 * MB)) for part in stretch)
    with peak() as most:
        assert measure(reader).duration == pytest.approx(64 * MB / align / 768_000, abs=1e-6)
        assert most() < 48 * MB
    assert reader.largest < 10 * MB


@pytest.mark.parametrize("name", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_an_error_that_was_dealt_with_holds_no_file(name: str, talk: Any, encoded: Any) -> None:
    class Breaking(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads > 3:
                raise OSError("gone away")
            return super().read(size)

    data = encoded(talk(70).samples, format=name)
    hurt = data[: len(data) // 2] + bytes(9000) + data[len(data) // 2 + 9000 :]
    gc.collect()
    gc.disable()
    try:
        for kind, content, wrong in ((Breaking, data, AudioReadError), (io.BytesIO, hurt, AudioError)):
            file = kind(content)
            held = weakref.ref(file)
            try:
                list(cut(file))
            except wrong:
                pass
            del file
            assert held() is None
    finally:
        gc.enable()
