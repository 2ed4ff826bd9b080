"""Where files end by their own account: what is cut off is told; whole files, however they were written, are not."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.audio import Flaws, cut, load, measure
from clova_speech_async.audio.ends import (
    Account,
    Boxes,
    account_of,
    boxes_of,
    ends_within_frame,
    has_last_page,
    mended,
)
from clova_speech_async.errors import CorruptAudioError

PLAIN = [
    *(("AIFF", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM")),
    *(("AU", subtype) for subtype in ("PCM_16", "ULAW", "DOUBLE")),
    *(("CAF", subtype) for subtype in ("PCM_16", "PCM_24", "ALAW")),
    *(("NIST", subtype) for subtype in ("PCM_16", "PCM_24", "ULAW")),
    *(("W64", subtype) for subtype in ("PCM_16", "FLOAT", "MS_ADPCM")),
    *(("RF64", subtype) for subtype in ("PCM_16", "FLOAT")),
    *(("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "PCM_24")),
]


@pytest.mark.parametrize(("form", "subtype"), PLAIN)
def test_a_container_that_was_cut_off_is_told(form: str, subtype: str, talk: Any, encoded: Any, pipe: Any) -> None:
    whole = talk(70)
    data = encoded(whole.samples, format=form, subtype=subtype)
    for audio in (data, pipe(data)):
        found = measure(audio)
        assert not found.truncated
        assert found.duration == pytest.approx(whole.seconds, abs=0.2)
        list(cut(audio) if audio is data else cut(pipe(data)))
    part = data[: len(data) * 6 // 10 + 1]
    for audio in (part, pipe(part)):
        found = measure(audio)
        assert found.truncated
        assert found.duration == pytest.approx(0.6 * whole.seconds, abs=0.6)
        assert found.announced_duration == pytest.approx(whole.seconds, abs=0.6)
    with pytest.raises(CorruptAudioError, match=r"cut off: only 4\d\.\d s of the (6|7)\d\.\d s that it announces"):
        list(cut(part))
    flaws = Flaws()
    assert list(cut(part, flaws=flaws))
    assert flaws.truncated
    # One request, which its caller may judge by its text.
    assert load(part).seconds == pytest.approx(0.6 * whole.seconds, abs=0.6)


def swapped(data: bytes) -> bytes:
    """A WAV of 16 bits with all numbers the other way round."""
    numbers = struct.unpack("<IHHIIHH", data[16:36])
    head = b"RIFX" + struct.pack(">I", len(data) - 8) + b"WAVEfmt " + struct.pack(">IHHIIHH", *numbers)
    samples = np.frombuffer(data[44:], "<i2").astype(">i2").tobytes()
    return head + b"data" + struct.pack(">I", len(samples)) + samples


def test_a_big_endian_wav_that_was_cut_off_is_told(talk: Any, encoded: Any) -> None:
    data = swapped(encoded(talk(10).samples))
    assert not measure(data).truncated
    found = measure(data[: len(data) // 2])
    assert found.truncated
    assert found.announced_duration == pytest.approx(talk(10).seconds, abs=0.01)


def aiff(size: int, whole: int) -> bytes:
    comm = struct.pack(">4sIhIh10s", b"COMM", 18, 1, 32_000, 16, bytes.fromhex("400cfa00000000000000"))
    return b"FORM" + struct.pack(">I", whole) + b"AIFF" + comm + b"SSND" + struct.pack(">III", size, 0, 0)


def au(size: int) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, size, 3, 16_000, 1)


def caf(size: int) -> bytes:
    desc = struct.pack(">d4sIIIII", 16_000.0, b"lpcm", 0, 2, 1, 1, 16)
    return b"caff\0\1\0\0" + b"desc" + struct.pack(">Q", 32) + desc + b"data" + struct.pack(">QI", size, 0)


def w64(size: int) -> bytes:
    def guid(mark: bytes) -> bytes:
        return mark + bytes.fromhex("f3acd3118cd100c04f8edb8a")

    form = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
    riff = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + struct.pack("<Q", 128 + size)
    return riff + guid(b"wave") + guid(b"fmt ") + struct.pack("<Q", 40) + form + guid(b"data") + struct.pack("<Q", size)


@pytest.mark.parametrize(
    "head",
    [
        # ffmpeg and sox into a pipe, in this order, and who fills in but one of both sizes.
        *(aiff(0, 0), aiff(0x7F000008, 0x7F000050), aiff(0xFFFFFFFF, 0xFFFFFFFF), aiff(90_000, 0)),
        *(au(0xFFFFFFFF), caf((1 << 64) - 1), caf((1 << 63) - 1), w64((1 << 63) - 1)),
    ],
)
def test_a_size_that_was_left_open_announces_nothing(head: bytes, talk: Any) -> None:
    samples = np.resize(talk(2).samples, 32_000)
    kind = {b"FORM": "AIFF", b".snd": "AU", b"caff": "CAF", b"riff": "W64"}[head[:4]]
    data = head + samples.astype("<i2" if kind == "W64" else ">i2").tobytes()
    assert account_of(reader(data), len(data), kind) is None
    if kind in ("AU", "CAF"):
        found = measure(data)
        assert (found.duration, found.announced_duration, found.truncated) == (2.0, None, False)
        assert list(cut(data))


@pytest.mark.parametrize("head", [aiff(64_008, 64_054), au(64_000), caf(64_004), w64(64_024)])
def test_a_size_is_held_against_what_there_is(head: bytes) -> None:
    kind = {b"FORM": "AIFF", b".snd": "AU", b"caff": "CAF", b"riff": "W64"}[head[:4]]
    for there in (64_000, 64_900, 30_000):
        data = head + bytes(there)
        account = account_of(reader(data), len(data), kind)
        assert account is not None
        assert (account.announced, account.there) == (64_000, min(64_000, there))
    assert account.seconds(3.0) == 6.4
    assert account_of(reader(head), len(head), kind) is None


def nist(count: str, channels: int = 1) -> bytes:
    fields = f"channel_count -i {channels}\nsample_rate -i 16000\nsample_n_bytes -i 2\nsample_byte_format -s2 01\n"
    return f"NIST_1A\n   1024\n{fields}sample_coding -s3 pcm\n{count}end_head\n".encode().ljust(1024)


def test_nist_counts_the_samples_of_each_channel() -> None:
    data = nist("sample_count -i 500\n", 2) + bytes(2000)
    assert account_of(reader(data), len(data), "NIST") == Account(2000, 2000)
    assert account_of(reader(data[:1500]), 1500, "NIST") == Account(2000, 476)
    for left_open in ("", "sample_count -i 0\n", "sample_count -i 99999999999999\n", "sample_count -s1 9\n"):
        data = nist(left_open) + bytes(2000)
        assert account_of(reader(data), len(data), "NIST") is None
    assert account_of(reader(b"NIST_1A\n"), 8, "NIST") is None


def test_a_w64_of_a_pipe_is_read_to_its_end(talk: Any, pipe: Any) -> None:
    """ffmpeg leaves both sizes open, each in another way."""
    samples = talk(5).samples
    head = w64((1 << 63) - 1)
    data = head[:16] + b"\xff" * 8 + head[24:] + samples.tobytes()
    for audio in (data, pipe(data)):
        found = measure(audio)
        assert (found.duration, found.announced_duration, found.truncated) == (len(samples) / 16_000, None, False)
    assert mended(reader(data[:60]), 60, "W64") is None


def test_a_caf_of_any_size_is_read_to_its_end() -> None:
    samples = bytes(1000)
    for size in (1004, 5000, (1 << 64) - 1):
        data = caf(size) + samples
        change = mended(reader(data), len(data), "CAF")
        if change is not None:
            at, right = change
            data = data[:at] + right + data[at + len(right) :]
        assert soundfile.info(io.BytesIO(data)).frames == 500
    assert mended(reader(data), len(data), "CAF") is None
    assert mended(reader(data), len(data), "AIFF") is None


def reader(data: bytes) -> Any:
    return lambda at, size: data[at : at + size]


@given(st.binary(max_size=300), st.sampled_from(["AIFF", "AU", "CAF", "NIST", "W64", "WAV", "WAV (big-endian)", "MP4"]))
def test_any_bytes_have_an_answer(noise: bytes, name: str) -> None:
    for head in (b"", b"FORM\0\0\1\0AIFF", b"caff\0\1\0\0", b"RIFF\xff\0\0\0WAVE", b"RIFX\0\0\0\xffWAVE", w64(9)[:40]):
        data = head + noise
        account = account_of(reader(data), len(data), name)
        assert account is None or 0 < account.there <= account.announced
        assert account is None or account.there <= len(data)
        mended(reader(data), len(data), "CAF")
        mended(reader(data), len(data), "W64")
        boxes_of(reader(data), len(data))


def adts(length: int) -> bytes:
    return bytes((0xFF, 0xF1, 0x60, 0x40 | length >> 11, length >> 3 & 255, (length & 7) << 5 | 31, 0xFC)).ljust(length)


def ac3() -> bytes:
    # 192 kbit/s at 48 kHz.
    return b"\x0b\x77\0\0\x14\x40".ljust(768, b"\x55")


@pytest.mark.parametrize(("name", "frame"), [("AAC", adts(300)), ("AC3", ac3())])
def test_a_last_frame_that_is_not_whole_is_seen(name: str, frame: bytes) -> None:
    size = len(frame)
    for before in (b"", b"\x0b\x77\xff\xf1\xff" + bytes(90)):
        tail = before + frame * 8
        for whole in (False, True):
            assert not ends_within_frame(tail, whole, name)
            assert not ends_within_frame(tail + b"TAG" + bytes(125), whole, name)
            assert ends_within_frame(tail[: -size // 2], whole, name)
            assert ends_within_frame(tail + frame[:3], whole, name)
    # One frame alone may be chance, unless it is all there is.
    assert ends_within_frame(frame + frame[:100], True, name)
    assert not ends_within_frame(bytes(9) + frame + frame[:100], False, name)
    assert not ends_within_frame(b"", True, name)
    assert not ends_within_frame(bytes(50), False, name)


def box(kind: bytes, size: int, there: int | None = None, *, long: bool = False) -> bytes:
    head = struct.pack(">I4sQ", 1, kind, size) if long else struct.pack(">I4s", size, kind)
    return head + bytes((size if there is None else there) - len(head))


@pytest.mark.parametrize("long", [False, True])
def test_a_last_box_that_is_not_whole_is_seen(long: bool) -> None:
    whole = box(b"ftyp", 24) + box(b"moov", 200) + box(b"mdat", 5000, long=long)
    assert boxes_of(reader(whole), len(whole)) == Boxes(cut=False)
    for size in (len(whole) - 1, len(whole) - 4900):
        assert boxes_of(reader(whole[:size]), size) == Boxes(cut=True)
        fragment = box(b"moof", 30) + whole[:size]
        assert boxes_of(reader(fragment), len(fragment)) == Boxes(cut=True, fragments=True)
    # Up to the end of the file, unknown, or something else behind it.
    for behind in (box(b"mdat", 0, 99), box(b"mdat", 1 << 63, 99, long=True), b"TAG" + bytes(125), b"\0\0\0\x08", b""):
        data = whole + behind
        assert boxes_of(reader(data), len(data)) == Boxes(cut=False)


def page(flags: int, size: int = 3) -> bytes:
    """A page of OGG with one packet of `size` bytes."""
    return b"OggS\0" + bytes([flags]) + bytes(20) + b"\1" + bytes([size]) + bytes(size)


def test_the_last_page_of_an_ogg_has_its_mark_and_all_of_its_bytes() -> None:
    assert has_last_page(page(2) + page(0) + page(4))
    assert has_last_page(page(0) + page(4) + b"TAG" + bytes(125))
    assert not has_last_page(page(4) + page(0))
    last = page(4)
    assert not any(has_last_page(page(0) + last[:size]) for size in range(4, len(last)))
    assert has_last_page(b"")
    assert has_last_page(bytes(999)), "what is no OGG tells nothing"


@given(st.binary(max_size=200))
def test_the_last_page_alone_tells_whatever_stands_before_it(before: bytes) -> None:
    assert has_last_page(before + page(4))
    assert not has_last_page(before + page(0))
