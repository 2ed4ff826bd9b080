from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.emulator.contract import (
    LANGUAGES,
    ROWS,
    Keys,
    Refusal,
    Wanted,
    apology,
    billed_seconds,
    read_parameters,
    row,
)

# The table once more, typed from the documents and not from the code.
TABLE = """
400 400 Invalid request parameters
401 401 Invalid secret
413 STT001 Exceed Sound Data length
400 STT002 Invalid Content Type
400 STT003 Empty Sound Data
400 STT004 Empty Language
400 STT005 Invalid Language
500 STT006 Failed to pre-processing
500 STT998 Failed to STT
500 STT999 Internal Server Error
413 STT000 Request Entity Too Large
400 STT007 Too Short Sound Data
400 100 Bad Request Exception
401 200 Authentication Failed
401 210 Permission Denied
403 230 Forbidden
404 300 Not Found Exception
429 400 Quota Exceeded
429 410 Throttle Limited
429 420 Rate Limited
413 430 Request Entity Too Large
503 500 Endpoint Error
504 510 Endpoint Timeout
500 900 Unexpected Error
"""


def test_the_table_is_the_documents() -> None:
    typed = [tuple(line.split(" ", 2)) for line in TABLE.strip().splitlines()]
    assert [(str(r.status), r.code, r.message) for r in ROWS] == typed


def test_a_row_has_its_names() -> None:
    for one in ROWS:
        assert row(f"{one.status}/{one.code}") is one
    assert row("STT998").status == 500
    assert (row(400).status, row("429/400").status, row(410).status) == (400, 429, 429)
    with pytest.raises(ValueError, match="'STT123' is no row.*429/400"):
        row("STT123")
    for wrong in (None, True, 4.0):
        with pytest.raises(TypeError, match="named by its code"):
            row(wrong)  # type: ignore[arg-type]


def test_an_error_body_is_as_documented() -> None:
    body = json.loads(row("STT005").body(1700536699045))
    assert body == {"timestamp": 1700536699045, "error": {"errorCode": "STT005", "message": "Invalid Language"}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ([], "STT004"),
        ([("lang", "")], "STT004"),
        ([("assessment", "true")], "STT004"),
        ([("lang", "kor")], "STT005"),
        ([("lang", "KOR")], "STT005"),
        ([("lang", "ko-KR")], "STT005"),
        ([("lang", "Kor"), ("lang", "Kor")], "400"),
        ([("lang", "Kor"), ("asessment", "true")], "400"),
        ([("lang", "Kor"), ("assessment", "True")], "400"),
        ([("lang", "Kor"), ("assessment", "1")], "400"),
        ([("lang", "Kor"), ("graph", "")], "400"),
        ([("lang", "Jpn"), ("assessment", "true")], "400"),
        ([("lang", "Chn"), ("assessment", "true")], "400"),
        ([("lang", "Eng"), ("boostings", "word")], "400"),
        ([("lang", "Kor"), ("boostings", "가" * 513)], "400"),
    ],
)
def test_parameters_that_are_refused(query: list[tuple[str, str]], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_parameters(query)
    assert (caught.value.row.status, caught.value.row.code) == (400, code)


def test_parameters_that_are_taken() -> None:
    for lang in LANGUAGES:
        assert read_parameters([("lang", lang)]) == Wanted(lang)
    assert read_parameters([("lang", "Jpn"), ("assessment", "false"), ("graph", "true")]) == Wanted("Jpn", graph=True)
    full = [
        ("lang", "Kor"),
        ("assessment", "true"),
        ("utterance", "안녕"),
        ("graph", "true"),
        ("boostings", "서울\t부산"),
    ]
    assert read_parameters(full) == Wanted("Kor", True, "안녕", True, ("서울", "부산"))
    assert read_parameters([("lang", "Kor"), ("boostings", "가" * 512)]).boostings == ("가" * 512,)


def test_keys() -> None:
    keys = Keys(frozenset({"one", "two"}), frozenset({("id", "key")}))
    assert keys.check({"x-clovaspeech-api-key": "two"}) is False
    assert keys.check({"x-ncp-apigw-api-key-id": "id", "x-ncp-apigw-api-key": "key"}) is True
    for headers, code in (
        ({}, "401"),
        ({"x-clovaspeech-api-key": ""}, "401"),
        ({"x-clovaspeech-api-key": "One"}, "401"),
        ({"x-ncp-apigw-api-key": "key"}, "401"),
        ({"x-clovaspeech-api-key": "no", "x-ncp-apigw-api-key-id": "id", "x-ncp-apigw-api-key": "key"}, "401"),
        ({"x-ncp-apigw-api-key-id": "id"}, "200"),
        ({"x-ncp-apigw-api-key-id": "id", "x-ncp-apigw-api-key": "two"}, "200"),
    ):
        with pytest.raises(Refusal) as caught:
            keys.check(headers)
        assert (caught.value.row.status, caught.value.row.code) == (401, code)


def test_any_key() -> None:
    keys = Keys(None, None)
    assert keys.check({"x-clovaspeech-api-key": "whatever"}) is False
    assert keys.check({"x-ncp-apigw-api-key-id": "a", "x-ncp-apigw-api-key": "b"}) is True
    for headers in ({}, {"x-clovaspeech-api-key": ""}, {"x-ncp-apigw-api-key-id": "", "x-ncp-apigw-api-key": "b"}):
        with pytest.raises(Refusal):
            keys.check(headers)


@given(st.floats(0, 60, allow_nan=False))
def test_billing_rounds_up_to_fifteen(seconds: float) -> None:
    billed = billed_seconds(seconds)
    assert billed % 15 == 0
    assert billed >= 15
    assert billed >= seconds
    assert billed - seconds < 15 or billed == 15


def test_billing_examples() -> None:
    cases = [(0.1, 15), (15, 15), (math.nextafter(15, 16), 30), (31, 45), (60, 60)]
    assert [billed_seconds(seconds) for seconds, _ in cases] == [billed for _, billed in cases]


def test_the_note_names_the_length_in_each_language() -> None:
    notes = {apology(lang, 5.895) for lang in LANGUAGES}
    assert len(notes) == 4
    assert all("5.9" in note for note in notes)
