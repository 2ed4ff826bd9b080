"""The assessment is held to an order, never to values: right over wrong, clear over slurred and noise-covered."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import soundfile

from clova_speech_async.emulator import Emulator
from clova_speech_async.emulator.assessment import (
    GRAPH_RATE,
    ScoredPhone,
    ScoredWord,
    details,
    loudness,
    phone_score,
    reference,
    sentence_score,
)
from clova_speech_async.emulator.phones import guess, words_of

pytestmark = pytest.mark.anyio
RATE = 16_000


def sentences(data: Path) -> list[tuple[Path, str]]:
    lines = (data / "sentences" / "sentences.txt").read_text().splitlines()
    return [(data / "sentences" / name, text) for name, text in (line.split("\t") for line in lines)]


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.clip(np.rint(samples), -32768, 32767).astype(np.int16), RATE, format="WAV")
    return file.getvalue()


def word_scores(text: str) -> list[tuple[str, float]]:
    """Word and mean phone score, read from the service's form by a reader of the test's own."""
    words = re.findall(r"(\S+)\|\{(.*?)\} ", text)
    return [(word, np.mean([int(s) for s in re.findall(r":(\d+)", phones)])) for word, phones in words]


def slurred(samples: np.ndarray) -> np.ndarray:
    """The same sound with the mouth hardly moving: its spectrum smoothed over a third of a second, phases kept."""
    size, hop, smooth = 512, 128, 41
    window = np.hanning(size)
    padded = np.pad(samples, (size, 2 * size))
    starts = range(0, len(padded) - size, hop)
    spectra = np.fft.rfft([padded[at : at + size] * window for at in starts], axis=1)
    around = np.pad(np.abs(spectra), ((smooth // 2, smooth // 2), (0, 0)), mode="edge")
    even = np.stack([around[at : at + smooth].mean(axis=0) for at in range(len(spectra))])
    frames = np.fft.irfft(even * np.exp(1j * np.angle(spectra)), axis=1)
    out = np.zeros(len(padded))
    for at, frame in zip(starts, frames, strict=True):
        out[at : at + size] += frame * window
    out = out[size : size + len(samples)]
    return out * np.sqrt(np.square(samples).mean() / np.square(out).mean())


def noise_covered(samples: np.ndarray) -> np.ndarray:
    """The same sound under white noise as loud as itself."""
    return samples + np.random.default_rng(0).standard_normal(len(samples)) * np.sqrt(np.square(samples).mean())


async def spans(emulator: Emulator, samples: np.ndarray, text: str) -> list[tuple[str, int, int]]:
    """Each word of the text with the samples it is spoken in."""
    pairs = [[word, " ".join(guess(word))] for word in words_of(text)]
    pcm = samples.astype("<i2").tobytes()
    answer = (await emulator._pool.call({"do": "align", "words": pairs}, pcm))["words"]
    return [
        (word, phones[0][1] * 160, (phones[-1][1] + phones[-1][2]) * 160)
        for (word, _), phones in zip(pairs, answer, strict=True)
    ]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_order_over_twelve_sentences(talk: Any, data: Path) -> None:
    every = sentences(data)
    assert len(every) >= 10
    failures: list[str] = []

    async def judge(client: Any, body: bytes, utterance: str) -> tuple[int, list[tuple[str, float]]]:
        reply = await client.post(
            "/recog/v1/stt", params={"lang": "Eng", "assessment": "true", "utterance": utterance}, content=body
        )
        assert reply.status_code == 200, reply.text
        return reply.json()["assessment_score"], word_scores(reply.json()["assessment_details"])

    async def one(client: Any, number: int) -> None:
        path, text = every[number]
        other = every[(number + 1) % len(every)][1]
        samples = soundfile.read(path, dtype="int16")[0].astype(float)
        right, clear = await judge(client, wav(samples), text)
        wrong, _ = await judge(client, wav(samples), other)
        if right < wrong + 30:
            failures.append(f"{text!r} scores {right}, as {other!r} it scores {wrong}")
        spoken = await spans(emulator, samples, text)
        order = sorted(range(1, len(spoken)), key=lambda n: spoken[n][1] - spoken[n][2])
        first = order[0]
        second = next(n for n in order[1:] if abs(n - first) > 1)
        for index, spoil in ((first, slurred), (second, noise_covered)):
            _, start, end = spoken[index]
            samples[start:end] = spoil(samples[start:end])
        _, spoilt = await judge(client, wav(samples), text)
        for index, name in ((first, "slurred"), (second, "noise-covered")):
            word = clear[index][0]
            before, after = clear[index][1], spoilt[index][1]
            print(word, name, before, after)
            if after > before - 10:
                failures.append(f"{name} {word!r} in {text!r} scores {after}, clear {before}")

    # The text is not what is looked at here, and recognising it would cost more than all the rest.
    with Emulator(recognizer="", workers=2) as emulator:
        async with talk(emulator) as client, anyio.create_task_group() as group:
            for number in range(len(every)):
                group.start_soon(one, client, number)
    assert not failures
