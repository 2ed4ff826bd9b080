from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.emulator.phones import IPA, guess, number_words, shape, spell, words_of


@pytest.mark.parametrize(
    ("word", "phones", "division"),
    [
        ("false", "F AO L S", "f a l se"),  # as the service divides it
        ("old", "OW L D", "o l d"),
        ("beer", "B IH R", "b ee r"),
        ("knight", "N AY T", "kn igh t"),
        ("thought", "TH AO T", "th ough t"),
        ("box", "B AA K S", "b o x"),
        ("weather", "W EH DH ER", "w ea th er"),
        ("o'clock", "AH K L AA K", "o' c l o ck"),
        ("psychology", "S AY K AA L AH JH IY", "ps y ch o l o g y"),
        ("mr", "M IH S T ER", "m r"),
        ("a", "EY", "a"),
    ],
)
def test_letters_are_divided_as_they_are_spoken(word: str, phones: str, division: str) -> None:
    assert " ".join(letters for letters, _ in spell(word, tuple(phones.split()))) == division


@given(
    word=st.text("abcdefghijklmnopqrstuvwxyz'", max_size=14),
    phones=st.lists(st.sampled_from(sorted(IPA)), max_size=14).map(tuple),
)
def test_no_letter_and_no_phone_is_lost(word: str, phones: tuple[str, ...]) -> None:
    pairs = spell(word, phones)
    if not word or not phones:
        assert pairs == ()
        return
    assert "".join(letters for letters, _ in pairs) == word
    assert tuple(phone for _, own in pairs for phone in own) == phones
    assert all(letters and own for letters, own in pairs)


@given(st.text("abcdefghijklmnopqrstuvwxyz'", max_size=20))
def test_every_word_with_a_letter_can_be_guessed(word: str) -> None:
    assert set(guess(word)) <= set(IPA)
    assert bool(guess(word)) == bool(word.strip("'"))


def test_a_word_longer_than_any_stays_whole() -> None:
    phones = guess("x" * 3000)
    assert len(phones) == 6000
    assert spell("x" * 3000, phones) == (("x" * 3000, phones),)
    assert len(spell("x" * 60, guess("x" * 60))) == 60


@given(st.text(max_size=40) | st.text("aAeEX'’19,%& \u200b\u0301\u202eéßﬁ½Ｈ²٣한😀", max_size=40))
def test_any_text_has_words_that_can_be_divided(text: str) -> None:
    for word in words_of(text):
        assert re.fullmatch("[a-z']+", word)
        assert "".join(letters for letters, _ in spell(word, guess(word))) == word


def test_guesses() -> None:
    assert guess("rain") == ("R", "EY", "N")
    assert guess("ship") == ("SH", "IH", "P")
    assert guess("date") == ("D", "AE", "T")
    assert guess("한국") == ()


def test_every_phone_has_a_shape() -> None:
    for phone in IPA:
        assert 0.03 <= shape(phone).seconds <= 0.3
        assert 0 < shape(phone).loudness <= 1
    assert shape("AA").loudness > shape("T").loudness


def test_words_of_a_text() -> None:
    assert words_of("Please, DON'T stop: it’s 10 o'clock!") == ["please", "don't", "stop", "it's", "ten", "o'clock"]
    assert words_of("well-known 'quoted' 5% & more — 한국 ''") == [
        "well", "known", "quoted", "five", "percent", "and", "more",
    ]  # fmt: skip
    assert words_of("1,234 and 2026") == [
        "one",
        "thousand",
        "two",
        "hundred",
        "thirty",
        "four",
        "and",
        "two",
        "thousand",
        "twenty",
        "six",
    ]
    assert words_of("") == []
    odd = "Ｈｅｌｌｏ, ca\u200bfé nai\u0308ve \u202eﬁne ½"
    assert words_of(odd) == ["hello", "cafe", "naive", "fine", "one", "two"]


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("0", "zero"),
        ("19", "nineteen"),
        ("20", "twenty"),
        ("000007", "seven"),
        ("0000007", "zero zero zero zero zero zero seven"),
        pytest.param("9" * 5000, " ".join(["nine"] * 5000), id="5,000 digits"),
        ("85", "eighty five"),
        ("100", "one hundred"),
        ("305", "three hundred five"),
        ("4000", "four thousand"),
        ("999999", "nine hundred ninety nine thousand nine hundred ninety nine"),
        ("1000000", "one zero zero zero zero zero zero"),
    ],
)
def test_numbers_are_read_out(digits: str, words: str) -> None:
    assert number_words(digits) == words.split()
