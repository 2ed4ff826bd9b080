"""Every row of the service's error table through the whole client: over respx, and over a real socket."""

from __future__ import annotations

import io
import json
import traceback
import wave
from collections.abc import Iterator
from datetime import datetime, timezone

import httpx
import pytest
import respx

from clova_speech_async import ClovaSpeechClient, CSRKeys, Limiter, RetryPolicy, errors
from clova_speech_async.emulator import Emulator, Running, error, serve

pytestmark = pytest.mark.anyio

KEY = "-".join(["this", "key", "is", "never", "shown"])  # in no source line as it is, which a traceback would show
URL = "https://clovaspeech-gw.ncloud.com/recog/v1/stt"
ROWS = [
    (400, "400", "Invalid request parameters", errors.BadRequestError, False),
    (401, "401", "Invalid secret", errors.AuthenticationError, False),
    (413, "STT001", "Exceed Sound Data length", errors.SoundDataTooLongError, False),
    (400, "STT002", "Invalid Content Type", errors.InvalidContentTypeError, False),
    (400, "STT003", "Empty Sound Data", errors.EmptySoundDataError, False),
    (400, "STT004", "Empty Language", errors.EmptyLanguageError, False),
    (400, "STT005", "Invalid Language", errors.InvalidLanguageError, False),
    (500, "STT006", "Failed to pre-processing", errors.PreprocessingError, False),
    (500, "STT998", "Failed to STT", errors.RecognitionFailedError, True),
    (500, "STT999", "Internal Server Error", errors.InternalServerError, True),
    (413, "STT000", "Request Entity Too Large", errors.PayloadTooLargeError, False),
    (400, "STT007", "Too Short Sound Data", errors.SoundDataTooShortError, False),
    (400, "100", "Bad Request Exception", errors.BadRequestError, False),
    (401, "200", "Authentication Failed", errors.AuthenticationError, False),
    (401, "210", "Permission Denied", errors.PermissionDeniedError, False),
    (403, "230", "Forbidden", errors.PermissionDeniedError, False),
    (404, "300", "Not Found Exception", errors.NotFoundError, False),
    (429, "400", "Quota Exceeded", errors.QuotaExceededError, False),
    (429, "410", "Throttle Limited", errors.ThrottledError, True),
    (429, "420", "Rate Limited", errors.ThrottledError, True),
    (413, "430", "Request Entity Too Large", errors.PayloadTooLargeError, False),
    (503, "500", "Endpoint Error", errors.ServiceUnavailableError, True),
    (504, "510", "Endpoint Timeout", errors.GatewayTimeoutError, True),
    (500, "900", "Unexpected Error", errors.InternalServerError, True),
]
rows = pytest.mark.parametrize(("status", "code", "message", "kind", "retryable"), ROWS)
QUICK = RetryPolicy(base_delay=0, throttle_delay=0)


def unhurried() -> Limiter:
    """A limiter that does not rest after a sign of overload."""
    return Limiter(8, pause=(0, 0))


def speech(seconds: float = 1.0) -> bytes:
    """A WAV of a low hum: what the service's rows are about is never reached."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(b"\x00\x10\x00\xf0" * int(8_000 * seconds))
    return file.getvalue()


def check_no_key(caught: BaseException) -> None:
    shown = "".join(traceback.format_exception(caught)) + repr(caught) + str(vars(caught))
    assert KEY not in shown


@rows
async def test_every_row_mocked_by_respx(
    status: int, code: str, message: str, kind: type[errors.ServiceError], retryable: bool
) -> None:
    body = {"timestamp": 1700536699045, "error": {"errorCode": code, "message": f"{message}"}}
    headers = {"X-Request-Id": "r-1", "Retry-After": "0"}
    with respx.mock as mock:
        route = mock.post(URL).mock(return_value=httpx.Response(status, json=body, headers=headers))
        async with ClovaSpeechClient(KEY, retry=QUICK, concurrency=unhurried()) as client:
            with pytest.raises(errors.ClovaSpeechError) as caught:
                await client.recognize(speech(), lang="Eng")
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, code, message)
    assert error.timestamp == datetime(2023, 11, 21, 3, 18, 19, 45000, tzinfo=timezone.utc)
    assert (error.request_id, error.retry_after, error.retryable) == ("r-1", 0.0, retryable)
    # Retried as the table of flow control says: up to four tries, twice where it may have been billed.
    tries = 1 if not retryable else 2 if status == 504 else 4
    assert route.call_count == len(error.attempts) == tries
    assert {attempt.status for attempt in error.attempts} == {status}
    request = route.calls[0].request
    assert request.headers["X-CLOVASPEECH-API-KEY"] == KEY
    assert request.headers["Content-Type"] == "application/octet-stream"
    assert request.url.query == b"lang=Eng"
    assert request.content == speech()
    check_no_key(error)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    with serve(Emulator(secret_key=KEY, recognizer="hello")) as running:
        yield running


@rows
async def test_every_row_over_a_socket(
    emulator: Running, status: int, code: str, message: str, kind: type[errors.ServiceError], retryable: bool
) -> None:
    emulator.emulator.reset()
    emulator.emulator.script(*[error(f"{status}/{code}")] * 4)
    async with ClovaSpeechClient(KEY, invoke_url=emulator.url, retry=QUICK, concurrency=unhurried()) as client:
        with pytest.raises(errors.ServiceError) as caught:
            await client.recognize(speech(), lang="Eng")
        refused = caught.value
        assert type(refused) is kind
        assert (refused.status, refused.code, refused.message) == (status, code, message)
        assert refused.timestamp is not None
        assert abs((datetime.now(timezone.utc) - refused.timestamp).total_seconds()) < 60
        assert refused.retryable is retryable
        assert len(refused.attempts) == (1 if not retryable else 2 if status == 504 else 4)
        check_no_key(refused)
        # The client is as good as new.
        emulator.emulator.reset()
        recognition = await client.recognize(speech(), lang="Eng")
    assert (recognition.text, recognition.quota) == ("hello", 15)


async def test_what_the_emulator_refuses_by_itself(emulator: Running) -> None:
    emulator.emulator.reset()
    async with ClovaSpeechClient("wrong", invoke_url=emulator.url) as client:
        with pytest.raises(errors.AuthenticationError, match="check the secret key"):
            await client.recognize(speech(), lang="Eng")
    async with ClovaSpeechClient(KEY, invoke_url=emulator.url + "/elsewhere?x=1") as client:
        assert (await client.recognize(speech(), lang="Kor")).text == "hello"


async def test_the_two_keys_of_csr() -> None:
    keys = CSRKeys("id", KEY)
    with respx.mock as mock:
        route = mock.post("https://naveropenapi.apigw.ntruss.com/recog/v1/stt", params={"lang": "Kor"})
        route.mock(return_value=httpx.Response(200, text=json.dumps({"text": "안녕"})))
        async with ClovaSpeechClient(keys) as client:
            recognition = await client.recognize(speech(), lang="ko")
            transcript = await client.transcribe(speech(16), lang="ko")
    sent = route.calls[0].request.headers
    assert (sent["X-NCP-APIGW-API-KEY-ID"], sent["X-NCP-APIGW-API-KEY"]) == ("id", KEY)
    assert "X-CLOVASPEECH-API-KEY" not in sent
    assert (recognition.text, recognition.quota) == ("안녕", None)
    # CSR does not tell what it bills; the units of 15 s are the same.
    assert transcript.billed_seconds == 30


async def test_the_two_keys_of_csr_against_the_emulator() -> None:
    with serve(Emulator(csr_keys=[("id", KEY)], recognizer="hello")) as running:
        async with ClovaSpeechClient(CSRKeys("id", KEY), invoke_url=running.url) as client:
            assert (await client.recognize(speech(), lang="Eng")).text == "hello"
        async with ClovaSpeechClient(CSRKeys("other", KEY), invoke_url=running.url) as client:
            with pytest.raises(errors.AuthenticationError) as caught:
                await client.recognize(speech(), lang="Eng")
    check_no_key(caught.value)
