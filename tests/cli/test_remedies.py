from __future__ import annotations

import pytest

from clova_speech_async.batch.rules import Stop
from clova_speech_async.cli.remedies import for_one_request, in_words, reason_of, remedy_of, stops_the_run
from clova_speech_async.errors import (
    AudioReadError,
    AudioTooLargeError,
    AudioTooLongError,
    AuthenticationError,
    BatchStoppedError,
    ClientClosedError,
    ConfigurationError,
    CorruptAudioError,
    DeadlineExceededError,
    InvalidArgumentError,
    JournalError,
    NotFoundError,
    PermissionDeniedError,
    PreprocessingError,
    QuotaExceededError,
    ThrottledError,
    UnsupportedFormatError,
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
        (
            ThrottledError("429", status=429),
            False,
            "wait a while, or lower --concurrency (auto finds what the service bears)",
        ),
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
    budget = Stop("max_billed_seconds=5 would be exceeded", "raise it", argument="max_billed_seconds")
    unsent.__cause__ = budget.error(kept=False)
    assert for_one_request(unsent) == "not sent: --max-billed 5 would be exceeded"
    assert "10 MB that can be assessed at once" in for_one_request(AudioTooLargeError("x", limit=10))
    assert for_one_request(CorruptAudioError("x is broken")) == "x is broken"


def test_options_of_the_command_stand_in_the_place_of_arguments() -> None:
    remedy = "pass secret_key=…, or set X"
    key = ConfigurationError(f"no secret key: {remedy}", argument="secret_key", remedy=remedy)
    assert in_words(key).startswith("no secret key: set CLOVA_SPEECH_SECRET_KEY; it stands in ")
    assert "secret_key=" not in in_words(key)
    assert in_words(InvalidArgumentError("sample_rate=8 is too low", argument="sample_rate")) == "--rate 8 is too low"
    words = InvalidArgumentError("boostings: 'x' is not Korean", argument="boostings")
    assert in_words(words) == "--boosting: 'x' is not Korean"
    assert in_words(AudioTooLongError("'a' is longer", limit=90.0, argument="max_duration")) == (
        "it is longer than --max-duration 90"
    )
    late = DeadlineExceededError("the time ran out")
    late.account = "1 try"
    assert in_words(late) == "the time ran out; --timeout gives it longer [1 try]"
    assert in_words(UnsupportedFormatError("'a' is text; unpack it", remedy="unpack it")) == "'a' is text: unpack it"


@pytest.mark.parametrize("name", ["channels=2.wav", "PCM(data): .wav", "max_billed_seconds=", "sample_rate=8.wav"])
def test_no_letter_of_what_others_said_is_changed(name: str) -> None:
    assert in_words(AudioReadError(f"{name!r}: there is no such file")) == f"{name!r}: there is no such file"
    assert in_words(OSError(name)) == name
    said = PreprocessingError(f"500/STT006: {name} [1]", status=500)
    said.account = "2 tries: 1. x; 2. y"
    assert in_words(said) == f"500/STT006: {name} [1] [2 tries: 1. x; 2. y]"
    no_samples = InvalidArgumentError(
        f"PCM(data): {name} is a whole WAV file: give it", argument="PCM(data)", remedy="give it"
    )
    assert in_words(no_samples) == f"{name} is a whole WAV file: leave out --raw"
    budget = Stop(f"max_billed_seconds=5 would be exceeded: {name}", "raise it", argument="max_billed_seconds")
    assert reason_of(budget.error(kept=True)) == f"--max-billed 5 would be exceeded: {name}"
    said_of_sources = Stop(f"its sources raised OSError: {name}. To go on, ", "correct them").error(kept=True)
    assert reason_of(said_of_sources) == f"its sources raised OSError: {name}. To go on, "
