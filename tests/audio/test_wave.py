"""WAV by the bytes that are there, not by what the header claims."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.audio import Flaws, cut, load, measure
from clova_speech_async.audio.wave import read_header
from clova_speech_async.errors import AudioError, CorruptAudioError, EmptyAudioError, UnsupportedFormatError


def chunk(tag: bytes, body: bytes, size: int | None = None) -> bytes:
    return tag + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def form(code: int = 1, channels: int = 1, rate: int = 16_000, width: int = 2, bits: int | None = None) -> bytes:
    align = channels * width
    return struct.pack("<HHIIHH", code, channels, rate, rate * align, align, 8 * width if bits is None else bits)


def riff(*chunks: bytes, tag: bytes = b"RIFF") -> bytes:
    body = b"".join(chunks)
    return tag + struct.pack("<I", len(body) + 4) + b"WAVE" + body


def header(data: bytes) -> Any:
    file = io.BytesIO(data)
    return read_header(file.read, lambda size: len(file.read(size)), "it")


def test_chunks_before_the_samples_are_passed_over() -> None:
    data = riff(chunk(b"JUNK", bytes(27)), chunk(b"fmt ", form()), chunk(b"LIST", b"x" * 99), chunk(b"data", bytes(10)))
    found = header(data)
    assert (found.rate, found.channels, found.data_size) == (16_000, 1, 10)
    assert found.integer


@pytest.mark.parametrize(
    ("code", "width", "bits", "name", "integer"),
    [
        (1, 1, 8, "u8", True),
        (1, 2, 16, "s16le", True),
        (1, 3, 24, "s24le", True),
        (1, 4, 32, "s32le", True),
        (1, 2, 12, "s16le", False),
        (3, 4, 32, "f32le", False),
        (3, 8, 64, "f64le", False),
        (6, 1, 8, "alaw", False),
        (7, 1, 8, "mulaw", False),
    ],
)
def test_kinds_of_samples(code: int, width: int, bits: int, name: str, integer: bool) -> None:
    found = header(riff(chunk(b"fmt ", form(code, 2, 8000, width, bits)), chunk(b"data", bytes(16))))
    assert found.samples.name == name
    assert found.integer is integer
    guid = struct.pack("<HHIH", 22, bits, 3, code) + bytes.fromhex("000000001000800000aa00389b71")
    extensible = struct.pack("<H", 0xFFFE) + form(code, 2, 8000, width, bits)[2:] + guid
    assert header(riff(chunk(b"fmt ", extensible), chunk(b"data", bytes(16)))).samples.name == name


@pytest.mark.parametrize(("size", "expected"), [(0, None), (0xFFFFFFFF, None), (0x7FFFFFFF, None), (8, 8)])
def test_sizes_that_claim_nothing_are_left_open(size: int, expected: int | None) -> None:
    assert header(riff(chunk(b"fmt ", form()), chunk(b"data", bytes(10), size))).data_size == expected


def test_rf64_tells_its_size_elsewhere() -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 6, 3, 0))
    data = riff(ds64, chunk(b"fmt ", form()), chunk(b"data", bytes(10), 0xFFFFFFFF), tag=b"RF64")
    assert header(data).data_size == 6
    with_samples = riff(ds64, chunk(b"fmt ", form()), chunk(b"data", b"\1\2" * 5, 0xFFFFFFFF), tag=b"RF64")
    assert load(with_samples).seconds == 3 / 16_000


def test_a_compressed_kind_is_left_to_others() -> None:
    assert header(riff(chunk(b"fmt ", form(2, 1, 16_000, 256, 4)), chunk(b"data", bytes(4)))).samples is None


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF",
        riff(),
        riff(chunk(b"fmt ", form())),
        riff(chunk(b"data", bytes(4))),
        riff(chunk(b"fmt ", form()[:8]), chunk(b"data", bytes(4))),
        riff(chunk(b"fmt ", form(channels=0)), chunk(b"data", bytes(4))),
        riff(chunk(b"fmt ", form(channels=65)), chunk(b"data", bytes(4))),
        riff(chunk(b"fmt ", form(rate=0)), chunk(b"data", bytes(4))),
        riff(chunk(b"fmt ", form(rate=2**30)), chunk(b"data", bytes(4))),
        riff(chunk(b"fmt ", form(width=2, bits=24)), chunk(b"data", bytes(4))),
        riff(chunk(b"LIST", bytes(4), 0xFFFFFFF0)),
        riff(chunk(b"LIST", bytes(4), 400)),
    ],
)
def test_a_broken_header_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptAudioError, match="^it: "):
        header(data)


def test_odd_widths_are_not_supported() -> None:
    with pytest.raises(UnsupportedFormatError, match="40 bits"):
        header(riff(chunk(b"fmt ", form(width=5)), chunk(b"data", bytes(5))))


@given(st.binary(max_size=200))
def test_any_header_is_a_header_or_an_error_of_ours(noise: bytes) -> None:
    for data in (b"RIFF\0\0\0\0WAVE" + noise, riff(chunk(b"fmt ", noise), chunk(b"data", b"ab"))):
        with contextlib.suppress(AudioError):
            assert header(data).channels >= 1


def test_what_ffmpeg_writes_to_a_pipe_is_read_to_its_end(talk: Any, heard: Any, pipe: Any) -> None:
    samples = talk(70).samples
    data = riff(chunk(b"fmt ", form()), chunk(b"LIST", bytes(26)), chunk(b"data", samples.tobytes(), 0xFFFFFFFF))
    data = data[:4] + b"\xff\xff\xff\xff" + data[8:]
    for audio in (data, pipe(data)):
        pieces = list(cut(audio))
        assert pieces[-1].end == pytest.approx(len(samples) / 16_000, abs=0.6)
        assert not any(piece.original for piece in pieces)
    short = data[: 78 + 2 * 16_000]
    assert np.array_equal(heard(load(short).data), samples[:16_000])


def test_what_stands_behind_the_samples_is_not_heard(talk: Any) -> None:
    samples = talk(2).samples
    data = riff(chunk(b"fmt ", form()), chunk(b"data", samples.tobytes()), chunk(b"LIST", b"\x7f" * 5000))
    piece = load(data)
    assert piece.seconds == len(samples) / 16_000
    assert piece.original


@pytest.mark.parametrize("streamed", [False, True])
def test_a_file_that_was_cut_off_is_told_in_the_log(
    streamed: bool, talk: Any, pipe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    samples = np.tile(talk(4).samples, 2)[:64_000]
    data = riff(chunk(b"fmt ", form()), chunk(b"data", samples.tobytes()))[: 44 + 2 * 40_000]
    assert load(pipe(data) if streamed else data).seconds == 2.5
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("clova_speech_async", "WARNING")
    assert "has 2.50 of the 4.00 seconds that its header announces" in record.getMessage()
    caplog.clear()
    list(cut(pipe(data) if streamed else data, flaws=Flaws()))
    assert len(caplog.records) == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("tag", [b"RIFF", b"RF64"])
def test_one_that_was_cut_off_is_not_taken_for_a_whole_one(tag: bytes, streamed: bool, talk: Any, pipe: Any) -> None:
    for seconds, least in ((10, 0), (150, 1)):
        whole = talk(seconds)
        data = announcing(whole.samples.tobytes(), tag=tag)
        data = data[: len(data) * 7 // 10]
        pieces, flaws = [], Flaws()
        with pytest.raises(CorruptAudioError, match=r"cut off: only \d+\.\d s of the \d+\.\d s that it announces"):
            pieces.extend(cut(pipe(data) if streamed else data))
        # Of a short one nothing is sent, as long as it may be got anew.
        assert len(pieces) >= least if least else not pieces or tag == b"RF64"
        assert list(cut(pipe(data) if streamed else data, flaws=flaws))[-1].end > 0.6 * whole.seconds
        assert flaws.truncated
        assert not flaws.broken_off
        assert measure(data).announced_duration == whole.seconds


def announcing(samples: bytes, *, tag: bytes = b"RIFF", size: int | None = None, whole: int | None = None) -> bytes:
    """A file of these samples; `size` and `whole`: what its header says of them and of the file."""
    size = len(samples) if size is None else size
    if tag == b"RIFF":
        head = chunk(b"fmt ", form()) + b"data" + struct.pack("<I", size)
        whole = 4 + len(head) + size if whole is None else whole
        return tag + struct.pack("<I", whole) + b"WAVE" + head + samples
    whole = 80 + size if whole is None else whole
    ds64 = chunk(b"ds64", struct.pack("<QQQI", whole, size, 0, 0))
    return tag + b"\xff" * 4 + b"WAVE" + ds64 + chunk(b"fmt ", form()) + b"data" + b"\xff" * 4 + samples


_OPEN = [
    *((0, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF000, 0x7FFFF024), (0x7FFFFFFF, 0x7FFFFFFF), (0, 0)),
    *((0x7FFFFF00, 0x7FFFFF24), (0x80000000, 0x80000024), (0xFFFFFFFF - 36, 0xFFFFFFFF), (0x7FFFFFFF - 36, 0x7FFFFFFF)),
    *((10**6, 0), (10**6, 0xFFFFFFFF)),
]


@pytest.mark.parametrize(("size", "whole"), _OPEN)
@pytest.mark.parametrize("tag", [b"RIFF", b"RF64"])
def test_a_header_that_was_left_open_announces_nothing(
    tag: bytes, size: int, whole: int, talk: Any, pipe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    samples = np.resize(talk(4).samples, 64_000)
    if tag == b"RF64" and size >= 0x7FFFFF00:
        size, whole = size | size << 32, whole | 0xFFFFFFFF << 32
    data = announcing(samples.tobytes(), tag=tag, size=size, whole=whole)
    for audio in (data, pipe(data)):
        (piece,) = cut(audio)
        assert not piece.original
    found = measure(data)
    assert (found.duration, found.announced_duration, found.truncated) == (4.0, None, False)
    assert caplog.records == []


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0xFFFFFFFF - 44, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x7FFFF000, 0x80000000])
def test_a_size_that_writers_to_a_pipe_put_is_no_warning(
    size: int, talk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    data = riff(chunk(b"fmt ", form()), chunk(b"data", talk(2).samples.tobytes(), size))
    assert not load(data).original
    assert caplog.records == []


def test_a_whole_file_or_one_without_any_sample_is_no_warning(talk: Any, caplog: pytest.LogCaptureFixture) -> None:
    data = riff(chunk(b"fmt ", form()), chunk(b"data", talk(2).samples.tobytes()))
    load(data)
    load(data[:-2])
    with pytest.raises(EmptyAudioError):
        load(data[:44])
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["plain", "compressed"])
def test_a_tag_in_front_is_passed_over(kind: str, talk: Any, encoded: Any, heard: Any, pipe: Any) -> None:
    data = encoded(talk(5).samples, subtype="PCM_16" if kind == "plain" else "IMA_ADPCM")
    tag = b"ID3\4\0\0\0\0\2\0" + bytes(256)
    for audio in (tag + data, pipe(tag + data), tag + tag + data):
        piece = load(audio)
        assert np.array_equal(heard(piece.data), heard(load(data).data))
        # Whether the service passes over it nobody knows.
        assert not piece.original


def test_chunks_without_end_are_given_up() -> None:
    with pytest.raises(CorruptAudioError, match="100000 chunks, and no samples behind them"):
        load(riff(chunk(b"fmt ", form()), bytes(8 * 100_000), chunk(b"data", bytes(100))))


def test_thousands_of_small_chunks_are_not_read_one_by_one(talk: Any, pipe: Any) -> None:
    samples = talk(2).samples.tobytes()
    reads = 0

    class Counted(pipe):  # type: ignore[misc]
        def read(self, size: int) -> bytes:
            nonlocal reads
            reads += 1
            part: bytes = super().read(size)
            return part

    data = riff(chunk(b"fmt ", form()), chunk(b"JUNK", b"") * 50_000, chunk(b"data", samples))
    assert load(Counted(data, 1 << 20)).seconds == len(samples) / 32_000
    assert reads < 50
