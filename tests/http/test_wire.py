from __future__ import annotations

import html
import json
import traceback
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async import errors as e
from clova_speech_async.http.wire import REPLY_LIMIT, Reply, Secrets, parse_reply, parse_retry_after

NOW = 1_700_000_000.0

# Every row of the error table of the guides: status, code, message, class, retryable.
ROWS = [
    (400, "400", "Invalid request parameters", e.BadRequestError, False),
    (401, "401", "Invalid secret", e.AuthenticationError, False),
    (413, "STT001", "Exceed Sound Data length", e.SoundDataTooLongError, False),
    (400, "STT002", "Invalid Content Type", e.InvalidContentTypeError, False),
    (400, "STT003", "Empty Sound Data", e.EmptySoundDataError, False),
    (400, "STT004", "Empty Language", e.EmptyLanguageError, False),
    (400, "STT005", "Invalid Language", e.InvalidLanguageError, False),
    (500, "STT006", "Failed to pre-processing", e.PreprocessingError, False),
    (500, "STT998", "Failed to STT", e.RecognitionFailedError, True),
    (500, "STT999", "Internal Server Error", e.InternalServerError, True),
    (413, "STT000", "Request Entity Too Large", e.PayloadTooLargeError, False),
    (400, "STT007", "Too Short Sound Data", e.SoundDataTooShortError, False),
    (400, "100", "Bad Request Exception", e.BadRequestError, False),
    (401, "200", "Authentication Failed", e.AuthenticationError, False),
    (401, "210", "Permission Denied", e.PermissionDeniedError, False),
    (403, "230", "Forbidden", e.PermissionDeniedError, False),
    (404, "300", "Not Found Exception", e.NotFoundError, False),
    (429, "400", "Quota Exceeded", e.QuotaExceededError, False),
    (429, "410", "Throttle Limited", e.ThrottledError, True),
    (429, "420", "Rate Limited", e.ThrottledError, True),
    (413, "430", "Request Entity Too Large", e.PayloadTooLargeError, False),
    (503, "500", "Endpoint Error", e.ServiceUnavailableError, True),
    (504, "510", "Endpoint Timeout", e.GatewayTimeoutError, True),
    (500, "900", "Unexpected Error", e.InternalServerError, True),
]


def body(code: object, message: str, timestamp: object = 1700536699045) -> bytes:
    return msgspec.json.encode({"timestamp": timestamp, "error": {"errorCode": code, "message": message}})


def failure(reply: Reply, **options: object) -> e.ServiceError:
    with pytest.raises(e.ServiceError) as caught:
        parse_reply(reply, **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "retryable", "as_int"),
    [(*row, as_int) for row in ROWS for as_int in (False, True) if row[1].isdigit() or not as_int],
)
def test_every_row_has_its_class(
    status: int, code: str, message: str, kind: type[e.ServiceError], retryable: bool, as_int: bool
) -> None:
    headers = [(b"X-Request-Id", b"r-1"), (b"retry-after", b"7")]
    error = failure(Reply(status, headers, body(int(code) if as_int else code, message)))
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, code, message)
    assert error.timestamp == datetime(2023, 11, 21, 3, 18, 19, 45000, tzinfo=timezone.utc)
    assert (error.request_id, error.retry_after, error.retryable) == ("r-1", 7.0, retryable)
    assert str(error).startswith(f"{status}/{code}: {message}")
    assert error.attempts == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html><h1>no</h1></html>",
        b"\xff\xfe bad",
        b"[]",
        b'"x"',
        b"{",
        b'{"error": 5}',
        b'{"error":{"errorCode":true}}',
    ],
)
@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, e.BadRequestError, False),
        (401, e.AuthenticationError, False),
        (403, e.PermissionDeniedError, False),
        (404, e.NotFoundError, False),
        (408, e.BadRequestError, True),
        (413, e.PayloadTooLargeError, False),
        (418, e.BadRequestError, False),
        (429, e.ThrottledError, True),
        (500, e.InternalServerError, True),
        (502, e.ServiceUnavailableError, True),
        (503, e.ServiceUnavailableError, True),
        (504, e.GatewayTimeoutError, True),
        (599, e.InternalServerError, True),
    ],
)
def test_without_a_readable_body_the_status_decides(
    status: int, kind: type[e.ServiceError], retryable: bool, raw: bytes
) -> None:
    error = failure(Reply(status, (), raw))
    assert type(error) is kind
    assert (error.status, error.code, error.timestamp, error.retryable) == (status, None, None, retryable)


def test_an_unknown_code_is_kept_and_the_status_decides() -> None:
    error = failure(Reply(429, (), body("STT777", "odd")))
    assert type(error) is e.ThrottledError
    assert error.code == "STT777"


def test_the_form_of_the_sibling_service_is_read_too() -> None:
    error = failure(Reply(413, (), b'{"errorCode": "STT001", "errorMessage": "Exceed Sound Data length"}'))
    assert type(error) is e.SoundDataTooLongError
    assert error.message == "Exceed Sound Data length"


@pytest.mark.parametrize("timestamp", [None, "x", 1e300, -1e300, float(2**63), True, [1]])
def test_a_strange_timestamp_is_none(timestamp: object) -> None:
    assert failure(Reply(500, (), body("STT999", "x", timestamp))).timestamp is None


def test_a_redirect_tells_the_host_and_hides_the_query() -> None:
    error = failure(Reply(302, [(b"Location", b"https://evil.example/x?utterance=secret")], b""))
    assert type(error) is e.ServiceError
    assert "https://evil.example" in str(error)
    assert "secret" not in str(error)
    assert not error.retryable


def test_a_redirect_without_a_place_is_an_error_all_the_same() -> None:
    assert "redirects are never followed" in str(failure(Reply(301)))


KEY = "sk-0123456789"
SENTENCE = "우산 <챙겨> & please"
SENTENCE_FORMS = [
    SENTENCE,
    quote(SENTENCE, safe=""),
    quote(SENTENCE, safe="").lower(),
    quote_plus(SENTENCE),
    html.escape(SENTENCE),
    json.dumps(SENTENCE)[1:-1],
]


def test_secrets_are_taken_out_of_what_the_service_says() -> None:
    key = "sk-0123456789"
    error = failure(Reply(401, (), body("401", f"bad key {key}!")), secrets=Secrets(key))
    page = failure(Reply(502, (), f"<p>{'x' * 195}{key}</p>".encode()), secrets=Secrets(key))
    assert key not in str(error) + error.message
    assert "[redacted]" in error.message
    assert key[:5] not in str(page)


@pytest.mark.parametrize("written", SENTENCE_FORMS)
def test_secrets_are_found_in_the_forms_of_a_page_or_an_address(written: str) -> None:
    page = f"<h1>POST /recog/v1/stt?lang=Kor&utterance={written} was refused</h1>".encode()
    error = failure(Reply(403, [(b"x-request-id", written.encode())], page), secrets=Secrets(SENTENCE))
    assert written not in str(error) + error.message + str(error.request_id)
    assert "was refused" in error.message
    coded = failure(
        Reply(400, (), json.dumps({"error": {"errorCode": "k-12345"}}).encode()), secrets=Secrets("k-12345")
    )
    assert "k-12345" not in str(coded) + str(coded.code)


@pytest.mark.parametrize("times", [1, 2, 10, 1000])
@pytest.mark.parametrize("length", [13, 40, 401])
def test_not_even_a_part_of_a_secret_is_left_where_a_text_is_cut(times: int, length: int) -> None:
    key = "".join(chr(33 + (7 * n) % 90) for n in range(length))
    page = ("x" * 150 + key * times + "y" * 5000).encode()
    for error in (
        failure(Reply(502, (), page), secrets=Secrets(key)),
        failure(Reply(502, (), body("1", page.decode())), secrets=Secrets(key)),
    ):
        assert error.message.startswith("x" * 150)
        assert not any(key[at : at + 8] in str(error) + error.message for at in range(length - 8))


def test_a_long_text_is_not_looked_through_for_every_form_of_every_secret() -> None:
    """No clock: the work is that for its first characters."""

    class Text(str):
        looked_through = 0

        def __getitem__(self, index: Any) -> Any:
            return Text(super().__getitem__(index))

        def replace(self, *arguments: Any) -> Any:
            Text.looked_through += len(self)
            return Text(super().replace(*arguments))

    words = [f"keyword{n}" for n in range(128)]
    assert Secrets(*words).redact(Text("z" * 8_000_000), 200).startswith("zzz")
    assert 0 < Text.looked_through < 5_000_000


@pytest.mark.parametrize("status", [401, 200])
def test_no_traceback_shows_a_key_even_with_the_values_in_it(status: int) -> None:
    """As loguru, rich and Sentry show them."""
    with pytest.raises(e.ClovaSpeechError) as caught:
        parse_reply(Reply(status, (), b'{"said": "what was said"}'), secrets=Secrets(KEY))
    lines = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "secrets = <1 secrets>" in lines
    assert KEY not in lines
    assert caught.value.__context__ is None, "a decoder's error holds the reply"


def test_control_characters_of_the_service_reach_no_terminal() -> None:
    assert "\x1b" not in str(failure(Reply(500, (), body("STT999", "\x1b[31mred"))))


# --- success --------------------------------------------------------------------------------------


def test_a_recognition_with_everything() -> None:
    raw = {
        "text": "hi",
        "quota": 30,
        "assessment_score": 14,
        "assessment_details": "false|{f(f):45} ",
        "ref_graph": [0, 1],
        "usr_graph": [2, 3],
        "new_field": {"a": 1},
    }
    recognition = parse_reply(Reply(200, (), msgspec.json.encode(raw)))
    assert msgspec.to_builtins(recognition) == {key: raw[key] for key in raw if key != "new_field"} | {
        "ref_graph": (0, 1),
        "usr_graph": (2, 3),
    }
    assert recognition.assessment is not None
    assert recognition.assessment.score == 14


@pytest.mark.parametrize("raw", [b'{"text": "a", "quota": 15.0}', b'\xef\xbb\xbf{"text": "a", "quota": 15}'])
def test_a_paid_reply_does_not_fail_over_how_it_is_written(raw: bytes) -> None:
    quota = parse_reply(Reply(200, (), raw)).quota
    assert quota == 15
    assert type(quota) is int


@pytest.mark.parametrize(
    "raw",
    [
        b'{"text": "a", "quota": 15, "assessment_score": NaN}',
        b'{"text": "a", "quota": 15, "usr_graph": [1, Infinity]}',
        b'{"text": "a", "quota": 15, "assessment_details": "\\ud800"}',
        b'{"text": "a", "quota": 15, "assessment_details": "\t"}',
    ],
)
def test_a_paid_reply_may_be_json_by_another_measure(raw: bytes) -> None:
    recognition = parse_reply(Reply(200, (), raw))
    assert (recognition.text, recognition.quota, recognition.assessment_score) == ("a", 15, None)


def test_what_is_missing_is_none() -> None:
    recognition = parse_reply(Reply(200, (), b'{"text": ""}'))
    assert recognition.text == ""
    assert recognition.quota is None
    assert recognition.assessment is None


def test_details_of_another_json_type_do_not_fail_a_paid_reply() -> None:
    recognition = parse_reply(Reply(200, (), b'{"text": "a", "assessment_details": [{"w": 1}]}'))
    assert recognition.assessment_details == '[{"w": 1}]'
    assert recognition.assessment is not None
    assert recognition.assessment.words == ()


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("quota", "15.0", 15),
        ("quota", '"15"', 15),
        ("quota", "1.5", None),
        ("quota", "-15", None),
        ("quota", "1e999", None),
        ("quota", "9223372036854775808", None),
        ("quota", "true", None),
        ("assessment_score", '"87"', 87),
        ("assessment_score", '"x"', None),
        ("assessment_score", "[1]", None),
        ("ref_graph", "5", None),
        ("ref_graph", "[1, null, 3]", None),
        ("usr_graph", '["x"]', None),
        ("usr_graph", "[0, 1.5]", (0, 1.5)),
    ],
)
def test_nothing_beside_the_text_fails_a_paid_reply(field: str, value: str, read: object) -> None:
    recognition = parse_reply(Reply(200, (), b'{"text": "a", "%b": %b}' % (field.encode(), value.encode())))
    assert recognition.text == "a"
    assert getattr(recognition, field) == read


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        b'{"text": null}',
        b'{"text": 5}',
        b'{"text": "a',
        b'{"text": "\xff"}',
    ],
)
def test_a_reply_that_is_no_recognition_is_a_typed_error(raw: bytes) -> None:
    with pytest.raises(e.InvalidReplyError) as caught:
        parse_reply(Reply(200, [(b"x-request-id", b"r")], raw))
    assert caught.value.status == 200
    assert caught.value.request_id == "r"
    assert caught.value.retryable
    assert not caught.value.truncated
    assert caught.value.snippet in raw.decode("utf-8", "replace")


@pytest.mark.parametrize("status", [200, 404, 500])
def test_brackets_a_thousand_deep_are_no_error_of_the_decoder(status: int) -> None:
    for start in (b"[", b'{"text": "a", "more": [', b'{"text": "a", "assessment_details": [', b'{"error": ['):
        body = start + b"[" * 100_000
        with pytest.raises(e.InvalidReplyError if status == 200 else e.ServiceError) as caught:
            parse_reply(Reply(status, (), body))
        assert caught.value.status == status


def test_a_reply_cut_short_is_one_even_if_it_parses() -> None:
    with pytest.raises(e.InvalidReplyError, match="ended before") as caught:
        parse_reply(Reply(200, (), b'{"text": "a"}', truncated=True))
    assert caught.value.truncated


def test_the_snippet_is_short_and_without_secrets() -> None:
    key = "k" * 40
    with pytest.raises(e.InvalidReplyError) as caught:
        parse_reply(Reply(200, (), ("<p>" + "y" * 190 + key + "z" * 9000).encode()), secrets=Secrets(key))
    assert len(caught.value.snippet) <= 201
    assert "kkk" not in caught.value.snippet


def test_the_cap_is_8_mib() -> None:
    assert REPLY_LIMIT == 8 * 2**20


@given(st.integers(100, 999), st.binary(max_size=300))
def test_any_reply_is_a_recognition_or_an_error_of_ours(status: int, raw: bytes) -> None:
    try:
        recognition = parse_reply(Reply(status, (), raw), now=NOW)
    except e.ServiceError as error:
        assert not 200 <= status < 300
        assert error.status == status
    except e.InvalidReplyError as error:
        assert 200 <= status < 300
        assert error.status == status
    else:
        assert isinstance(recognition.text, str)


# --- Retry-After ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("NaN", None),
        ("-1", None),
        ("1e309", None),
        ("-inf", None),
        ("", None),
        ("soon", None),
        ("1_0", None),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 22:10:00 GMT", 0.0),
        ("Tue, 99 Nov 2023 22:13:50 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


def test_a_date_without_a_clock_says_nothing() -> None:
    assert parse_retry_after("Tue, 14 Nov 2023 22:13:50 GMT", now=None) is None


@given(st.text(max_size=40))
def test_any_retry_after_is_none_or_a_finite_wait(value: str) -> None:
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or 0 <= seconds < float("inf")
