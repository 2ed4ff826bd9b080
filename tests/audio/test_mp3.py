"""What an MP3 says of its length, and what is there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.audio import cut, load, measure
from clova_speech_async.audio.mp3 import length_of


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
