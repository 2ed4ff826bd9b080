"""Lengths by their own account, of files that nothing here may be able to decode."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.audio.lengths import claimed_seconds


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def adts(length: int, rate_index: int = 8, blocks: int = 1) -> bytes:
    head = bytes(
        [
            0xFF,
            0xF1,
            0x40 | rate_index << 2,
            0x40 | length >> 11,
            length >> 3 & 255,
            (length & 7) << 5 | 31,
            0xFC | blocks - 1,
        ]
    )
    return head + bytes(length - 7)


def mvhd(scale: int, length: int, version: int = 0) -> bytes:
    times = struct.pack(">QQIQ", 0, 0, scale, length) if version else struct.pack(">IIII", 0, 0, scale, length)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + bytes(80))


def test_aac_frames_are_counted() -> None:
    assert claimed_seconds(adts(200) * 50, "AAC") == pytest.approx(50 * 1024 / 16_000)
    assert claimed_seconds(b"ID3\4\0\0\0\0\0\5" + bytes(5) + adts(200, 4, 2) * 9, "AAC") == pytest.approx(
        18 * 1024 / 44_100
    )


def test_ac3_frames_are_counted() -> None:
    frame = b"\x0b\x77\0\0" + bytes([0 << 6 | 8 << 1]) + bytes(2 * 128 * 96 // 48 - 5)
    assert claimed_seconds(frame * 20, "AC3") == pytest.approx(20 * 1536 / 48_000)
    odd = b"\x0b\x77\0\0" + bytes([1 << 6 | 9]) + bytes(2 * (64 * 96_000 // 44_100 + 1) - 5)
    assert claimed_seconds(odd * 3, "AC3") == pytest.approx(3 * 1536 / 44_100)


@pytest.mark.parametrize("version", [0, 1])
def test_m4a_says_it_in_its_header(version: int) -> None:
    data = (
        box(b"ftyp", b"M4A ") + box(b"mdat", bytes(999)) + box(b"moov", box(b"udta", b"") + mvhd(1000, 12_500, version))
    )
    assert claimed_seconds(data, "M4A") == 12.5
    large = struct.pack(">I4sQ", 1, b"mdat", 16 + 4) + bytes(4) + box(b"moov", mvhd(1000, 1500, version))
    assert claimed_seconds(large, "M4A") == 1.5
    to_the_end = struct.pack(">I4s", 0, b"moov") + mvhd(1000, 2500, version)
    assert claimed_seconds(to_the_end, "M4A") == 2.5


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (adts(200) * 5 + bytes(1000), "AAC"),
        (b"", "AAC"),
        (bytes(50), "AAC"),
        (b"\x0b\x77\0\0\xc0\0", "AC3"),
        (b"\x0b\x77\0\0\x3e\0", "AC3"),
        (b"", "AC3"),
        (box(b"ftyp", b"M4A "), "M4A"),
        (box(b"moov", b""), "M4A"),
        (box(b"moov", mvhd(0, 10)), "M4A"),
        (box(b"moov", mvhd(1000, 0)), "M4A"),
        (box(b"moov", mvhd(1000, 0xFFFFFFFF)), "M4A"),
        (box(b"moov", box(b"mvhd", bytes(8))), "M4A"),
        (struct.pack(">I4s", 3, b"moov"), "M4A"),
        (b"RIFF", "WAV"),
    ],
)
def test_no_account_is_none(data: bytes, name: str) -> None:
    assert claimed_seconds(data, name) is None


@given(st.binary(max_size=400), st.sampled_from(["AAC", "AC3", "M4A"]))
def test_any_bytes_have_an_answer(data: bytes, name: str) -> None:
    seconds = claimed_seconds(data, name)
    assert seconds is None or seconds > 0
