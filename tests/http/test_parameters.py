from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.errors import ClovaSpeechError, ConfigurationError, InvalidArgumentError
from clova_speech_async.http.parameters import Parameters, endpoint
from clova_speech_async.models import Language

GATEWAY = "https://clovaspeech-gw.ncloud.com/recog/v1/stt"


def query(**arguments: Any) -> dict[str, list[str]]:
    return parse_qs(Parameters.check(**arguments).query, keep_blank_values=True, strict_parsing=True)


def refusal(**arguments: Any) -> str:
    with pytest.raises((ValueError, TypeError)) as caught:
        Parameters.check(**arguments)
    assert isinstance(caught.value, ClovaSpeechError)
    return str(caught.value)


# --- language -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_lang", "sent"),
    [
        ("Kor", "Kor"),
        ("ko", "Kor"),
        ("ko-KR", "Kor"),
        ("ko_KR", "Kor"),
        ("KOR", "Kor"),
        (" Kor ", "Kor"),
        ("en", "Eng"),
        ("en-US", "Eng"),
        ("Eng", "Eng"),
        ("ja", "Jpn"),
        ("jpn", "Jpn"),
        ("zh", "Chn"),
        ("zh-Hans-CN", "Chn"),
        ("Chn", "Chn"),
        (Language.JAPANESE, "Jpn"),
    ],
)
def test_languages(given_lang: str | Language, sent: str) -> None:
    assert query(lang=given_lang) == {"lang": [sent]}


@pytest.mark.parametrize(
    ("mistake", "meant"),
    [("Korr", "Kor"), ("Korean", "Kor"), ("kr", "Kor"), ("English", "Eng"), ("jp", "Jpn"), ("cn", "Chn")],
)
def test_a_mistaken_language_is_answered_with_a_guess(mistake: str, meant: str) -> None:
    assert f"{mistake!r} is not a language of the service; did you mean '{meant}'?" in refusal(lang=mistake)


def test_a_language_far_from_all_is_answered_with_the_list() -> None:
    assert "'Kor', 'Eng', 'Jpn' and 'Chn'" in refusal(lang="tlh")


@pytest.mark.parametrize("word", ["auto", "AUTO", "auto-detect", "detect", "multi", "mul", "und", " und ", "", "  "])
def test_a_language_that_is_to_be_found_out(word: str) -> None:
    text = refusal(lang=word)
    assert text.startswith(f"lang: {word!r} names no language, and the service does not detect it")
    assert "pass the one that is spoken, 'Kor', 'Eng', 'Jpn' or 'Chn'" in text


@pytest.mark.parametrize("wrong", [None, 5, b"Kor"])
def test_a_language_of_another_type(wrong: object) -> None:
    assert "lang must be a string" in refusal(lang=wrong)


# --- assessment -----------------------------------------------------------------------------------


def test_everything_at_once() -> None:
    sent = query(lang="Kor", assessment=True, utterance="안녕 & 반가워=요+", graph=True, boostings=["클로바", "네이버"])
    assert sent == {
        "lang": ["Kor"],
        "assessment": ["true"],
        "utterance": ["안녕 & 반가워=요+"],
        "graph": ["true"],
        "boostings": ["클로바\t네이버"],
    }


@pytest.mark.parametrize("lang", ["Jpn", "Chn"])
def test_assessment_in_a_language_that_has_none(lang: str) -> None:
    assert f"not in '{lang}'" in refusal(lang=lang, assessment=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"utterance": "hello"}, "pass assessment=True"),
        ({"assessment": True, "utterance": ""}, "no letter in it"),
        ({"assessment": True, "utterance": " \n\t"}, "no letter in it"),
        ({"assessment": True, "utterance": "…!"}, "no letter in it"),
        ({"assessment": True, "utterance": "안녕하세요"}, "written in Hangul, but lang is 'Eng'"),
        ({"assessment": True, "utterance": "привет"}, "written in Cyrillic"),
        ({"assessment": True, "utterance": "hello 世界"}, "Latin"),
        ({"assessment": True, "utterance": "hi \ud83d"}, "at position 4, half a character that cannot be sent"),
        ({"assessment": True, "utterance": b"hello"}, "utterance must be a string"),
        ({"assessment": 1}, "assessment must be True or False"),
        ({"graph": "true"}, "graph must be True or False, not 'true'"),
    ],
)
def test_assessment_used_wrongly(arguments: dict[str, Any], words: str) -> None:
    assert words in refusal(lang="Eng", **arguments)


def test_a_korean_utterance_may_hold_latin_words_but_not_only_those() -> None:
    assert query(lang="Kor", assessment=True, utterance="저는 LG 팬")["utterance"] == ["저는 LG 팬"]
    assert "Hangul letters" in refusal(lang="Kor", assessment=True, utterance="hello")


# --- boostings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("boostings", "words"),
    [
        ("클로바", "not one string"),
        (5, "iterable of keywords"),
        ({"클로바": 3}, "not dict: the service takes no weights, so pass the keywords alone, list(boostings)"),
        ([5], "a keyword must be a string"),
        ([""], "empty keyword"),
        (["클로\t바"], "tab"),
        (["클로\n바"], "line break"),
        (["CLOVA"], "is not Korean"),
        (["가" * 513], "513 characters"),
        (["가" * 100] * 6, "605 characters in 6 keywords"),
    ],
)
def test_boostings_used_wrongly(boostings: object, words: str) -> None:
    assert words in refusal(lang="Kor", boostings=boostings)


def test_boostings_are_korean_only() -> None:
    assert "'Kor' only, not in 'Eng'" in refusal(lang="Eng", boostings=["클로바"])


def test_boostings_up_to_the_limit_from_any_iterable() -> None:
    keywords = ["가" * 255, "나" * 256]
    assert query(lang="Kor", boostings=iter(keywords))["boostings"] == ["\t".join(keywords)]
    assert query(lang="Kor", boostings=()) == {"lang": ["Kor"]}
    # The same request in each process, though a set has another order there.
    assert query(lang="Kor", boostings=set(keywords))["boostings"] == ["\t".join(sorted(keywords))]
    assert "must be a string, not int" in refusal(lang="Kor", boostings={"클로바", 3})


def test_half_a_character_in_a_keyword() -> None:
    with pytest.raises(InvalidArgumentError, match="boostings: a keyword has .* at position 2, half a character"):
        Parameters.check(lang="Kor", boostings=["클\udcea"])


def test_no_repr_shows_what_the_user_said() -> None:
    shown = repr(Parameters.check(lang="Eng", assessment=True, utterance="my secret words"))
    assert "secret" not in shown


@given(st.text(st.characters(exclude_categories=()), min_size=1))
def test_any_utterance_is_refused_or_arrives_as_it_is(utterance: str) -> None:
    try:
        sent = query(lang="Eng", assessment=True, utterance=utterance)
    except ClovaSpeechError:
        return
    assert sent["utterance"] == [utterance]


# --- address --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pasted", "address"),
    [
        ("clovaspeech-gw.ncloud.com", GATEWAY),
        ("https://clovaspeech-gw.ncloud.com", GATEWAY),
        ("https://clovaspeech-gw.ncloud.com/", GATEWAY),
        ("  https://clovaspeech-gw.ncloud.com/recog/v1/stt\n", GATEWAY),
        ("'https://clovaspeech-gw.ncloud.com/recog/v1/stt'", GATEWAY),
        ("https://clovaspeech-gw.ncloud.com/recog/v1/stt/", GATEWAY),
        ("https://clovaspeech-gw.ncloud.com/recog/v1/stt?lang=Kor", GATEWAY),
        ("https://clovaspeech-gw.ncloud.com/recog/v1", GATEWAY),
        ("HTTPS://Clovaspeech-GW.ncloud.com#x", GATEWAY),
        (
            "https://clovaspeech-gw.ncloud.com/external/v1/12/ab34",
            "https://clovaspeech-gw.ncloud.com/external/v1/12/ab34/recog/v1/stt",
        ),
        (
            "https://clovaspeech-gw.ncloud.com/external/v1/12/ab34/recog/v1/stt?lang=Kor&graph=true",
            "https://clovaspeech-gw.ncloud.com/external/v1/12/ab34/recog/v1/stt",
        ),
        ("http://localhost:8080", "http://localhost:8080/recog/v1/stt"),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x/recog/v1/stt"),
        ("http://[::1]:9", "http://[::1]:9/recog/v1/stt"),
        ("localhost:8080", "https://localhost:8080/recog/v1/stt"),
    ],
)
def test_every_form_people_paste(pasted: str, address: str) -> None:
    assert endpoint(pasted) == address
    assert endpoint(address) == address


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("https://", "names no host"),
        ("ftp://example.com", "begins with 'ftp'"),
        ("http://clovaspeech-gw.ncloud.com", "plain http"),
        ("http://127.evil.example", "plain http"),
        ("https://user:pass@host", "user name or password"),
        ("https://host:99999", "not an address"),
        ("https://[::1", "not an address"),
        ("https://a b", "spaces"),
    ],
)
def test_what_is_no_address(pasted: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        endpoint(pasted)
    assert "CLOVA_SPEECH_INVOKE_URL" in str(caught.value) or "plain http" in str(caught.value)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize("behind", ["", "/", "/recog/v1/stt", "?lang=Kor"])
@pytest.mark.parametrize("end", ["upload", "url", "object-storage"])
def test_an_address_of_the_api_for_long_sentences(end: str, behind: str) -> None:
    """As the samples of that API have it; with our path behind it, it could only be a 404."""
    with pytest.raises(ConfigurationError) as caught:
        endpoint(f"https://clovaspeech-gw.ncloud.com/external/v1/123/abc/recognizer/{end}{behind}")
    text = str(caught.value)
    assert f"ends in '/recognizer/{end}': that is the address of the API for long sentences" in text
    assert f"e.g. {GATEWAY}" in text
    assert "123/abc" not in text


def test_an_address_that_only_resembles_it() -> None:
    assert endpoint("https://proxy.example/recognizer") == "https://proxy.example/recognizer/recog/v1/stt"
    assert (
        endpoint("https://proxy.example/my-recognizer/url2") == "https://proxy.example/my-recognizer/url2/recog/v1/stt"
    )


def test_an_address_of_another_type() -> None:
    with pytest.raises(TypeError, match="must be a string"):
        endpoint(5)  # type: ignore[arg-type]
