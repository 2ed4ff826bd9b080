"""The first bytes tell the format, never the name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.audio import load
from clova_speech_async.audio.formats import Kind, beginning_of, foreign, id3_size, sniff
from clova_speech_async.errors import UnsupportedFormatError


def id3(size: int) -> bytes:
    return b"ID3\x04\x00\x00" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + bytes(size)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("WAV", "WAV"),
        ("WAVEX", "WAV"),
        ("RF64", "RF64"),
        ("W64", "W64"),
        ("AIFF", "AIFF"),
        ("AU", "AU"),
        ("CAF", "CAF"),
        ("FLAC", "FLAC"),
        ("MP3", "MP3"),
        ("OGG", "OGG"),
        ("VOC", "VOC"),
        ("NIST", "NIST"),
    ],
)
def test_what_libsndfile_writes_is_known(form: str, name: str, talk: Any, encoded: Any) -> None:
    kind = sniff(encoded(talk(1).samples, format=form)[:4096])
    assert kind is not None
    assert kind.name == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82\x84webm", "WebM"),
        (b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x82\x88matroska", "Matroska"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "M4A"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", "MP4"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "MP4"),
        (b"\x0b\x77" + bytes(20), "AC3"),
        (b"#!AMR\n" + bytes(20), "AMR"),
        (b"G" + bytes(187) + b"G" + bytes(187), "MPEG transport stream"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "WMA or ASF"),
        (b"FLV\x01\x05", "FLV"),
        (b"RIFX\0\0\0\0WAVE", "WAV (big-endian)"),
    ],
)
def test_other_magic_bytes(head: bytes, name: str) -> None:
    kind = sniff(head)
    assert kind is not None
    assert kind.name == name


def test_aac_frames_are_told_from_mp3_frames() -> None:
    frame = bytes([0xFF, 0xF1, 0x60, 0x40, 0x04, 0x1F, 0xFC]) + bytes(25)
    assert (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5 == 32
    kind = sniff(frame * 4)
    assert kind is not None
    assert kind.name == "AAC"


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_mpeg_frames_of_every_layer(layer: int) -> None:
    head = bytes([0xFF, 0xF9 | (4 - layer) << 1, 0x90, 0xC0])
    length = {1: (12_000 * 288 // 44_100) * 4, 2: 144_000 * 160 // 44_100, 3: 144_000 * 128 // 44_100}[layer]
    kind = sniff((head + bytes(length - 4)) * 3)
    assert kind is not None
    assert kind.name == "MP3"


@pytest.mark.parametrize("head", [b"", b"h", b"hello, this is a text", b"%PDF-1.7", b"\x89PNG\r\n", b"PK\3\4"])
def test_other_files_are_no_audio(head: bytes, tmp_path: Path) -> None:
    assert sniff(head) is None
    if head:
        path = tmp_path / "talk.wav"
        path.write_bytes(head)
        with pytest.raises(UnsupportedFormatError, match="it begins with"):
            load(path)


@given(st.binary(max_size=3000))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    assert sniff(head) is None or isinstance(sniff(head), Kind)
    assert id3_size(head) >= 0


@pytest.mark.parametrize("size", [0, 5, 1_000_000])
def test_an_mp3_behind_a_tag_with_album_art_is_known(size: int, talk: Any, encoded: Any, pipe: Any) -> None:
    data = id3(size) + encoded(talk(3).samples, format="MP3")
    assert id3_size(data[:10]) == size + 10
    for audio in (data, pipe(data)):
        piece = load(audio)
        assert piece.data == data
        assert 2.5 < piece.seconds < 3.5
    assert load(id3(3) + data).seconds == load(data).seconds


def test_a_tag_may_stand_before_flac(talk: Any, encoded: Any) -> None:
    data = id3(500) + encoded(talk(3).samples, format="FLAC")
    assert load(data).seconds == load(data[510:]).seconds


@pytest.mark.parametrize("head", [b"ID3", b"ID3\xff\0\0\0\0\0\5", b"ID3\4\0\0\x80\0\0\0", b"id3\4\0\0\0\0\0\5"])
def test_what_only_looks_like_a_tag_is_none(head: bytes) -> None:
    assert id3_size(head) == 0


def test_a_tag_with_footer_is_ten_bytes_longer() -> None:
    assert id3_size(b"ID3\4\0\x10\0\0\0\5") == 25


def test_the_name_does_not_matter(talk: Any, encoded: Any, tmp_path: Path) -> None:
    samples = talk(2).samples
    path = tmp_path / "talk.mp3"
    path.write_bytes(encoded(samples))
    assert load(path).seconds == len(samples) / 16_000


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\xef\xbb\xbf\n<html>", "web page"),
        (b' {"error": 1}', "web page"),
        (b"UklGRiQA", "base64"),
        (b"PK\x03\x04", "unpack"),
        (b"\x1f\x8b\x08", "unpack"),
        (b"MThd", "MIDI"),
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF', "multipart form.*UploadFile"),
        (b"\r\n--b\r\nContent-Type: audio/wav\r\ncontent-disposition: form-data\r\n\r\n", "multipart form"),
        (b"--b\r\nno form", r"PCM\(data, sample_rate=…\)"),
        (b"\x89PNG", "picture"),
        (bytes(20), r"PCM\(data, sample_rate=…\)"),
    ],
)
def test_what_is_no_audio_says_what_to_do(head: bytes, words: str) -> None:
    assert re.search(words, foreign(head))


def test_few_bytes_of_a_container_are_its_beginning() -> None:
    assert [beginning_of(b"RIFF" + bytes(size)) for size in (0, 7, 8)] == ["WAV", "WAV", None]
    assert [beginning_of(b"FORM" + bytes(size)) for size in (0, 7, 8)] == ["AIFF", "AIFF", None]
    assert beginning_of(b"RIF") is None
