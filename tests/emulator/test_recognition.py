"""What PocketSphinx is asked, and what of its answers is believed: speech is heard, and nothing where none is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from clova_speech_async.emulator import ADDRESS, Emulator, worker
from clova_speech_async.emulator.recognition import may_be_speech

RATE = 16_000
Samples = Any


def pcm(samples: Samples) -> bytes:
    data: bytes = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    return data


def seconds(length: float) -> Samples:
    return np.arange(round(length * RATE)) / RATE


def hiss(length: float, *, below: float = 8000.0) -> Samples:
    """Steady noise, as loud as its samples' mean square of 1, of the frequencies up to `below` Hz."""
    spectrum = np.fft.rfft(np.random.default_rng(5).standard_normal(len(seconds(length))))
    spectrum[np.fft.rfftfreq(len(seconds(length)), 1 / RATE) > below] = 0
    samples = np.fft.irfft(spectrum, len(seconds(length)))
    return samples / samples.std()


def read(path: Path) -> Samples:
    return soundfile.read(path)[0]


def dbfs(level: float) -> float:
    return float(10 ** (level / 20))


@pytest.fixture(scope="module")
def recogniser() -> worker.Recogniser:
    return worker.Recogniser()


SPEECHLESS: dict[str, Callable[[float], Samples]] = {
    "silence": lambda length: 0 * seconds(length),
    "the last bit's noise": lambda length: hiss(length) * dbfs(-90),
    "faint noise": lambda length: hiss(length) * dbfs(-55),
    "faint beeps": lambda length: dbfs(-52) * np.sin(2 * np.pi * 800 * seconds(length)) * (seconds(length) % 0.5 < 0.2),
    "a hiss": lambda length: hiss(length) * dbfs(-30),
    "a rumble": lambda length: hiss(length, below=500) * dbfs(-20),
    "a tone": lambda length: 0.1 * np.sin(2 * np.pi * 440 * seconds(length)),
    "a hum": lambda length: 0.1 * sum(np.sin(2 * np.pi * 60 * k * seconds(length)) / k for k in range(1, 8)),
}


@pytest.mark.parametrize("length", [0.6, 1.0, 10.0, 60.0])
@pytest.mark.parametrize("name", sorted(SPEECHLESS.keys() - {"a rumble"}))
def test_pocketsphinx_is_not_asked_where_nobody_can_speak(name: str, length: float) -> None:
    assert not may_be_speech(pcm(SPEECHLESS[name](length)))


@pytest.mark.parametrize("length", [0.0, 0.001, 0.03, 0.3])
def test_silence_of_any_length_is_none(length: float) -> None:
    assert not may_be_speech(pcm(0 * seconds(length)))


def test_short_sounds_are_given_to_it() -> None:
    """The vowel of a word that was cut tightly may be as steady as a tone."""
    assert may_be_speech(pcm(0.1 * np.sin(2 * np.pi * 440 * seconds(0.001))))
    assert may_be_speech(pcm(0.1 * np.sin(2 * np.pi * 440 * seconds(0.45))))


def test_one_word_drawn_over_all_of_a_noise_is_none(recogniser: Any) -> None:
    """A rumble is not steady enough for the first gate; the others would get past it if they swelled a little."""
    left_out = set()
    for length in (1.0, 2.0, 4.0):
        for name in ("silence", "a rumble", "a hum"):
            assert recogniser(pcm(SPEECHLESS[name](length))) == "", (name, length)
            left_out.add(recogniser._decoder.hyp().hypstr)
    assert left_out > {""}, "PocketSphinx found no word in any of them: the test tests nothing"


@pytest.mark.parametrize("word", ["yes", "no"])
def test_short_words_are_heard(recogniser: Any, data: Path, word: str) -> None:
    spoken = read(data / "words" / f"{word}.ogg")
    amid = np.pad(spoken, (20 * RATE, 20 * RATE))
    for audio in (spoken, spoken * dbfs(-20), amid, amid + hiss(len(amid) / RATE) * dbfs(-40)):
        assert may_be_speech(pcm(audio))
    assert recogniser(pcm(spoken)) == word
    assert recogniser(pcm(spoken * dbfs(-20))) == word


def test_every_sentence_passes_loud_faint_and_under_noise(data: Path) -> None:
    for path in sorted((data / "sentences").glob("*.ogg")):
        spoken = read(path)
        for audio in (spoken, spoken * dbfs(-30), spoken + hiss(len(spoken) / RATE) * dbfs(-30)):
            assert may_be_speech(pcm(audio)), path.name


def test_faint_speech_is_heard_word_for_word(recogniser: Any, data: Path) -> None:
    faint = read(data / "sentences" / "10.ogg") * dbfs(-35)
    assert may_be_speech(pcm(faint))
    assert recogniser(pcm(faint)) == "the flowers in the garden need more water"


@pytest.mark.anyio
async def test_silence_and_tones_are_answered_with_no_text(hearing: Emulator, talk: Any, tone: Any) -> None:
    file = io.BytesIO()
    soundfile.write(file, 0 * seconds(3.0), RATE, format="FLAC")
    async with talk(hearing) as client:
        for body in (file.getvalue(), tone(3.0)):
            answer = await client.post(f"{ADDRESS}?lang=Eng", content=body)
            assert answer.json() == {"text": "", "quota": 15}
            graded = await client.post(f"{ADDRESS}?lang=Eng&assessment=true", content=body)
            assert graded.json() == {"text": "", "quota": 15, "assessment_score": 0, "assessment_details": ""}
