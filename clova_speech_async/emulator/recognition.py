"""Who turns the emulator's audio into text: PocketSphinx, a fixed text, or a callable of the user's.

Law of this file: a recogniser takes PCM (16-bit, mono, 16 kHz) and a language, and gives text; whatever it is, it
never blocks the event loop.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio.to_thread
import numpy as np

from .contract import apology
from .sound import RATE
from .workers import WorkerPool

Recognizer: TypeAlias = "Callable[[bytes, str], str | Awaitable[str]] | str"
"""A callable of PCM and language, plain or async, or the text itself that every request is answered with."""
_FRAME = RATE * 30 // 1000
_FAINTEST = -50.0
"""dBFS of the loudest 30 ms, below which nothing is said. Speech is recorded 20 to 40 dB louder."""
_STEADY_DB, _STEADY_SECONDS = 2.5, 0.5
"""Where the loudest 30 ms are not this much above the quietest tenth for this long, nothing is said: it is 0 to 2 dB in
tones and hisses, and 3 dB and more in words of synthetic voices, however tightly cut."""


async def echo(pcm: bytes, lang: str) -> str:
    """A recogniser for load tests, which tells what it was given: language, bytes, and the SHA-256 of them."""
    return f"{lang} {len(pcm)} {hashlib.sha256(pcm).hexdigest()}"


def check(recognizer: Any) -> None:
    """Raise `TypeError` for what cannot be a recogniser."""
    if recognizer is not None and not isinstance(recognizer, str) and not callable(recognizer):
        raise TypeError(
            f"recognizer must be None (PocketSphinx), a text, or a callable (pcm: bytes, lang: str) -> str, "
            f"not {recognizer!r}"
        )


def may_be_speech(pcm: bytes) -> bool:
    """Whether it is loud enough for speech, and rises and falls as speech does; of silence, a tone or a hiss, no.

    PocketSphinx levels out how loud its input is, so it finds words in digital silence and in the faintest noise.
    """
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
    whole = max(1, len(samples) // _FRAME) * _FRAME
    frames = np.resize(samples, whole) if len(samples) < whole else samples[:whole]
    levels = 10 * np.log10(np.square(frames.reshape(-1, _FRAME)).mean(axis=1) + 1e-12)
    loudest, quietest = float(levels.max()), float(np.percentile(levels, 10))
    steady = loudest - quietest < _STEADY_DB and len(samples) >= _STEADY_SECONDS * RATE
    return loudest >= _FAINTEST and not steady


async def recognise(recognizer: Recognizer | None, pool: WorkerPool, pcm: bytes, lang: str, seconds: float) -> str:
    """The text of this audio; English by PocketSphinx, an honest note for the other languages by default."""
    if isinstance(recognizer, str):
        return recognizer
    if recognizer is None:
        if lang != "Eng":
            return apology(lang, seconds)
        if not await anyio.to_thread.run_sync(may_be_speech, pcm):
            return ""
        answer = await pool.call({"do": "recognise"}, pcm)
        return str(answer["text"])
    if inspect.iscoroutinefunction(recognizer):
        text = await recognizer(pcm, lang)
    else:
        # In a list, because Trio refuses a coroutine as what comes out of a thread.
        (text,) = await anyio.to_thread.run_sync(lambda: [recognizer(pcm, lang)], abandon_on_cancel=True)
        if inspect.isawaitable(text):
            text = await text
    if not isinstance(text, str):
        raise TypeError(f"the recognizer must give a string, not {text!r}")
    return text
