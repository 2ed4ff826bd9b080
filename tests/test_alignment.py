from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async import alignment
from clova_speech_async.alignment import key, match, runs, tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don’t", "dont"),
        ("don't", "dont"),
        ("“Hello,”", "hello"),
        ("ICE-CREAM", "icecream"),
        ("cafe\u0301", "café"),
        ("Straße", "STRASSE"),
        ("ＡＢＣ", "abc"),
        ("각", "\u1100\u1161\u11a8"),
        ("3,000", "3000"),
    ],
)
def test_two_spellings_of_a_word_have_one_key(one: str, other: str) -> None:
    assert key(one) == key(other) != ""


@pytest.mark.parametrize(("one", "other"), [("cafe", "café"), ("a", "b"), ("가", "나"), ("1", "2")])
def test_other_words_have_other_keys(one: str, other: str) -> None:
    assert key(one) != key(other)


def test_punctuation_alone_stays_with_its_neighbour() -> None:
    assert tokens(" – “Well …  done” – ! said he") == ["– “Well …", "done” – !", "said", "he"]
    assert tokens(" -- ... ") == []


def test_neighbours_stay_together_where_a_word_is_repeated() -> None:
    ours = ["the", "cat", "saw", "the", "dog", "and", "the", "bird"]
    assert match(ours, ["the", "dog"]) == [None, None, None, 0, 1, None, None, None]
    assert match(ours, ["the", "bird"]) == [None] * 6 + [0, 1]
    assert match(ours, ["the", "cat"]) == [0, 1] + [None] * 6


def test_words_that_are_not_ours_and_empty_ones_match_nothing() -> None:
    assert match(["a", "", "b"], ["x", "", "b", "y"]) == [None, None, 2]
    assert match([], ["a"]) == []
    assert match(["a"], []) == [None]


def _neighbours(pairs: list[tuple[int, int]]) -> int:
    return sum((i + 1, j + 1) in pairs for i, j in pairs)


def _best_by_trying(ours: str, theirs: str) -> tuple[int, int]:
    """The most matches and, with so many, the most neighbours, found by trying every choice."""
    for size in range(min(len(ours), len(theirs)), -1, -1):
        scores = [
            _neighbours(list(zip(left, right, strict=True)))
            for left in combinations(range(len(ours)), size)
            for right in combinations(range(len(theirs)), size)
            if all(ours[i] == theirs[j] for i, j in zip(left, right, strict=True))
        ]
        if scores:
            return size, max(scores)
    raise AssertionError("no match at all is always possible")


@given(st.text("abc", max_size=6), st.text("abc", max_size=5))
def test_no_choice_matches_more_or_keeps_more_together(ours: str, theirs: str) -> None:
    pairs = [(i, j) for i, j in enumerate(match(ours, theirs)) if j is not None]
    assert all(ours[i] == theirs[j] for i, j in pairs)
    assert [j for _, j in pairs] == sorted({j for _, j in pairs})
    assert (len(pairs), _neighbours(pairs)) == _best_by_trying(ours, theirs)


def test_very_many_words_are_matched_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "_MOST_CELLS", 0)
    assert match(["a", "b", "a", "c"], ["a", "x", "a", "", "b", "c"]) == [0, None, 2, 5]


def test_a_sentence_of_fifty_thousand_words_takes_no_quadratic_time() -> None:
    words = [str(n) for n in range(50_000)]
    assert match(words, words) == list(range(50_000))
    assert runs(words, ["x"] * 1000, [None] * len(words)) == {}


def test_a_word_written_in_two_is_found_between_its_neighbours() -> None:
    ours, theirs = ["a", "wellknown", "b", "icecream"], ["a", "un", "well", "known", "b", "ice", "cream", "c"]
    assert runs(ours, theirs, match(ours, theirs)) == {1: (2, 4), 3: (5, 7)}
    assert runs(["wellknown", "a"], ["a", "well", "known"], [None, 0]) == {}
    assert runs(["x"], ["", "x"], [None]) == {0: (0, 2)}
