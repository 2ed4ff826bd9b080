from __future__ import annotations

import pytest

from clova_speech_async.batch.rules import Stop
from clova_speech_async.cli.remedies import for_one_request, in_words, reason_of, remedy_of, stops_the_run
from clova_speech_async.errors import (
    AudioTooLargeError,
    AuthenticationError,
    BatchStoppedError,
    ClientClosedError,
    ConfigurationError,
    CorruptAudioError,
    JournalError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ThrottledError,
)


def stopped(cause: Exception | None, reason: str = "why") -> BatchStoppedError:
    error = Stop(reason, "do something").error(kept=False)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("kind", [AuthenticationError, PermissionDeniedError, NotFoundError, QuotaExceededError])
def test_what_the_service_refuses_to_everybody(kind: type[AuthenticationError]) -> None:
    cause = kind("401: no (why).", status=401)
    assert stops_the_run(cause)
    assert reason_of(stopped(cause, str(cause))) == reason_of(cause) == "401: no (why)"
    assert remedy_of(cause, journal=True) == remedy_of(stopped(cause), journal=False) != ""


def test_a_matter_of_one_file_stops_nothing() -> None:
    assert not stops_the_run(CorruptAudioError("x"))
    assert not stops_the_run(BatchStoppedError("x"))
    assert not stops_the_run(ThrottledError("x", status=429))  # one alone
    assert not stops_the_run(None)


@pytest.mark.parametrize(
    ("cause", "journal", "remedy"),
    [
        (None, False, "raise --max-billed"),
        (None, True, ""),
        (ThrottledError("429", status=429), False, "wait a while, or lower --concurrency"),
        (JournalError("there is no room; make room and run again"), True, ""),
        (ClientClosedError("closed"), True, ""),
        (ConfigurationError("the key"), True, "correct that"),
        (OSError("the list"), True, "correct the list of files"),
    ],
)
def test_the_remedy_fits_the_stop(cause: Exception | None, journal: bool, remedy: str) -> None:
    assert remedy_of(stopped(cause), journal=journal) == remedy
    assert reason_of(stopped(cause)) == (str(cause) if stops_the_run(cause) else "why")


def test_what_was_not_sent_does_not_repeat_the_remedy() -> None:
    unsent = BatchStoppedError(f"not sent: {stopped(None)}")
    unsent.__cause__ = stopped(None, "max_billed_seconds=5 would be exceeded")
    assert for_one_request(unsent) == "not sent: --max-billed 5 would be exceeded"
    assert "10 MB that can be assessed at once" in for_one_request(AudioTooLargeError("x", limit=10))
    assert for_one_request(CorruptAudioError("x is broken")) == "x is broken"


def test_options_of_the_command_stand_in_the_place_of_arguments() -> None:
    assert in_words("no key: pass secret_key=…, or set X") == "no key: set X"
    assert in_words(ValueError("pass invoke_url=…, or set X")) == "give --invoke-url, or set X"
