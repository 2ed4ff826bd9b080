"""The string in which the service writes words, phones and scores: read and written. Pure; knows only the errors.

``word|{letters(ipa):score, …} word|{…} `` is nowhere specified, its Korean form is nowhere shown, and the reply it
comes in is paid for. So nothing here fails over it: what fits is parsed, what does not is left out, and every step is
linear in its length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import msgspec

from .errors import ArgumentTypeError, InvalidArgumentError

__all__ = ["Phone", "Word", "check_score", "format_details", "parse_details", "read_score", "whole"]


def check_score(owner: str, score: object) -> None:
    if score is None:
        return
    if isinstance(score, bool) or not isinstance(score, int):
        raise ArgumentTypeError(f"{owner}: score must be an int from 0 to 100 or None, not {score!r}", argument="score")
    if not 0 <= score <= 100:
        raise InvalidArgumentError(
            f"{owner}: score must be from 0 to 100, not {score}; where there is none, use None", argument="score"
        )


class Phone(msgspec.Struct, frozen=True):
    """One sound of a word, as the service heard it."""

    letters: str
    """The letters that stand for the sound in the word; may be empty."""
    ipa: str = ""
    """The sound in IPA; empty where the service named none."""
    score: int | None = None
    """0 to 100, or None where the service gave none that can be read."""

    def __post_init__(self) -> None:
        check_score("Phone", self.score)


class Word(msgspec.Struct, frozen=True):
    """One word with its phones."""

    text: str
    """The word as the service wrote it: lower case, no punctuation in all that is known."""
    phones: tuple[Phone, ...] = ()
    score: int | None = None
    """0 to 100. The service gives words no score of their own: where this is left None, it becomes the mean of the
    phones that have one, rounded half up; it stays None where no phone has one."""

    def __post_init__(self) -> None:
        check_score("Word", self.score)
        scores = [phone.score for phone in self.phones if phone.score is not None]
        if self.score is None and scores:
            mean = (2 * sum(scores) + len(scores)) // (2 * len(scores))
            msgspec.structs.force_setattr(self, "score", mean)


# --- the details string ---------------------------------------------------------------------------

_BRACE = re.compile(r"\}(?![()])")
"""The end of a word's phones. A brace right before a parenthesis is a letter (``}(…)``) or a sound (``(})``)."""
_CLOSE = re.compile(r"\)(?:\s*:([^,(){}]*)|\s*)(?:,|\Z)")
"""The parenthesis that ends a phone's sound: a score or nothing, and then the next phone, come after it."""
_NEXT_PHONE = re.compile(r":\s*[0-9.]+\s*,")
"""A score and a comma inside a sound: its parenthesis was never closed."""
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
_SPECIAL = re.compile(r"[\\|{}(),]|\s")
_SPECIAL_IN_LETTERS = re.compile(r"[\\|{}(),:]|\s")


def parse_details(raw: str) -> tuple[Word, ...]:
    """The words in a string of the form ``word|{letters(ipa):score, …} …``; whatever does not fit is left out.

    Takes any string, never raises, and needs time linear in its length. Scores may be missing or fractions (rounded
    half up); what is not a number from 0 to 100 becomes None. Punctuation inside letters and IPA, brackets left
    open, and missing spaces are borne as far as their meaning can be told.
    """
    words: list[Word] = []
    position = 0
    bar = raw.find("|{")
    while bar != -1:
        before = raw[position:bar].rsplit(None, 1)
        end, position = _end_of_phones(raw, bar + 2)
        words.append(Word(_unescape(before[-1] if before else ""), _parse_phones(raw[bar + 2 : end])))
        bar = raw.find("|{", position)
    return tuple(words)


def _end_of_phones(raw: str, start: int) -> tuple[int, int]:
    """Where the phones that begin at `start` end, and where to go on reading."""
    begin = start
    while True:
        bar = raw.find("|{", begin)
        stop = len(raw) if bar == -1 else bar
        brace = _BRACE.search(raw, begin, stop)
        if brace:
            return brace.start(), brace.end()
        if bar == -1:
            return len(raw), len(raw)
        # Another word begins although no brace closed this one: it ends where that word's text begins.
        space = next((at for at in range(stop - 1, begin - 1, -1) if raw[at].isspace()), -1)
        if space != -1:
            return space, space
        begin = bar + 2


def _parse_phones(body: str) -> tuple[Phone, ...]:
    phones: list[Phone] = []
    position = 0
    close = _CLOSE.search(body)
    other = _NEXT_PHONE.search(body)
    while position < len(body):
        comma = body.find(",", position)
        comma = len(body) if comma == -1 else comma
        paren = body.find("(", position, comma)
        if paren == -1:  # letters and perhaps a score, no sound
            letters, _, score = body[position:comma].partition(":")
            if letters.strip() or score.strip():
                phones.append(Phone(_unescape(letters.strip()), "", read_score(score)))
            position = comma + 1
            continue
        # Both searches go on where they stopped, never back: else a string of open brackets takes quadratic time.
        while close and close.start() <= paren:
            close = _CLOSE.search(body, close.start() + 1)
        while other and other.start() <= paren:
            other = _NEXT_PHONE.search(body, other.start() + 1)
        letters = _unescape(body[position:paren].strip())
        if close is None or (other and other.end() <= close.start()):
            phones.append(_unclosed(letters, body[paren + 1 : comma]))
            position = comma + 1
        else:
            sound = body[paren + 1 : close.start()].strip()
            phones.append(Phone(letters, _unescape(sound), read_score(close.group(1))))
            position = close.end()
    return tuple(phones)


def _unclosed(letters: str, rest: str) -> Phone:
    """A phone whose parenthesis was left open; the end of `rest` is its score if it can be one."""
    sound, _, tail = rest.rpartition(":")
    score = read_score(tail)
    return Phone(letters, _unescape((rest if score is None else sound).strip()), score)


def format_details(words: Iterable[Word]) -> str:
    """The words in the service's own form, trailing space included; `parse_details` reads the same words back.

    Characters that the form itself uses are written as ``\\u0028`` where they stand in a word, its letters or its
    IPA. The form has no place for a word's score, so one that is not the mean of its phones' is not kept.
    """
    return "".join(
        f"{_escape(word.text, _SPECIAL_IN_LETTERS)}|{{{', '.join(_format_phone(phone) for phone in word.phones)}}} "
        for word in words
    )


def _format_phone(phone: Phone) -> str:
    score = "" if phone.score is None else f":{phone.score}"
    return f"{_escape(phone.letters, _SPECIAL_IN_LETTERS)}({_escape(phone.ipa, _SPECIAL)}){score}"


def _escape(text: str, special: re.Pattern[str]) -> str:
    return special.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _unescape(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        code = int(found.group(1), 16)
        return found.group() if 0xD800 <= code <= 0xDFFF else chr(code)  # half a pair is no character

    return _ESCAPE.sub(character, text)


# --- values ---------------------------------------------------------------------------------------


def read_score(value: object) -> int | None:
    """A score from 0 to 100, or None for everything else; fractions are rounded half up."""
    if isinstance(value, str):
        text = value.strip()
        if not text or len(text) > 32 or "_" in text:
            return None
        try:
            value = float(text)
        except ValueError:
            return None
    rounded = whole(value)
    return rounded if rounded is not None and 0 <= rounded <= 100 else None


def whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return math.floor(value + 0.5)
    return None
