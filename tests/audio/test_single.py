"""One request from one recording."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async.audio import PCM, cut, load, measure, quick, quick_cut
from clova_speech_async.errors import AudioTooLargeError, AudioTooLongError, CorruptAudioError, EmptyAudioError

RATE = 16_000


def wav(samples: Any, rate: int = RATE, **wrong: int) -> bytes:
    """A canonical WAV file, byte by byte; `wrong` replaces fields of its header."""
    data = samples.tobytes()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    width = samples.dtype.itemsize
    field = {
        "riff": len(data) + 36,
        "code": 1,
        "channels": channels,
        "rate": rate,
        "byte_rate": rate * channels * width,
        "align": channels * width,
        "bits": 8 * width,
        "size": len(data),
    } | wrong
    return (
        struct.pack(
            "<4sI8sIHHIIHH4sI",
            b"RIFF",
            field["riff"],
            b"WAVEfmt ",
            16,
            *list(field.values())[1:7],
            b"data",
            field["size"],
        )
        + data
    )


def test_what_fits_goes_as_it_is(talk: Any, encoded: Any, pipe: Any, tmp_path: Any) -> None:
    samples = talk(5).samples
    for form in ("WAV", "FLAC", "MP3", "OGG"):
        data = encoded(samples, format=form)
        path = tmp_path / form
        path.write_bytes(data)
        for audio in (data, bytearray(data), memoryview(data), path, str(path), io.BytesIO(data), pipe(data)):
            piece = load(audio)
            assert piece.data == data
            assert piece.original
            assert (piece.index, piece.start, piece.channel) == (0, 0.0, None)
            assert piece.seconds == piece.end == pytest.approx(len(samples) / RATE, abs=0.08)


def test_silence_is_sent_where_it_is_asked_to_be_recognised(encoded: Any) -> None:
    data = encoded(np.zeros(RATE, np.int16))
    assert load(data).data == data


def test_a_minute_of_studio_quality_is_too_large_as_it_is_and_fits_as_flac(heard: Any) -> None:
    noise = np.random.default_rng(1).integers(-9000, 9000, (60 * 44_100, 2)).astype(np.int16)
    data = wav(noise, 44_100)
    assert len(data) > 10_000_000
    piece = load(data)
    assert not piece.original
    assert len(piece.data) < 2_000_000
    assert piece.seconds == len(heard(piece.data)) / RATE == 60.0


@pytest.mark.parametrize("form", ["FLAC", "WAV", "MP3"])
def test_more_than_a_minute_is_refused_with_the_remedy(form: str, encoded: Any) -> None:
    data = encoded(np.random.default_rng(1).integers(-9, 9, 61 * RATE).astype(np.int16), format=form)
    with pytest.raises(AudioTooLongError, match=r"longer than 60 seconds.*transcribe\(\)") as caught:
        load(data)
    assert caught.value.limit == 60.0


def test_what_cannot_be_made_small_enough_is_refused(talk: Any) -> None:
    with pytest.raises(AudioTooLargeError, match="more than the 1000") as caught:
        load(PCM(talk(5).samples, RATE), max_bytes=1000)
    assert caught.value.limit == 1000
    assert caught.value.size is not None
    assert caught.value.size > 1000


def test_eight_kilohertz_is_re_encoded_at_sixteen(talk: Any, heard: Any) -> None:
    piece = load(wav(talk(5).samples[::2], 8000))
    assert not piece.original
    assert abs(len(heard(piece.data)) - piece.seconds * RATE) < 1


def test_a_header_that_lies_is_not_passed_on(talk: Any, heard: Any) -> None:
    samples = talk(5).samples
    for wrong in ({"size": 0xFFFFFFFF, "riff": 0xFFFFFFFF}, {"size": 0}, {"riff": 0}, {"size": 10**6}):
        piece = load(wav(samples, **wrong))
        assert not piece.original, wrong
        assert np.array_equal(heard(piece.data), samples), wrong
    lying = bytearray(b"")
    lying += _flac_claiming(samples, 3600 * RATE)
    piece = load(bytes(lying))
    assert not piece.original
    assert np.array_equal(heard(piece.data), samples)


def _flac_claiming(samples: Any, frames: int) -> bytes:
    from clova_speech_async.audio.encode import flac

    data = bytearray(flac(samples))
    # Bytes 18 to 25 of the file: rate (20 bits), channels, bits, and 36 bits of the number of samples.
    packed = int.from_bytes(data[18:26], "big")
    data[18:26] = (packed >> 36 << 36 | frames).to_bytes(8, "big")
    return bytes(data)


def test_a_flac_header_that_claims_less_does_not_hide_what_is_there(talk: Any) -> None:
    samples = talk(90).samples
    with pytest.raises(AudioTooLongError):
        load(_flac_claiming(samples, 10 * RATE))
    short = load(_flac_claiming(samples[: 30 * RATE], 10 * RATE))
    assert short.seconds == 30
    assert not short.original


def test_cut_off_data_is_used_and_a_cut_off_header_refused(talk: Any, heard: Any) -> None:
    samples = talk(5).samples
    data = wav(samples)
    piece = load(data[:50_045])
    assert np.array_equal(heard(piece.data), samples[:25_000])
    for size in (4, 20, 43):
        with pytest.raises((CorruptAudioError, Exception)) as caught:
            load(data[:size])
        assert "AudioError" in [base.__name__ for base in type(caught.value).__mro__]
    with pytest.raises(EmptyAudioError):
        load(data[:44])


def test_not_a_number_in_a_file_becomes_silence_and_infinity_full_scale(heard: Any) -> None:
    samples = np.full(RATE, 0.5, np.float32)
    samples[100:200] = np.nan
    samples[300:400] = np.inf
    samples[500:600] = -7.0
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    out = heard(load(file.getvalue()).data)
    assert set(out[100:200]) == {0}
    assert set(out[300:400]) == {32767}
    assert set(out[500:600]) == {-32768}
    assert set(out[1000:]) == {16384}


def test_quick_takes_plain_wav_and_agrees_with_load(talk: Any) -> None:
    for samples in (
        talk(5).samples,
        np.stack([talk(5).samples] * 2, axis=1),
        talk(60).samples[: 60 * RATE],
        np.zeros(90, np.int16),
    ):
        data = wav(samples)
        piece = quick(data)
        assert piece is not None
        assert piece == load(data)
        assert piece.data is data


def test_quick_cut_takes_what_has_one_piece_whatever_is_left_out(talk: Any) -> None:
    short, longer = wav(talk(15).samples[: 15 * RATE]), wav(talk(16).samples)
    assert [quick_cut(short)] == list(cut(short))
    assert quick(longer) is not None
    assert quick_cut(longer) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 0xFFFFFFFF},
        {"size": 10_001},
        {"riff": 0},
        {"riff": 99},
        {"code": 3},
        {"channels": 0},
        {"channels": 3},
        {"rate": 8000},
        {"rate": 0},
        {"byte_rate": 1},
        {"align": 0},
        {"bits": 12},
        {"bits": 0},
    ],
)
def test_quick_leaves_whatever_is_odd_to_load(wrong: dict[str, int], talk: Any) -> None:
    assert quick(wav(talk(1).samples, **wrong)) is None


def test_quick_leaves_all_else_to_load(talk: Any, encoded: Any) -> None:
    samples = talk(61).samples
    for other in (
        wav(samples),
        bytearray(wav(samples[:100])),
        "a path",
        None,
        b"",
        b"RIFF",
        encoded(samples, format="FLAC"),
    ):
        assert quick(other) is None
    assert quick(wav(samples[:100]) + b"LIST") is None


@given(st.binary(min_size=0, max_size=80), st.integers(0, 44))
@settings(deadline=None)
def test_quick_never_says_yes_where_load_says_otherwise(noise: bytes, at: int) -> None:
    good = wav(np.arange(400, dtype=np.int16))
    data = good[:at] + noise + good[at + len(noise) :]
    piece = quick(data)
    if piece is not None:
        assert load(data) == piece


def test_quick_is_quick(talk: Any) -> None:
    """No clock: a call may not even look at the samples, so it takes the same few steps for any length."""
    import sys

    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    data = wav(talk(60).samples[: 60 * RATE])
    sys.setprofile(count)
    try:
        assert quick(data) is not None
        assert quick_cut(data) is None
    finally:
        sys.setprofile(None)
    assert steps < 40


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_what_is_nothing_but_zeros_is_not_sent(subtype: str, encoded: Any, talk: Any) -> None:
    data = encoded(np.zeros(160_000, np.int16), subtype=subtype)
    assert quick_cut(data) is None
    assert list(cut(data)) == []
    assert measure(data).requests == 0
    assert load(data) == quick(data), "one request is one request"
    assert list(cut(encoded(np.zeros(160_000, np.int16), format="MP3"))) == []
    low = np.zeros(160_000, np.int16)
    low[100_000] = 600
    (piece,) = cut(encoded(low, subtype=subtype))
    assert quick_cut(encoded(low, subtype=subtype)) == piece, "the same costs the same however it comes"
    opposite = np.stack([talk(4).samples, -talk(4).samples], axis=1)
    (piece,) = cut(encoded(opposite, subtype=subtype))
    assert quick_cut(encoded(opposite, subtype=subtype)) == piece
