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

from .contract import apology
from .workers import WorkerPool

Recognizer: TypeAlias = "Callable[[bytes, str], str | Awaitable[str]] | str"
"""A callable of PCM and language, plain or async, or the text itself that every request is answered with."""


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


async def recognise(recognizer: Recognizer | None, pool: WorkerPool, pcm: bytes, lang: str, seconds: float) -> str:
    """The text of this audio; English by PocketSphinx, an honest note for the other languages by default."""
    if isinstance(recognizer, str):
        return recognizer
    if recognizer is None:
        if lang != "Eng":
            return apology(lang, seconds)
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
