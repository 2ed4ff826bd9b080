"""The size of a block: about a second, less where a header claims what would be large; the sound is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio import PCM, cut, decoded
from clova_speech_async.audio.decoded import block_frames


@pytest.mark.parametrize(
    ("rate", "channels", "frames"),
    [(16_000, 1, 16_000), (192_000, 2, 192_000), (48_000, 8, 48_000), (768_000, 64, 16_384), (1000, 64, 1000)],
)
def test_a_block_is_a_second_or_a_million_samples(rate: int, channels: int, frames: int) -> None:
    assert block_frames(rate, channels) == frames


@pytest.mark.parametrize("name", ["WAV", "FLAC", "MP3", "array"])
def test_the_size_of_blocks_changes_no_piece(
    name: str, talk: Any, encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mono = np.repeat(talk(70).samples, 3)
    samples = np.stack([mono, mono // 2], axis=1)
    audio = PCM(samples, 48_000) if name == "array" else encoded(samples, 48_000, format=name)
    pieces = list(cut(audio))
    assert len(pieces) == 2
    monkeypatch.setattr(decoded, "_MOST_SAMPLES", 20_000)
    assert block_frames(48_000, 2) == 10_000
    assert list(cut(audio)) == pieces
