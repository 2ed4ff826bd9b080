"""A rough but honest assessment of English pronunciation, computed from the audio.

Law of this file: nothing is canned. The utterance is laid on the speech phone by phone, each phone's acoustic score is
compared with that of whatever phone fits best there, and the difference is turned into 0 to 100. It puts a right text
over a wrong one and clear speech over slurred or noisy speech; it is not the service's own measure, whose figures are
another's. There is no Korean model here: Korean gets a score of 0 and no details, and a text that says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from .contract import Wanted
from .phones import IPA, guess, shape, spell, words_of
from .sound import RATE
from .workers import WorkerPool

GRAPH_RATE = 50
"""Values a second in both graphs."""
_MIDDLE, _SLOPE = -30.0, 10.0
"""The fit that scores 50, and the change of fit that moves the score most. Clear synthetic and read speech lies about
10, the same under noise 10 dB below it about -28, other words than those spoken about -80."""
_PAUSE_SECONDS = 0.3
_FRAMES_A_SECOND = 100


@dataclass(frozen=True)
class ScoredPhone:
    """Letters of a word with the phones they stand for."""

    letters: str
    phones: tuple[str, ...]
    score: int
    frames: int
    """Of 10 ms."""


@dataclass(frozen=True)
class ScoredWord:
    """A word of the utterance."""

    text: str
    parts: tuple[ScoredPhone, ...]


async def assess(pool: WorkerPool, pcm: bytes, wanted: Wanted, text: str) -> dict[str, Any]:
    """The reply's fields beyond text and quota, as far as they were asked for."""
    fields: dict[str, Any] = {}
    words: list[ScoredWord] = []
    if wanted.lang == "Eng":
        words = await _scored(pool, pcm, words_of(wanted.utterance or text))
    if wanted.assessment:
        fields["assessment_score"] = sentence_score(words)
        fields["assessment_details"] = details(words)
    if wanted.graph:
        user = loudness(pcm)
        fields["ref_graph"] = reference(words, max(user, default=0))
        fields["usr_graph"] = user
    return fields


async def _scored(pool: WorkerPool, pcm: bytes, words: list[str]) -> list[ScoredWord]:
    pairs = [[word, " ".join(phones)] for word in words if (phones := guess(word))]
    if not pairs:
        return []
    answer = (await pool.call({"do": "align", "words": pairs}, pcm))["words"] if _could_be_said(pairs, pcm) else None
    # In a thread: thousands of words take seconds to divide into letters.
    return await anyio.to_thread.run_sync(_judge, pairs, answer)


def _could_be_said(pairs: list[list[str]], pcm: bytes) -> bool:
    """Whether there is a frame for each phone. PocketSphinx needs three, but a guess may be longer than its own word.

    With more phones it would learn thousands of words, in seconds or minutes, only to find that they do not fit.
    """
    return sum(phones.count(" ") + 1 for _, phones in pairs) <= len(pcm) // 2 * _FRAMES_A_SECOND // RATE


def _judge(pairs: list[list[str]], answer: list[list[list[Any]]] | None) -> list[ScoredWord]:
    if answer is None:
        # The text cannot be laid on this speech at all: nothing of it was heard.
        return [_word(word, [(phone, 0, -math.inf) for phone in phones.split()]) for word, phones in pairs]
    return [
        _word(word, [(phone, frames, fit) for phone, _, frames, fit in found])
        for (word, _), found in zip(pairs, answer, strict=True)
    ]


def _word(text: str, phones: list[tuple[str, int, float]]) -> ScoredWord:
    parts, at = [], 0
    for letters, names in spell(text, tuple(name for name, _, _ in phones)):
        own = phones[at : at + len(names)]
        at += len(names)
        frames = sum(count for _, count, _ in own)
        fit = sum(count * fit for _, count, fit in own) / frames if frames else -math.inf
        parts.append(ScoredPhone(letters, names, phone_score(fit), frames))
    return ScoredWord(text, tuple(parts))


def phone_score(fit: float) -> int:
    """0 to 100 for how well a phone fits: the difference of log scores a frame, see `_MIDDLE` and `_SLOPE`."""
    if fit == -math.inf:
        return 0
    return round(100 / (1 + math.exp(min(700.0, -(fit - _MIDDLE) / _SLOPE))))


def sentence_score(words: list[ScoredWord]) -> int:
    """The mean over all phones, weighted by their length; 0 where there are none."""
    parts = [part for word in words for part in word.parts]
    frames = sum(part.frames for part in parts)
    return round(sum(part.score * part.frames for part in parts) / frames) if frames else 0


def details(words: list[ScoredWord]) -> str:
    """Every word in the service's form, ``word|{letters(ipa):score, …} ``, with its space behind each.

    The service seems to list the low words only; the emulator lists all of them.
    """
    return "".join(f"{word.text}|{{{', '.join(map(_detail, word.parts))}}} " for word in words)


def _detail(part: ScoredPhone) -> str:
    return f"{part.letters}({''.join(IPA[phone] for phone in part.phones)}):{part.score}"


def loudness(pcm: bytes) -> list[int]:
    """The root mean square of each 20 ms, where a sine as loud as can be is 100."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64) / 32768.0
    size = RATE // GRAPH_RATE
    padded = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    return [int(value) for value in np.rint(100 * np.sqrt(2 * np.square(padded).mean(axis=1)))]


def reference(words: list[ScoredWord], peak: int) -> list[int]:
    """The loudness a reader with the phones' expected timing would have, as loud at its peak as the speaker was.

    Made from a table of how long and how loud phones of each class are; there is no recording behind it.
    """
    pieces = [np.zeros(_values(_PAUSE_SECONDS))]
    for word in words:
        for phone in (name for part in word.parts for name in part.phones):
            expected = shape(phone)
            pieces.append(np.full(_values(expected.seconds), expected.loudness))
    pieces.append(np.zeros(_values(_PAUSE_SECONDS)))
    if len(pieces) == 2:
        return []
    smooth: NDArray[np.float64] = np.convolve(np.concatenate(pieces), np.hanning(9) / np.hanning(9).sum(), mode="same")
    top = float(smooth.max())
    return [int(value) for value in np.rint(smooth / top * (peak or 20))]


def _values(seconds: float) -> int:
    return max(1, round(seconds * GRAPH_RATE))
