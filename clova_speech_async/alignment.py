"""Which returned word belongs to which word of a sentence: pure, and no more than that.

The service returns some of a sentence's words, in order, without the sentence's case and punctuation. Words are
compared by `key`; of all ways to match as many as possible, the one with the most neighbours kept together is
taken, so that of four "the" in a sentence the one beside "dog" is matched by a returned "the dog".
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence

__all__ = ["key", "match", "runs", "tokens"]

_MOST_CELLS = 250_000
"""Above this many pairs of words the exact law gives way to a greedy one; 60 s of speech have about 250 words."""

_FARTHEST = 50
"""So many returned words that match nothing are looked through for one that was written in two."""


def key(word: str) -> str:
    """What two spellings of one word have in common: letters and digits, case folded, in composed form."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    return unicodedata.normalize("NFC", "".join(c for c in folded if unicodedata.category(c)[0] in "LMN"))


def tokens(sentence: str) -> list[str]:
    """The words of a sentence as they stand in it; a token of punctuation alone stays with the word before it."""
    words: list[str] = []
    held = ""
    for token in sentence.split():
        if key(token):
            words.append(held + token)
            held = ""
        elif words:
            words[-1] += " " + token
        else:
            held += token + " "
    return words


def match(ours: Sequence[str], theirs: Sequence[str]) -> list[int | None]:
    """For each key of `ours` the index of the key of `theirs` that stands for it, or None; order is kept.

    Empty keys match nothing. Exact up to 250,000 pairs (a longest common subsequence with the most neighbours kept
    together); beyond, each of `theirs` takes the next equal word of `ours`.
    """
    if len(ours) * len(theirs) > _MOST_CELLS:
        return _match_greedily(ours, theirs)
    return _match_exactly(ours, theirs)


def runs(ours: Sequence[str], theirs: Sequence[str], found: Sequence[int | None]) -> dict[int, tuple[int, int]]:
    """For words of `ours` without a match in `found`: the run (first, behind the last) of `theirs` that spells it."""
    runs: dict[int, tuple[int, int]] = {}
    behind = [len(theirs)] * (len(found) + 1)  # the first of `theirs` that a later word of `ours` uses
    for i in range(len(found) - 1, -1, -1):
        at = found[i]
        behind[i] = behind[i + 1] if at is None else at
    free = 0
    for i, at in enumerate(found):
        if at is not None:
            free = at + 1
            continue
        for first in range(free, min(behind[i], free + _FARTHEST)):
            last = _end_of_run(ours[i], theirs, first, behind[i])
            if last is not None:
                runs[i] = (first, last)
                free = last
                break
    return runs


def _end_of_run(word: str, theirs: Sequence[str], first: int, limit: int) -> int | None:
    spelled = ""
    for last in range(first, limit):
        spelled += theirs[last]
        if not word.startswith(spelled):
            return None
        if spelled and spelled == word:
            return last + 1
    return None


def _match_greedily(ours: Sequence[str], theirs: Sequence[str]) -> list[int | None]:
    places: dict[str, list[int]] = {}
    for index, word in enumerate(ours):
        places.setdefault(word, []).append(index)
    found: list[int | None] = [None] * len(ours)
    after = 0
    for index, word in enumerate(theirs):
        candidates = places.get(word, []) if word else []
        nearest = bisect_left(candidates, after)
        if nearest < len(candidates):
            found[candidates[nearest]] = index
            after = candidates[nearest] + 1
    return found


def _match_exactly(ours: Sequence[str], theirs: Sequence[str]) -> list[int | None]:
    rows, columns = len(ours), len(theirs)
    unit = min(rows, columns) + 1  # one more match is worth more than every neighbour there can be
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    ending = [[0] * (columns + 1) for _ in range(rows + 1)]  # best where this very pair is matched; 0: it cannot be
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            here = 0
            if ours[i - 1] and ours[i - 1] == theirs[j - 1]:
                beside = ending[i - 1][j - 1]
                here = unit + max(best[i - 1][j - 1], beside + 1 if beside else 0)
                ending[i][j] = here
            best[i][j] = max(here, best[i - 1][j], best[i][j - 1])
    return _walk_back(best, ending, unit)


def _walk_back(best: list[list[int]], ending: list[list[int]], unit: int) -> list[int | None]:
    i, j = len(best) - 1, len(best[0]) - 1
    found: list[int | None] = [None] * i
    bound = False  # the pair to the right was counted as a neighbour of this one
    while i and j:
        if ending[i][j] and (bound or ending[i][j] == best[i][j]):
            beside = ending[i - 1][j - 1]
            bound = bool(beside) and ending[i][j] == unit + beside + 1
            found[i - 1] = j - 1
            i, j = i - 1, j - 1
        elif best[i][j] == best[i - 1][j]:
            i -= 1
        else:
            j -= 1
    return found
