"""Speech with known words, made from nothing: a buzzing voice with two formants, hissing beginnings, and silence."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import soundfile

RATE = 16_000


@dataclass(frozen=True)
class Speech:
    samples: np.ndarray[Any, Any]
    """int16, 16 kHz, mono."""
    words: tuple[tuple[float, float], ...]
    """Begin and end of every word in seconds."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


def _words(count: int, seed: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    words = []
    for _ in range(count):
        length = int(random.uniform(0.15, 0.6) * RATE)
        time = np.arange(length) / RATE
        pitch = random.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * random.uniform(1, 4) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        low, high = random.uniform(300, 800), random.uniform(1000, 2500)
        voice = np.zeros(length)
        for harmonic in range(1, 18):
            at = harmonic * pitch.mean()
            weight = np.exp(-(((at - low) / 200) ** 2)) + 0.4 * np.exp(-(((at - high) / 300) ** 2)) + 0.02
            voice += weight * np.sin(harmonic * phase)
        hiss = random.normal(0, 0.4, length) * (time < random.uniform(0, 0.08))
        syllables = 0.55 + 0.45 * np.sin(2 * np.pi * random.uniform(2, 5) * time + random.uniform(0, 6))
        word = (voice * syllables + hiss) * random.uniform(0.5, 1.0)
        edge = min(80, length // 4)
        word[:edge] *= np.linspace(0, 1, edge)
        word[-edge:] *= np.linspace(1, 0, edge)
        words.append(word)
    return words


_VOCABULARY: list[np.ndarray[Any, Any]] = []


def _speech(gaps: Sequence[float], *, seed: int = 0, lead: float = 0.0, tail: float = 0.0) -> Speech:
    """One word more than there are gaps (seconds)."""
    if not _VOCABULARY:
        _VOCABULARY.extend(_words(60, 1))
    random = np.random.default_rng(seed)
    picks = random.integers(len(_VOCABULARY), size=len(gaps) + 1)
    parts, spans, at = [np.zeros(round(lead * RATE))], [], round(lead * RATE)
    for pick, gap in zip(picks, [*gaps, tail], strict=True):
        word, silence = _VOCABULARY[pick], np.zeros(round(gap * RATE))
        parts += [word, silence]
        spans.append((at / RATE, (at + len(word)) / RATE))
        at += len(word) + len(silence)
    return Speech(np.rint(np.concatenate(parts) * 6000).astype(np.int16), tuple(spans))


@pytest.fixture(scope="session")
def speech() -> Callable[..., Speech]:
    """`speech(gaps, seed=, lead=, tail=)`."""
    return _speech


@pytest.fixture(scope="session")
def talk() -> Callable[..., Speech]:
    """`talk(seconds, shortest=, longest=, seed=)`: about so many seconds of words with gaps of these lengths."""

    def make(seconds: float, shortest: float = 0.1, longest: float = 0.4, seed: int = 0) -> Speech:
        random = np.random.default_rng(seed)
        count = int(seconds / (0.375 + (shortest + longest) / 2))
        return _speech(random.uniform(shortest, longest, count).tolist(), seed=seed)

    return make


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """`encoded(samples, rate, format=, subtype=)`: a file's bytes."""

    def make(samples: Any, rate: int = RATE, *, format: str = "WAV", subtype: str | None = None) -> bytes:  # noqa: A002
        out = io.BytesIO()
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        if subtype in ("FLOAT", "DOUBLE"):
            samples = samples / 32768
        with soundfile.SoundFile(out, "w", rate, channels, subtype, format=format) as file:
            # In blocks: libsndfile crashes when it writes a long OGG in one call.
            for at in range(0, len(samples), 8000):
                file.write(samples[at : at + 8000])
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def heard() -> Callable[[bytes], Any]:
    """`heard(data)`: what is in an upload, int16."""

    def read(data: bytes) -> Any:
        return soundfile.read(io.BytesIO(data), dtype="int16")[0]

    return read


class Pipe:
    """A reader that cannot be sought, and gives little at a time."""

    def __init__(self, data: bytes, most: int = 7001) -> None:
        self._data = data
        self._most = most
        self.at = 0

    def read(self, size: int) -> bytes:
        part = self._data[self.at : self.at + min(size, self._most)]
        self.at += len(part)
        return part


@pytest.fixture(scope="session")
def pipe() -> type[Pipe]:
    return Pipe


@pytest.fixture(scope="session")
def hurt() -> Callable[..., list[float]]:
    """`hurt(pieces, words)`: the cuts that are inside a word, and the words that no piece holds whole."""

    def find(pieces: Sequence[Any], words: Sequence[tuple[float, float]]) -> list[float]:
        cuts = [edge for piece in pieces for edge in (piece.start, piece.end)]
        inside = [cut for cut in cuts if any(begin + 0.01 < cut < end - 0.01 for begin, end in words)]
        lost = [
            begin
            for begin, end in words
            if not any(piece.start <= begin + 0.02 and end - 0.02 <= piece.end for piece in pieces)
        ]
        twice = [
            after.start
            for before, after in itertools.pairwise(pieces)
            if after.start < before.end and before.channel == after.channel
        ]
        return inside + lost + twice

    return find
