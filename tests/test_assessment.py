from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.assessment import (
    AlignedWord,
    Assessment,
    Phone,
    Word,
    format_details,
    parse_details,
    words_to_show,
)
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

FALSE = "false|{f(f):45, a(ɔː):100, l(l):97, se(s):43} "
OLD_BEER = (
    "old|{o(oʊ):100, l(l):94, d(d):98} beer|{b(b):99, ee(ɪ):96, r(r):99} "
    "lingers|{l(l):99, i(ɪ):99, ng(ŋ):97, e(g):100, r(ər):99, s(z):97} "
)


def test_the_original_page_s_example_phone_by_phone() -> None:
    assert parse_details(FALSE) == (
        Word("false", (Phone("f", "f", 45), Phone("a", "ɔː", 100), Phone("l", "l", 97), Phone("se", "s", 43)), 71),
    )
    assert format_details(parse_details(FALSE)) == FALSE


def test_the_current_guide_s_example_phone_by_phone() -> None:
    old, beer, lingers = parse_details(OLD_BEER)
    assert old == Word("old", (Phone("o", "oʊ", 100), Phone("l", "l", 94), Phone("d", "d", 98)), 97)
    assert beer == Word("beer", (Phone("b", "b", 99), Phone("ee", "ɪ", 96), Phone("r", "r", 99)), 98)
    assert lingers.text == "lingers"
    assert [(phone.letters, phone.ipa, phone.score) for phone in lingers.phones] == [
        ("l", "l", 99),
        ("i", "ɪ", 99),
        ("ng", "ŋ", 97),
        ("e", "g", 100),
        ("r", "ər", 99),
        ("s", "z", 97),
    ]
    assert format_details((old, beer, lingers)) == OLD_BEER


@pytest.mark.parametrize(
    ("phones", "expected"),
    [
        ("a(ɑ:):44", [("a", "ɑ:", 44)]),
        ("r(r(ər)):90, t(t):1", [("r", "r(ər)", 90), ("t", "t", 1)]),
        ("x((ks)):9", [("x", "(ks)", 9)]),
        ("p()):9, q(():8", [("p", ")", 9), ("q", "(", 8)]),
        ("d(,):3, e(}):4, }(e):5", [("d", ",", 3), ("e", "}", 4), ("}", "e", 5)]),
        ("a(a):1,b(b):2 ,  c(c):3,", [("a", "a", 1), ("b", "b", 2), ("c", "c", 3)]),
        ("(ə):7, a():8, ():9", [("", "ə", 7), ("a", "", 8), ("", "", 9)]),
        ("a:7, b, :9, ,", [("a", "", 7), ("b", "", None), ("", "", 9)]),
        ("a(a), b(b):, c(c):x, d(d) : 4 ", [("a", "a", None), ("b", "b", None), ("c", "c", None), ("d", "d", 4)]),
        ("a(a):44.5, b(b):44.4, c(c):100.4", [("a", "a", 45), ("b", "b", 44), ("c", "c", 100)]),
        ("a(a):-1, b(b):101, c(c):1e99", [("a", "a", None), ("b", "b", None), ("c", "c", None)]),
        ("a(a):nan, b(b):inf, c(c):1_0", [("a", "a", None), ("b", "b", None), ("c", "c", None)]),
        (f"a(a):{'9' * 5000}", [("a", "a", None)]),
        ("a(x:45, b(b):50", [("a", "x", 45), ("b", "b", 50)]),
        ("a(x:45, b(y:50, c(ɑ:", [("a", "x", 45), ("b", "y", 50), ("c", "ɑ:", None)]),
        ("ㄱ(k):88, ㅏ(a):77, ㄴ(n):99", [("ㄱ", "k", 88), ("ㅏ", "a", 77), ("ㄴ", "n", 99)]),
        ("", []),
    ],
)
def test_phones_of_every_form_that_can_be_told(phones: str, expected: list[Any]) -> None:
    (word,) = parse_details(f"w|{{{phones}}} ")
    assert [(phone.letters, phone.ipa, phone.score) for phone in word.phones] == expected
    assert parse_details(format_details((word,))) == (word,)


@pytest.mark.parametrize(
    ("raw", "texts"),
    [
        ("a|{a(a):1}b|{b(b):2}", ["a", "b"]),
        ("a|{a(a):1}\n\u3000b|{b(b):2}", ["a", "b"]),
        ("a|{a(a):1 b|{b(b):2", ["a", "b"]),
        ("a|{a(a):1, b|{b(b):2", ["a", "b"]),
        ("안녕하세요|{ㅏ(a):1} 반가워요|{ㅏ(a):2} ", ["안녕하세요", "반가워요"]),
        ("error: none of a|{a(a):1} that b|{b(b):2} x", ["a", "b"]),
        ("|{a(a):1}", [""]),
        ("a|b|{a(a):1}", ["a|b"]),
        ("a|{a|{a(a):1}", ["a"]),
        ("a\\u0020b|{a(a):1}", ["a b"]),
        ("a\\ud800|{a(a):1}", ["a\\ud800"]),
        ("no words here", []),
        ("a|a(a):1 b{b(b):2}", []),
        ("", []),
    ],
)
def test_words_of_every_form_that_can_be_told(raw: str, texts: list[str]) -> None:
    words = parse_details(raw)
    assert [word.text for word in words] == texts
    assert parse_details(format_details(words)) == words


_near = st.text("ab |{}(),:01.\\u-ɔː가\n", max_size=60)
_scores = st.none() | st.integers(0, 100)
_phones = st.builds(Phone, st.text(max_size=3) | _near, st.text(max_size=3) | _near, _scores)
_words = st.builds(Word, st.text(max_size=5) | _near, st.lists(_phones, max_size=4).map(tuple))


@given(st.text() | _near | st.builds("|{".join, st.lists(_near, max_size=5)))
def test_any_string_gives_words_and_is_kept(raw: str) -> None:
    words = parse_details(raw)
    assert parse_details(format_details(words)) == words
    assessment = Assessment.from_reply(50, raw)
    assert assessment is not None
    assert (assessment.raw, assessment.words) == (raw, words)


@given(st.lists(_words, max_size=5).map(tuple))
def test_words_that_are_formatted_parse_to_the_same(words: tuple[Word, ...]) -> None:
    assert parse_details(format_details(words)) == words


@pytest.mark.parametrize(
    "unit",
    [
        "a(,",
        "|{",
        "a|{ ",
        "a|{a(,",
        "}(",
        ")",
        "(",
        ") : ",
        ":  ",
        "1",
        " ",
        "a(:1,",
        "a|{a(a):1} ",
        "a(b):1,",
        "\\u0041",
    ],
)
@pytest.mark.parametrize("ahead", ["", "a|{", "a|{a(", "a|{a(a):"])
def test_a_long_string_takes_linear_time(unit: str, ahead: str) -> None:
    def seconds(length: int) -> float:
        raw = (ahead + unit * (length // len(unit)))[:length]
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            parse_details(raw)
            best = min(best, time.process_time() - began)
        return best

    short, long = seconds(10_000), seconds(80_000)
    assert long < 30 * short + 0.02  # linear: 8 times; quadratic: 64 times


def test_a_word_s_score_is_the_mean_of_its_phones_rounded_half_up() -> None:
    assert Word("a", (Phone("a", "a", 1), Phone("a", "a", 2))).score == 2
    assert Word("a", (Phone("a", "a", 1), Phone("a", "a", 1), Phone("a", "a", 2))).score == 1
    assert Word("a", (Phone("a", "a", None), Phone("a", "a", 7))).score == 7
    assert Word("a", (Phone("a", "a", None),)).score is None
    assert Word("a").score is None
    assert Word("a", (Phone("a", "a", 1),), 90).score == 90


@pytest.mark.parametrize("make", [lambda s: Phone("a", "a", s), lambda s: Word("a", (), s), lambda s: Assessment(s)])
def test_a_score_that_cannot_be_is_refused(make: Any) -> None:
    for score in (-1, 101):
        with pytest.raises(InvalidArgumentError, match=f"from 0 to 100, not {score}"):
            make(score)
    for score in (True, 1.5, "7"):
        with pytest.raises(ArgumentTypeError, match="score must be an int"):
            make(score)
    assert make(0).score == 0
    assert make(100).score == 100


def test_a_reply_s_fields_become_an_assessment() -> None:
    assessment = Assessment.from_reply(82, FALSE, [0, 5, 9], (1, 2))
    assert assessment == Assessment(82, parse_details(FALSE), (0, 5, 9), (1, 2), FALSE)
    assert Assessment.graph_rate == 50
    assert msgspec.json.decode(msgspec.json.encode(assessment), type=Assessment) == assessment


def test_a_reply_without_an_assessment_has_none() -> None:
    assert Assessment.from_reply() is None
    assert Assessment.from_reply(ref_graph=[]) == Assessment(reference_graph=())


@pytest.mark.parametrize(
    ("field", "value", "attribute", "expected"),
    [
        ("score", 71.5, "score", 72),
        ("score", "88", "score", 88),
        ("score", True, "score", None),
        ("score", 101, "score", None),
        ("score", [], "score", None),
        ("score", 10**400, "score", None),
        ("ref_graph", [1, 2.5, 3], "reference_graph", (1, 3, 3)),
        ("ref_graph", [1, None], "reference_graph", None),
        ("ref_graph", [float("nan")], "reference_graph", None),
        ("usr_graph", "12", "user_graph", None),
        ("usr_graph", [True], "user_graph", None),
        ("details", {"words": []}, "raw", '{"words":[]}'),
        ("details", [object], "raw", "[<class 'object'>]"),
        ("details", {"words": []}, "words", ()),
    ],
)
def test_a_reply_of_another_form_is_borne(field: str, value: Any, attribute: str, expected: Any) -> None:
    assessment = Assessment.from_reply(**{field: value})
    assert assessment is not None
    assert getattr(assessment, attribute) == expected


def _assessed(raw: str) -> Assessment:
    assessment = Assessment.from_reply(None, raw)
    assert assessment is not None
    return assessment


def test_returned_words_are_put_onto_the_sentence() -> None:
    assessed = _assessed("dont|{d(d):9} the|{t(ð):5} dog|{d(d):7} well|{w(w):3} known|{n(n):4} ")
    aligned = assessed.aligned("“I don’t – see the cat, the DOG is ‘well-known’!”")
    assert [word.text for word in aligned] == [
        "“I",
        "don’t –",
        "see",
        "the",
        "cat,",
        "the",
        "DOG",
        "is",
        "‘well-known’!”",
    ]
    assert [word.returned for word in aligned] == [False, True, False, False, False, True, True, False, True]
    assert [word.score for word in aligned] == [None, 9, None, None, None, 5, 7, None, 4]
    assert aligned[-1].word == Word("well known", (Phone("w", "w", 3), Phone("n", "n", 4)))


def test_the_guide_s_words_are_found_in_a_sentence_of_forty() -> None:
    sentence = "The stale smell of old beer lingers. It takes heat to bring out the odor."
    aligned = _assessed(OLD_BEER).aligned(sentence)
    assert " ".join(word.text for word in aligned) == sentence
    assert [word.text for word in aligned if word.returned] == ["old", "beer", "lingers."]


def test_korean_words_are_found() -> None:
    aligned = _assessed("반가워요|{ㅂ(p):40} ").aligned("안녕하세요, 반가워요!")
    assert aligned == (AlignedWord("안녕하세요,"), AlignedWord("반가워요!", Word("반가워요", (Phone("ㅂ", "p", 40),))))


def test_words_that_are_not_in_the_sentence_have_no_place_in_it() -> None:
    assert _assessed(FALSE).aligned("true") == (AlignedWord("true"),)
    assessed = _assessed("a|{} b|{} ice|{} cream|{} c|{}")
    assert assessed.unmatched("b, ice-cream!") == (Word("a"), Word("c"))
    assert words_to_show(assessed, "b") == ((AlignedWord("b", Word("b")),), assessed.unmatched("b"))
    assert words_to_show(assessed, None) == (tuple(AlignedWord(word.text, word) for word in assessed.words), ())
    assert _assessed(FALSE).aligned("") == ()


def test_a_sentence_must_be_a_string() -> None:
    with pytest.raises(ArgumentTypeError, match="utterance must be a str"):
        _assessed(FALSE).aligned(None)  # type: ignore[arg-type]


@given(_near, st.lists(st.text("ab'-", min_size=1, max_size=4)))
def test_no_word_of_the_sentence_is_lost(raw: str, words: list[str]) -> None:
    sentence = " ".join(words)
    aligned = _assessed(raw + " ab|{a(a):1} a|{}").aligned(sentence)
    kept = " ".join(word.text for word in aligned)
    assert kept == sentence or not aligned
