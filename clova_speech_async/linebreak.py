"""Where a text may be divided, and where it is best divided, into subtitles and their lines: pure.

Widths are columns: a wide letter (Hangul, Kana, ideographs; Unicode's East Asian Width) takes two, a combining mark
none. A text may be divided at spaces, between ideographs and Kana (not before closing punctuation, not behind an
opening one), and inside a word only if it alone is wider than a line. Nothing is added and nothing but the spaces
at a division is taken away. A division is best at the end of a sentence, then of a clause, then of a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

__all__ = ["Piece", "divide", "text_width"]

_NOT_FIRST = frozenset(
    "、。，．・：；？！‐ー々〻ゝゞヽヾぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ）〕］｝〉》」』】〗〙’”…‥〜～,.!?;:)]}'\"%°"
)
_NOT_LAST = frozenset("（〔［｛〈《「『【〖〘‘“([{$¥￥£#")
_CLOSING = "）〕］｝〉》」』】〗〙’”)]}'\""
_SENTENCE, _CLAUSE, _WORD, _INSIDE = range(4)
_ENDS = {**dict.fromkeys(".!?。！？．…‥", _SENTENCE), **dict.fromkeys(",;:、，；：—–", _CLAUSE)}
_LINE_COST = (0, 15, 60, 160)
_CUE_COST = (0, 4, 9, 16)
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class Piece:
    """One subtitle's worth of a text."""

    lines: tuple[str, ...]
    begin: float
    """How much of the text, by its width, comes before this piece: 0 to 1."""
    end: float
    """How much of it has come at the end of this piece: 0 to 1."""


def text_width(text: str) -> int:
    """Columns the text takes in a fixed-width font."""
    return sum(map(_width, text))


def divide(text: str, *, columns: int, lines: int, seconds: float, longest: float, shortest: float) -> list[Piece]:
    """The text in pieces of at most `lines` lines of at most `columns` columns, each standing for its share of time.

    `seconds` is the time in which the text was said. A piece whose share would be above `longest` seconds is divided
    if it has more than one word, one below `shortest` is avoided. Empty for a text without visible letters.
    """
    atoms = _Atoms(text, columns)
    if not atoms.count:
        return []
    bounds = [0, atoms.count]
    if atoms.reach(0, lines) < atoms.count or seconds > longest:
        bounds = _best_bounds(atoms, lines, seconds, longest, shortest)
    return [
        Piece(_best_lines(atoms, i, j), atoms.before[i] / atoms.before[-1], atoms.before[j] / atoms.before[-1])
        for i, j in pairwise(bounds)
    ]


class _Atoms:
    """A text in parts that are never divided, with running sums, so that every question takes constant time."""

    def __init__(self, text: str, columns: int) -> None:
        self.texts: list[str] = []
        self.spaced: list[int] = []  # 1 where a space stands before the part
        self.after: list[int] = []  # what ends with it: _SENTENCE …
        for word in _SPACES.split(text):
            if text_width(word):
                self._add_word(word, columns)
        self.count = len(self.texts)
        widths = [text_width(part) for part in self.texts]
        self.before = [0, *accumulate(width + space for width, space in zip(widths, self.spaced, strict=True))]
        self.sentences = [0, *accumulate(kind == _SENTENCE for kind in self.after)]
        self._line_reach = self._reaches(columns)

    def _add_word(self, word: str, columns: int) -> None:
        parts = list(_fitting(_unbroken(word), columns))
        for index, (part, following) in enumerate(zip(parts, [*parts[1:], ""], strict=True)):
            self.spaced.append(1 if index == 0 and self.texts else 0)
            self.texts.append(part)
            self.after.append(_kind(part, following))

    def _reaches(self, columns: int) -> list[int]:
        reaches: list[int] = []
        end = 0
        for start in range(self.count):
            end = max(end, start + 1)
            while end < self.count and self.width(start, end + 1) <= columns:
                end += 1
            reaches.append(end)
        return [*reaches, self.count]

    def width(self, start: int, end: int) -> int:
        return self.before[end] - self.before[start] - self.spaced[start]

    def reach(self, start: int, lines: int) -> int:
        """The farthest end of a run of parts from `start` that fits on so many lines."""
        for _ in range(lines):
            start = self._line_reach[start]
        return start

    def join(self, start: int, end: int) -> str:
        rest = (" " * self.spaced[i] + self.texts[i] for i in range(start + 1, end))
        return self.texts[start] + "".join(rest)


def _best_bounds(atoms: _Atoms, lines: int, seconds: float, longest: float, shortest: float) -> list[int]:
    """The divisions of least cost: few pieces, whole sentences, none too long, none too short."""
    a_column = seconds / atoms.before[-1]
    cost = [0.0] + [float("inf")] * atoms.count
    origin = [0] * (atoms.count + 1)
    for i in range(atoms.count):
        for j in range(i + 1, atoms.reach(i, lines) + 1):
            stands = a_column * (atoms.before[j] - atoms.before[i])
            inside = atoms.sentences[j - 1] - atoms.sentences[i]  # sentences that end before the piece does
            here = cost[i] + 4 + 6 * inside + (_CUE_COST[atoms.after[j - 1]] if j < atoms.count else 0)
            if stands > longest:
                here += 40 * (stands - longest) / longest
            elif stands < shortest:
                here += 12 * (shortest - stands) / shortest
            if atoms.width(i, j) < 10:
                here += 6
            if here < cost[j]:
                cost[j], origin[j] = here, i
    bounds = [atoms.count]
    while bounds[-1]:
        bounds.append(origin[bounds[-1]])
    return bounds[::-1]


def _best_lines(atoms: _Atoms, start: int, end: int) -> tuple[str, ...]:
    """As few lines as will do, divided where it reads best and about equally wide."""
    count = 1
    while atoms.reach(start, count) < end:
        count += 1
    even = atoms.width(start, end) / count
    found: dict[int, tuple[float, tuple[int, ...]]] = {start: (0.0, (start,))}
    for left in range(count - 1, -1, -1):
        nearer: dict[int, tuple[float, tuple[int, ...]]] = {}
        for i, (cost, path) in found.items():
            for j in range(i + 1, min(atoms.reach(i, 1), end) + 1):
                if atoms.reach(j, left) < end:
                    continue  # the rest would not fit on the lines left
                kind = _LINE_COST[atoms.after[j - 1]] if j < end else 0
                total = cost + kind + (atoms.width(i, j) - even) ** 2
                if left == 0 and i > start and j - i == 1 and atoms.texts[i].isdigit():
                    total += 10_000  # some readers of SRT take a number alone at a subtitle's end for the next one's
                if j not in nearer or total < nearer[j][0]:
                    nearer[j] = (total, (*path, j))
        found = nearer
    path = found[end][1]
    return tuple(atoms.join(i, j) for i, j in pairwise(path))


# --- letters --------------------------------------------------------------------------------------


def _width(character: str) -> int:
    if character < "\u0300":
        return 0 if character == "\xad" else 1
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _clusters(word: str) -> Iterator[str]:
    """The word's letters, each with what belongs onto it: marks, variation selectors, joined emoji."""
    cluster = ""
    for character in word:
        joined = cluster.endswith("\u200d") or "\U0001f3fb" <= character <= "\U0001f3ff"
        if cluster and not joined and _width(character):
            yield cluster
            cluster = ""
        cluster += character
    yield cluster


def _is_hangul(character: str) -> bool:
    return (
        "\uac00" <= character <= "\ud7ff"
        or "\u1100" <= character <= "\u11ff"
        or "\u3130" <= character <= "\u318f"
        or "\ua960" <= character <= "\ua97f"
    )


def _unbroken(word: str) -> Iterator[str]:
    """The word's parts between which a line may end."""
    part = ""
    for cluster in _clusters(word):
        if part and _may_divide(part, cluster):
            yield part
            part = ""
        part += cluster
    yield part


def _may_divide(part: str, following: str) -> bool:
    last = next((c for c in reversed(part) if _width(c)), "")
    if not last or last in _NOT_LAST or following[0] in _NOT_FIRST:
        return False
    return any(_width(c) == 2 and not _is_hangul(c) for c in (last, following[0]))


def _fitting(parts: Iterator[str], columns: int) -> Iterator[str]:
    """The same parts, those wider than a line divided between letters."""
    for part in parts:
        if text_width(part) <= columns:
            yield part
            continue
        piece = ""
        for cluster in _clusters(part):
            if piece and text_width(piece) + text_width(cluster) > columns:
                yield piece
                piece = ""
            piece += cluster
        yield piece


def _kind(part: str, following: str) -> int:
    """What ends with this part; `following` is what comes right behind it, without a space, or empty."""
    bare = part.rstrip(_CLOSING)
    end = _ENDS.get(bare[-1:], _WORD)
    if end != _WORD or not following:
        return end
    # Japanese has no spaces: where Hiragana gives way to another script, a word or a particle has ended.
    hiragana_ended = "\u3041" <= part[-1] <= "\u309f" and not "\u3041" <= following[0] <= "\u309f"
    return _WORD if hiragana_ended else _INSIDE
