"""Any rate and number of channels to 16 kHz, one voice or one per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio.convert import Converter


def convert(samples: Any, rate: int, *, each: bool = False, block: int = 5000) -> list[Any]:
    converter = Converter(rate, samples.shape[1], each=each)
    parts = [converter.convert(samples[at : at + block]) for at in range(0, len(samples), block)]
    parts.append(converter.finish())
    return [np.concatenate([part[voice] for part in parts]) for voice in range(converter.voices)]


def test_sixteen_bits_at_sixteen_kilohertz_pass_bit_for_bit() -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, (20_000, 3), np.int16, endpoint=True)
    assert np.array_equal(convert(samples[:, :1], 16_000)[0], samples[:, 0])
    for channel, voice in enumerate(convert(samples, 16_000, each=True)):
        assert np.array_equal(voice, samples[:, channel])


def test_a_mix_is_the_mean() -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, (9000, 2), np.int16, endpoint=True)
    (mixed,) = convert(samples, 16_000)
    assert np.abs(mixed - samples.astype(int).sum(axis=1) / 2).max() <= 0.5


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_a_tone_stays_a_tone(rate: int, kind: Any) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate * 2) / rate)
    samples = (tone * 32768).astype(np.int16) if kind is np.int16 else tone.astype(np.float32)
    (out,) = convert(samples.reshape(-1, 1), rate)
    assert len(out) == pytest.approx(32_000, abs=1)
    expected = 16_384 * np.sin(2 * np.pi * 440 * np.arange(len(out)) / 16_000)
    assert np.abs(out - expected)[500:-500].max() < 20


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_blocks_of_any_length_give_the_same(rate: int) -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, (100_000, 2)).astype(np.float32)
    whole = convert(samples, rate, block=100_000)[0]
    for block in (333, 48_000, 70_001):
        assert np.abs(convert(samples, rate, block=block)[0].astype(int) - whole).max() <= 1


def test_nothing_gives_nothing() -> None:
    for rate in (16_000, 44_100):
        assert len(convert(np.zeros((0, 1), np.float32), rate)[0]) == 0
    assert [len(voice) for voice in Converter(16_000, 2, each=False).convert(np.zeros((0, 2), np.int16))] == [0]


def test_what_is_not_a_number_does_not_spread() -> None:
    samples = np.zeros((48_000, 1), np.float32)
    samples[24_000] = np.nan
    samples[12_000] = np.inf
    (out,) = convert(samples, 48_000)
    assert set(out[6000:].tolist()) == {0}
    assert 0 < np.abs(out[3900:4100]).max() <= 32767
