from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.journal import journal_key

DIGEST = hashlib.sha256(b"audio").digest()
URL = "https://clovaspeech-gw.ncloud.com/recog/v1/stt"


def test_is_the_same_for_the_same_request() -> None:
    assert journal_key(DIGEST, URL, "lang=Kor") == journal_key(DIGEST, URL, "lang=Kor")
    assert len(journal_key(DIGEST, URL, "lang=Kor")) == 32


def test_stays_what_it_is_from_release_to_release() -> None:
    # A journal of an earlier release must be found again: this value never changes.
    assert journal_key(DIGEST, URL, "lang=Kor").hex() == (
        "86ce18baf65637063e5b0113622a182453a8c552c16f16a4ad50cf63526bc796"
    )


def test_does_not_depend_on_the_order_of_the_parameters() -> None:
    one = journal_key(DIGEST, URL, "lang=Eng&assessment=true&utterance=nice%20day")
    assert one == journal_key(DIGEST, URL, "utterance=nice+day&lang=Eng&assessment=true")


def test_does_not_depend_on_how_the_address_is_written() -> None:
    one = journal_key(DIGEST, URL, "lang=Kor")
    assert one == journal_key(DIGEST, "HTTPS://ClovaSpeech-gw.ncloud.com/recog/v1/stt?lang=Kor#x", "?lang=Kor")


@pytest.mark.parametrize(
    ("digest", "url", "query"),
    [
        (hashlib.sha256(b"other").digest(), URL, "lang=Kor"),
        (DIGEST, URL.replace("gw", "gw2"), "lang=Kor"),
        (DIGEST, URL.replace("v1", "V1"), "lang=Kor"),
        (DIGEST, URL, "lang=Eng"),
        (DIGEST, URL, "lang=Kor&graph=true"),
        (DIGEST, URL, "lang=Kor&boostings="),
        (DIGEST, URL, ""),
    ],
)
def test_differs_by_everything_that_changes_the_reply(digest: bytes, url: str, query: str) -> None:
    assert journal_key(digest, url, query) != journal_key(DIGEST, URL, "lang=Kor")


parameters = st.lists(st.tuples(st.text("abc=&", max_size=4), st.text("abc=& \t", max_size=4)), max_size=3)


@settings(deadline=None)
@given(parameters, parameters)
def test_no_two_sets_of_parameters_run_into_each_other(one: list[tuple[str, str]], two: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode

    same = journal_key(DIGEST, URL, urlencode(one)) == journal_key(DIGEST, URL, urlencode(two))
    assert same == (sorted(one) == sorted(two))


def test_refuses_what_is_no_digest() -> None:
    with pytest.raises(InvalidArgumentError, match="digest has 3 bytes"):
        journal_key(b"abc", URL, "")
    with pytest.raises(ArgumentTypeError, match="must be bytes, not str"):
        journal_key("abc", URL, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "query", "kind", "words"),
    [
        (5, "", ArgumentTypeError, "url must be a str, not int"),
        (b"https://example.com/", "", ArgumentTypeError, "url must be a str, not bytes"),
        ("https://example.com/", None, ArgumentTypeError, "query must be a str, not NoneType"),
        ("https://[/", "", InvalidArgumentError, "url or query is none"),
        ("https://example.com/\ud800", "", InvalidArgumentError, "url or query is none"),
        ("https://example.com/", "lang=\ud800", InvalidArgumentError, "url or query is none"),
    ],
)
def test_no_address_and_no_query_are_named(url: Any, query: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        journal_key(b"d" * 32, url, query)
