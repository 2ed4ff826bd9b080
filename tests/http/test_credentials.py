from __future__ import annotations

import pickle
import traceback

import pytest

from clova_speech_async.errors import ClovaSpeechError, ConfigurationError
from clova_speech_async.http.credentials import Credentials, CSRKeys, SecretKey, from_environment


def test_the_service_takes_one_key_and_csr_two() -> None:
    assert SecretKey("abc").headers() == ((b"X-CLOVASPEECH-API-KEY", b"abc"),)
    assert CSRKeys("id", "abc").headers() == ((b"X-NCP-APIGW-API-KEY-ID", b"id"), (b"X-NCP-APIGW-API-KEY", b"abc"))
    assert set(CSRKeys("id", "abc").secrets()) == {"id", "abc"}
    assert isinstance(SecretKey("a"), Credentials)
    assert isinstance(CSRKeys("a", "b"), Credentials)
    assert SecretKey("a").default_url != CSRKeys("a", "b").default_url


@pytest.mark.parametrize("credentials", [SecretKey("s3cr3t-key"), CSRKeys("s3cr3t-id", "s3cr3t-key")])
def test_no_repr_shows_a_key(credentials: object) -> None:
    assert "s3cr3t" not in repr(credentials) + str(credentials)
    assert pickle.loads(pickle.dumps(credentials)) == credentials


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "is empty"),
        ("s3cr3t ", "white space"),
        ("s3cr3t\n", "white space"),
        ("s3c r3t", "position 4"),
        ('"s3cr3t"', "quotation mark.*docker --env-file"),
        ("'s3cr3t'", "quotation mark"),
        ('s3cr3t"', "quotation mark"),
        ("`s3cr3t", "quotation mark"),
        ("s3cr3t\x7fx", "position 7"),
        ("비밀s3cr3t", "position 1"),
        ("s3cr3t\u200b", "position 7"),
    ],
)
def test_a_malformed_key_is_told_and_never_shown(key: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        SecretKey(key)
    assert isinstance(caught.value, ValueError)
    assert "CLOVA_SPEECH_SECRET_KEY" in str(caught.value)
    assert "s3c" not in str(caught.value) + repr(caught.value)
    assert "s3c" not in "".join(str(frame.line) for frame in traceback.extract_tb(caught.tb))
    with pytest.raises(ConfigurationError, match="CSR"):
        CSRKeys("id", key)


def test_a_key_of_another_type() -> None:
    with pytest.raises(TypeError, match="must be a string, not bytes"):
        SecretKey(b"abc")  # type: ignore[arg-type]


def test_the_environment() -> None:
    assert from_environment({"CLOVA_SPEECH_SECRET_KEY": "abc"}) == SecretKey("abc")
    with pytest.raises(ConfigurationError, match="pass secret_key=…, or set CLOVA_SPEECH_SECRET_KEY"):
        from_environment({})
    malformed = "-".join(["s3", "cr3t"]) + "\n"  # in no source line as it is, which a traceback would show
    with pytest.raises(ClovaSpeechError, match="^CLOVA_SPEECH_SECRET_KEY: .*white space") as caught:
        from_environment({"CLOVA_SPEECH_SECRET_KEY": malformed})
    assert malformed.strip() not in "".join(traceback.format_exception(caught.value))
