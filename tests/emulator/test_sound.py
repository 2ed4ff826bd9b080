from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from clova_speech_async.emulator import sound
from clova_speech_async.emulator.contract import Refusal
from clova_speech_async.emulator.sound import decode, format_of, measure

Tone = Callable[..., bytes]


def refused(body: bytes, limit: float = 60.0) -> str:
    with pytest.raises(Refusal) as caught:
        decode(body, max_seconds=limit)
    return caught.value.row.code


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 1), (44_100, 2), (48_000, 2)])
def test_formats_rates_and_channels(tone: Tone, kind: str, rate: int, channels: int) -> None:
    heard = decode(tone(1.5, rate=rate, channels=channels, kind=kind), max_seconds=60)
    assert heard.format == kind
    assert heard.seconds == pytest.approx(1.5, abs=0.08)
    assert len(heard.pcm) / 2 == pytest.approx(heard.seconds * 16_000, abs=2)
    wave = np.frombuffer(heard.pcm, "<i2")
    assert np.sqrt(np.square(wave[2000:-2000].astype(float)).mean()) == pytest.approx(0.1 / np.sqrt(2) * 32767, rel=0.1)


def packed(codec: str, container: str, wave: np.ndarray) -> bytes:
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize(("codec", "container", "name"), [("aac", "adts", "AAC"), ("aac", "ipod", "M4A")])
def test_formats_that_need_pyav(codec: str, container: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = packed(codec, container, 3000 * np.sin(np.arange(32_000) / 6))
    heard = decode(body, max_seconds=60)
    assert (heard.format, heard.seconds) == (name, pytest.approx(2.0, abs=0.2))
    assert refused(body, 1.0) == "STT001"
    assert refused(body[: len(body) // 10] if name == "M4A" else body[:10]) in ("STT006", "STT007")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(Refusal, match=rf"STT006 .* \(this emulator cannot decode {name}: pip install .*\[av\]'\)"):
        decode(body, max_seconds=60)


def test_formats_by_content() -> None:
    known = {
        b"RIFF\0\0\0\0WAVEfmt ": "WAV",
        b"RF64\0\0\0\0WAVEds64": "WAV",
        b"fLaC\0\0": "FLAC",
        b"OggS\0\2": "OGG",
        b"\x0b\x77\0\0": "AC3",
        b"\0\0\0\x20ftypM4A ": "M4A",
        b"ID3\3\0\0\0\0\0\2\0\0\xff\xfb": "MP3",
        b"ID3\3\0\0\0\0\0\2\0\0fLaC": "FLAC",
        b"\xff\xfb\x90\0": "MP3",
        b"\xff\xf3\x90\0": "MP3",
        b"\xff\xf1\x50\x80": "AAC",
        b"RIFF\0\0\0\0AVI LIST": None,
        b"FORM\0\0\0\0AIFF": None,
        b"hello": None,
        b"\xff": None,
        b"": None,
    }
    assert {body: format_of(body) for body in known} == known


def test_the_limit_is_exact(tone: Tone) -> None:
    assert decode(tone(frames=60 * 16_000), max_seconds=60).seconds == 60
    assert refused(tone(frames=60 * 16_000 + 1)) == "STT001"
    assert decode(tone(60, kind="FLAC"), max_seconds=60).seconds == 60
    assert refused(tone(frames=60 * 16_000 + 1, kind="FLAC")) == "STT001"


def test_a_flac_header_is_not_believed(tone: Tone) -> None:
    honest = tone(3, kind="FLAC")
    packed_bits = int.from_bytes(honest[18:26], "big")
    forged = honest[:18] + (packed_bits >> 36 << 36 | 16_000).to_bytes(8, "big") + honest[26:]
    assert soundfile.info(io.BytesIO(forged)).duration == 1.0
    assert decode(forged, max_seconds=60).seconds == 3.0
    assert refused(forged, 2.0) == "STT001"
    assert measure(forged).seconds == 1.0


def test_an_mp3_tag_is_not_believed(tone: Tone) -> None:
    honest = tone(3, kind="MP3")
    at = max(honest.find(b"Xing"), honest.find(b"Info"))
    assert at > 0
    forged = honest[: at + 8] + (20).to_bytes(4, "big") + honest[at + 12 :]
    assert soundfile.info(io.BytesIO(forged)).duration < 2
    assert decode(forged, max_seconds=60).seconds == decode(honest, max_seconds=60).seconds
    # No tag at all: libsndfile guesses by the first bit rate.
    bare = honest[sound._frame_size(honest, 0) :]
    assert decode(bare, max_seconds=60).seconds == pytest.approx(3, abs=0.15)
    assert decode(b"ID3\4\0\0\0\0\x08\0" + b"\0" * 1024 + bare, max_seconds=60).seconds == pytest.approx(3, abs=0.15)
    # A tag that counts no frames.
    uncounted = honest[: at + 7] + b"\0" + honest[at + 8 :]
    assert decode(uncounted, max_seconds=60).seconds == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "STT006"),
        (b"just text in a file named .wav", "STT006"),
        (b"fLaC", "STT006"),
        (b"ID3\4\0\0\0\0\0\0", "STT006"),
        (b"\xff\xfb\x90\0" + b"\0" * 100, "STT006"),
        (b"OggS" + b"\0" * 200, "STT006"),
        (b"\x0b\x77" + b"\0" * 200, "STT006"),
    ],
)
def test_what_is_no_audio(body: bytes, code: str) -> None:
    assert refused(body) == code


def test_damaged_waves(speech: bytes) -> None:
    assert refused(speech[:30]) == "STT006"
    assert refused(speech[:44]) == "STT007"
    assert decode(speech[:32_044], max_seconds=60).seconds == pytest.approx(1.0, abs=0.01)
    many = bytearray(speech)
    many[22:24] = struct.pack("<H", 30)
    many[32:34] = struct.pack("<H", 60)
    assert refused(bytes(many)) == "STT006"


def test_samples_that_are_no_numbers() -> None:
    file = io.BytesIO()
    wave = np.array([0.5, np.nan, np.inf, -np.inf, 3.0] * 1000, np.float32)
    soundfile.write(file, wave, 16_000, format="WAV", subtype="FLOAT")
    heard = np.frombuffer(decode(file.getvalue(), max_seconds=60).pcm, "<i2")
    assert heard[:5].tolist() == [16384, 0, 32767, -32768, 32767]


def test_measuring_reads_the_header_only(tone: Tone, speech: bytes) -> None:
    assert measure(speech).seconds == pytest.approx(5.895)
    assert measure(speech).pcm == b""
    for body, code in ((b"text", "STT006"), (b"fLaC", "STT006"), (tone(frames=0), "STT007")):
        with pytest.raises(Refusal) as caught:
            measure(body)
        assert caught.value.row.code == code


def test_nothing_is_printed_by_the_decoder(tone: Tone, capfd: Any, data: Path) -> None:
    for body in (tone(2, kind="MP3"), tone(2, kind="MP3")[:3000], (data / "sentences" / "01.ogg").read_bytes()):
        decode(body, max_seconds=60)
    assert capfd.readouterr().err == ""


def test_sixteen_bit_samples_come_out_as_they_went_in(speech: bytes) -> None:
    assert decode(speech, max_seconds=60).pcm == speech[44:]
