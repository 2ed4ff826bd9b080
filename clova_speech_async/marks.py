"""What all forms of a report share: which scores are weak, how a score is written, what is practised first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .assessment import AlignedWord, Assessment, words_to_show
from .details import Word
from .errors import ArgumentTypeError, InvalidArgumentError

__all__ = ["check_weak", "marked", "practise_first", "readable_ink", "spoken"]

_AT_A_GLANCE, _FIRST = 8, 5  # so many words need no summary; so many words stand in one


def check_weak(weak: object) -> None:
    """Refuse what is not a score to compare with."""
    if isinstance(weak, bool) or not isinstance(weak, int):
        raise ArgumentTypeError(f"weak must be an int, a score from 0 to 100, not {weak!r}", argument="weak")
    if not 0 <= weak <= 100:
        raise InvalidArgumentError(f"weak must be a score from 0 to 100, not {weak}", argument="weak")


def practise_first(words: Sequence[AlignedWord], weak: int) -> tuple[Word, ...]:
    """Of many words the weakest, at most five, each once, the weakest first; none of so few as one sees at a glance."""
    returned = [word.word for word in words if word.word is not None]
    weakest = sorted((word.score, at) for at, word in enumerate(returned) if word.score is not None)
    once: dict[str, Word] = {}
    for score, at in weakest:
        if score < weak:
            once.setdefault(returned[at].text, returned[at])
    return tuple(once.values())[:_FIRST] if len(returned) > _AT_A_GLANCE else ()


def marked(score: int | None, weak: int) -> str:
    """The score as it is written: with an exclamation mark where it is weak, a dash where there is none."""
    return "–" if score is None else f"{score}{'!' if score < weak else ''}"


def spoken(assessment: Assessment, utterance: str | None, weak: int) -> str:
    """The assessment in one line of words, for those who do not see the picture."""
    words, others = words_to_show(assessment, utterance)
    score = "none returned" if assessment.score is None else f"{assessment.score} of 100"
    said = [f"{word.text} {marked(word.score, weak) if word.returned else '(not returned)'}" for word in words]
    said += [f"{word.text} {marked(word.score, weak)} (not in the sentence)" for word in others]
    return f"Sentence score: {score}. Words, ! under {weak}: {'; '.join(said) or 'none returned'}."


def readable_ink(background: tuple[float, float, float]) -> str:
    """Black or white, whichever stands out more from a background of red, green and blue from 0 to 255 (WCAG 2)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in background]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"
