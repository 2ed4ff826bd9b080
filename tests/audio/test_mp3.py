"""What an MP3 says of its length, and what is there."""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async.audio import Flaws, cut, load, measure
from clova_speech_async.audio.decode import open_audio
from clova_speech_async.audio.formats import mp3_frame
from clova_speech_async.audio.frames import Frames
from clova_speech_async.audio.mp3 import length_of
from clova_speech_async.errors import CorruptAudioError


def claiming(data: bytes, frames: int) -> bytes:
    length = length_of(data[:4096])
    assert length is not None
    return data[: length.at] + frames.to_bytes(4, "big") + data[length.at + 4 :]


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_length_is_told_to_the_sample(rate: int, talk: Any, encoded: Any) -> None:
    samples = np.resize(talk(5).samples, 3 * rate + 77)
    data = encoded(samples, rate, format="MP3")
    length = length_of(data[:4096])
    assert length is not None
    assert length.samples == len(samples)
    assert load(data).seconds == len(samples) / rate
    assert load(data).original


def test_a_minute_of_mp3_is_a_minute(talk: Any, encoded: Any) -> None:
    data = encoded(np.resize(talk(30).samples, 960_000), format="MP3")
    assert load(data).seconds == 60.0
    assert load(data).original


@pytest.mark.parametrize("frames", [1, 50, 5000, 0xFFFFFFFF])
def test_a_length_that_lies_hides_nothing_and_is_not_passed_on(frames: int, talk: Any, encoded: Any) -> None:
    samples = talk(20).samples
    data = claiming(encoded(samples, format="MP3"), frames)
    piece = load(data)
    assert piece.seconds == pytest.approx(len(samples) / 16_000, abs=0.15)
    assert not piece.original


def test_a_bit_rate_that_changes_is_not_cut_short(talk: Any, encoded: Any) -> None:
    """The reader guesses the length from the first frames, where nothing tells it; here they are the dearest."""
    loud = np.random.default_rng(1).integers(-20_000, 20_000, 32_000).astype(np.int16)
    data = encoded(np.concatenate([loud, talk(70).samples // 50]), format="MP3", subtype="MPEG_LAYER_III")
    length = length_of(data[:4096])
    assert length is not None
    bare = data[: length.at - 8] + bytes(8) + data[length.at :]
    assert length_of(bare[:4096]) is None
    assert measure(bare).duration == pytest.approx(measure(data).duration, abs=0.2)


def test_files_put_behind_each_other_are_heard_to_the_end(talk: Any, encoded: Any, pipe: Any) -> None:
    one = talk(25).samples
    for form in ("MP3", "FLAC", "OGG"):
        data = encoded(one, format=form)
        for audio in (data * 3, pipe(data * 3)):
            pieces = list(cut(audio))
            assert pieces[-1].end == pytest.approx(3 * len(one) / 16_000, abs=0.5), form
        assert not load(data * 2).original, form


@given(st.binary(max_size=300))
def test_any_bytes_have_an_answer(noise: bytes) -> None:
    for head in (noise, b"\xff\xfb\x90\xc0" + bytes(32) + b"Xing\0\0\0\x0f" + noise):
        length = length_of(head)
        assert length is None or length.samples >= 0


def lost(data: bytes, at: int, size: int, filler: bytes = b"\0") -> bytes:
    return data[:at] + (filler * size)[:size] + data[at + size :]


@pytest.mark.parametrize("size", [300, 2000, 20_000])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_what_follows_damage_is_heard_at_its_time(size: int, rate: int, talk: Any, encoded: Any, pipe: Any) -> None:
    samples = np.resize(talk(60).samples, 90 * rate)
    data = encoded(samples, rate, format="MP3")
    whole = sound(data)
    at = len(data) // 3
    for broken in (
        lost(data, at, size),
        lost(data, at, size, np.random.default_rng(2).bytes(size)),
        data[:at] + data[at + size :],
    ):
        for audio in (broken, pipe(broken)):
            heard = sound(audio)
            shift = shift_of(heard, whole, 1152 if rate > 24_000 else 576)
            # What was overwritten has its place, as far as a changing bit rate tells; of what was cut out nobody knows
            # how much it was.
            hole = 2 * size * len(whole) // len(data)
            assert abs(shift) <= (hole // 4 if len(broken) == len(data) else hole) + 3 * 1152
        found = measure(broken)
        assert 0 < found.lost_seconds < 20
        if len(broken) == len(data):
            assert found.announced_duration == 90.0
        assert not next(cut(broken)).original


def shift_of(heard: Any, whole: Any, frame: int) -> int:
    """By how many samples the second half of what is heard is too early."""
    at, size = len(whole) * 2 // 3, 20_000
    for frames in sorted(range(-1500, 1500), key=abs):
        part = whole[at + frames * frame :][:size]
        if len(part) == size and np.allclose(heard[at : at + size], part, atol=1e-5):
            return frames * frame
    raise AssertionError("it is not the same sound")


def sound(audio: Any) -> Any:
    decoded = open_audio(audio)
    with contextlib.closing(decoded.source):
        return np.concatenate(list(decoded.blocks))


def test_damage_is_told_in_the_log(talk: Any, encoded: Any, caplog: pytest.LogCaptureFixture) -> None:
    data = encoded(talk(40).samples, format="MP3")
    measure(lost(data, len(data) // 2, 1000))
    (record,) = caplog.records
    assert "seconds are lost in 1 places, the first at 2" in record.getMessage()


def test_files_of_other_rates_and_channels_follow(talk: Any, encoded: Any, pipe: Any) -> None:
    one = talk(20).samples
    parts = [encoded(one, format="MP3"), encoded(np.resize(one, 10 * 22_050), 22_050, format="MP3")]
    parts.append(encoded(np.stack([one, one], axis=1)[: 16_000 * 10], format="MP3"))
    expected = len(one) / 16_000 + 20
    for audio in (b"".join(parts), pipe(b"".join(parts))):
        heard = sound(audio)
        assert heard.shape[1] == 1
        assert len(heard) / 16_000 == pytest.approx(expected, abs=0.3)
        last = sound(parts[-1])[10_000:150_000].mean(axis=1)
        assert np.abs(heard[-150_000:-10_000]).mean() == pytest.approx(np.abs(last).mean(), rel=0.1)
    found = measure(b"".join(parts))
    assert found.lost_seconds == 0
    assert not found.truncated
    assert found.announced_duration == pytest.approx(expected)


@pytest.mark.parametrize("tag", [b"TAG" + bytes(125), b"ID3\4\0\0\0\0\2\0" + b"\xff\xfb\x90" * 85 + b"\0", None])
def test_tags_between_and_behind_are_no_damage(tag: bytes | None, talk: Any, encoded: Any) -> None:
    if tag is None:
        tag = ape(0xA0000000) + bytes(400) + ape(0x80000000)
    data = encoded(talk(20).samples, format="MP3")
    assert load(data + tag).original
    for audio in (data + tag, data + tag + data, data + tag + tag + data + tag):
        found = measure(audio)
        assert (found.lost_seconds, found.truncated) == (0, False)
        assert found.duration == pytest.approx(talk(20).seconds * audio.count(data), abs=0.2)


def ape(flags: int) -> bytes:
    return b"APETAGEX" + struct.pack("<IIII", 2000, 432, 1, flags) + bytes(8)


def test_one_that_was_cut_off_is_told(talk: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(talk(150).samples, format="MP3")
    part = data[: len(data) * 7 // 10 + 3]
    found = measure(part)
    assert found.truncated
    assert found.announced_duration == pytest.approx(talk(150).seconds)
    pieces, flaws = [], Flaws()
    with pytest.raises(
        CorruptAudioError, match=r"cut off: only \d+\.\d s of the 1\d\d\.\d s that it announces .*partial"
    ):
        pieces.extend(cut(pipe(part)))
    assert list(cut(part, flaws=flaws))[-1].end > 0.65 * talk(150).seconds
    assert flaws.truncated
    assert flaws.broken_off
    short = encoded(talk(10).samples, format="MP3")
    with pytest.raises(CorruptAudioError, match="was cut off"):
        load(short[: len(short) // 2 + 1])


def test_much_that_is_no_sound_at_the_end_is_told(talk: Any, encoded: Any) -> None:
    data = encoded(talk(30).samples, format="MP3")
    assert measure(data + b"\x55" * 40_000).truncated
    assert not measure(data + bytes(2000)).truncated


@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 22_050, 24_000, 32_000, 48_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_ordinary_files_have_no_flaw(rate: int, mode: str, talk: Any) -> None:
    samples = np.resize(talk(10).samples, 8 * rate)
    for voices in (samples, np.stack([samples, samples // 3], axis=1)):
        out = io.BytesIO()
        channels = 1 if voices.ndim == 1 else 2
        with soundfile.SoundFile(out, "w", rate, channels, "MPEG_LAYER_III", format="MP3", bitrate_mode=mode) as file:
            file.write(voices)
        for audio in (out.getvalue(), out.getvalue() + b"TAG" + bytes(125)):
            found = measure(audio)
            assert (found.lost_seconds, found.truncated) == (0, False)
            assert found.duration == pytest.approx(8.0, abs=0.001)
        out.seek(0)
        expected, _ = soundfile.read(out, dtype="float32", always_2d=True)
        assert np.allclose(sound(out.getvalue()), expected, atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 3000), st.binary(max_size=40)), max_size=5))
@settings(max_examples=60, deadline=None)
def test_any_damage_leaves_whole_frames(damage: list[tuple[int, int, bytes]]) -> None:
    data = FRAMES
    for at, size, filler in damage:
        data = data[: at % len(data)] + filler + data[at % len(data) + size :]
    frames = Frames(io.BytesIO(data))
    out = bytearray()
    while True:
        while part := frames.read(1000):
            out += part
        if not frames.turn():
            break
    at = 0
    while at < len(out):
        size = mp3_frame(bytes(out[at : at + 4]), 0)
        assert size
        at += size
    assert at == len(out)
    assert len(out) <= len(data) + 3 * 1045 * len(damage)
    if not damage:
        assert out == data


FRAMES = b"".join(
    (head := bytes((0xFF, 0xFB, 0x10 * bits | 2 * pad, 0xC4))) + bytes(mp3_frame(head, 0) - 4)
    for bits, pad in [(1, 0), (9, 1), (14, 0), (5, 1)] * 60
)
