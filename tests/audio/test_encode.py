"""Uploads that hold the samples they were made of."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
import soundfile

from clova_speech_async.audio.encode import digest_of, flac


@pytest.mark.parametrize("length", [1, 159, 80_000, 80_001, 960_000])
def test_flac_is_lossless(length: int, heard: Any) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32767, length, np.int16, endpoint=True)
    data = flac(samples)
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, info.channels, info.format, info.subtype) == (16_000, 1, "FLAC", "PCM_16")
    assert info.frames == length
    assert np.array_equal(heard(data), samples)
    assert len(data) < 2 * length + 20_000


def test_speech_gets_smaller(talk: Any) -> None:
    samples = talk(30).samples
    assert len(flac(samples)) < 0.8 * samples.nbytes


def test_the_digest_hangs_on_the_samples_alone() -> None:
    samples = np.arange(1000, dtype=np.int16)
    prefix = b"clova-speech-async pcm s16le 16000 mono\n"
    assert digest_of(samples) == hashlib.sha256(prefix + samples.astype("<i2").tobytes()).digest()
    assert digest_of(samples) == digest_of(samples.astype(">i2"))
    assert digest_of(samples) != digest_of(samples[:-1])
