"""What an error carries beside its message, and that it stays with it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from clova_speech_async import errors
from clova_speech_async.audio import PCM, Splitting
from clova_speech_async.audio.formats import AS_PCM
from clova_speech_async.batch.rules import Stop
from clova_speech_async.client import ClovaSpeechClient, estimate
from clova_speech_async.http.parameters import Parameters, endpoint


def described() -> list[errors.ClovaSpeechError]:
    plain = errors.InvalidArgumentError("lang: 'x' is none; pass 'Kor'", argument="lang", remedy="pass 'Kor'")
    timed_out = errors.DeadlineExceededError("too late")
    timed_out.account = "2 tries: 1. ConnectError; 2. ConnectError"
    missing = errors.MissingDependencyError("no plot: install it", remedy="install it")
    long = errors.AudioTooLongError("longer than max_duration=1", limit=1.0, argument="max_duration")
    answered = errors.ThrottledError("429: slow", status=429, code="410")
    answered.account = "3 tries"
    return [plain, timed_out, missing, long, answered, Stop("why", "wait", argument="x").error(kept=True)]


@pytest.mark.parametrize("error", described(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_what_an_error_carries_goes_with_its_copies(error: errors.ClovaSpeechError, way: Callable[[Any], Any]) -> None:
    again = way(error)
    assert type(again) is type(error)
    assert again.args == error.args
    assert vars(again) == vars(error)
    assert (str(again), again.problem) == (str(error), error.problem)


def test_the_message_of_a_program_is_whole() -> None:
    plain, timed_out, missing, *_ = described()
    assert (str(plain), plain.problem) == ("lang: 'x' is none; pass 'Kor'", "lang: 'x' is none")
    assert str(timed_out) == "too late [2 tries: 1. ConnectError; 2. ConnectError]"
    assert timed_out.problem == "too late"
    assert (str(missing), missing.problem) == ("no plot: install it", "no plot")
    assert str(errors.ClovaSpeechError()) == errors.ClovaSpeechError().problem == ""


def raised(call: Callable[[], object]) -> errors.ClovaSpeechError:
    with pytest.raises(errors.ClovaSpeechError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("call", "argument", "has_remedy"),
    [
        (lambda: ClovaSpeechClient(""), None, True),
        (lambda: ClovaSpeechClient("k", invoke_url=""), "invoke_url", True),
        (lambda: endpoint("http://example.com"), "invoke_url", False),
        (lambda: endpoint("https://x/recognizer/upload"), "invoke_url", True),
        (lambda: Parameters.check(lang="xx"), "lang", False),
        (lambda: Parameters.check(lang="Eng", boostings=["클로바"]), "boostings", False),
        (lambda: Parameters.check(lang="Kor", boostings=["clova"]), "boostings", False),
        (lambda: Parameters.check(lang="Kor", boostings=["클\t로"]), "boostings", False),
        (lambda: Parameters.check(lang="Kor", boostings=[" "]), "boostings", False),
        (lambda: Parameters.check(lang="Kor", boostings=["클\udcea"]), "boostings", False),
        (lambda: Parameters.check(lang="Kor", boostings=["클" * 600]), "boostings", False),
        (lambda: Parameters.check(lang="Eng", assessment=True, utterance="1"), "utterance", False),
        (lambda: PCM(b"", 1), "sample_rate", False),
        (lambda: PCM(b"", 8000, 99), "channels", False),
        (lambda: PCM(b"", 8000, 1, "s16"), "sample_format", False),
        (lambda: Splitting(max_duration=-1), "max_duration", False),
    ],
)
def test_an_error_names_the_argument_and_keeps_its_remedy_apart(
    call: Callable[[], object], argument: str | None, has_remedy: bool
) -> None:
    error = raised(call)
    assert error.argument == argument
    assert bool(error.remedy) == has_remedy
    assert str(error).endswith(error.remedy)
    assert error.remedy not in error.problem or not has_remedy
    if argument is not None and f"{argument}" in error.problem:
        assert error.problem.startswith(argument)


def test_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOVA_SPEECH_SECRET_KEY", raising=False)
    error = raised(ClovaSpeechClient)
    assert (error.argument, error.problem) == ("secret_key", "no secret key")
    monkeypatch.setenv("CLOVA_SPEECH_SECRET_KEY", "'k'")
    error = raised(ClovaSpeechClient)
    assert error.argument == "secret_key"
    assert error.problem.startswith("CLOVA_SPEECH_SECRET_KEY: the secret key begins or ends with a quotation mark")
    assert error.remedy.startswith("pass secret_key=")


@pytest.mark.parametrize(
    ("audio", "argument", "remedy"),
    [
        (b"these are no samples", "sample_rate", AS_PCM),
        (b"PK\x03\x04 packed", None, "it is an archive: unpack it first"),
        (PCM(b"RIFF\0\0\0\0WAVE" + bytes(4), 8000), "PCM(data)", "give it as it is, without PCM"),
    ],
)
@pytest.mark.anyio
async def test_audio_that_is_none(audio: Any, argument: str | None, remedy: str) -> None:
    with pytest.raises(errors.ClovaSpeechError) as caught:
        await estimate(audio)
    assert (caught.value.argument, caught.value.remedy) == (argument, remedy)
    assert str(caught.value).endswith(remedy)


@pytest.mark.anyio
async def test_floats_that_are_no_sound_and_a_recording_that_is_too_long() -> None:
    with pytest.raises(errors.InvalidArgumentError) as caught:
        await estimate(PCM(b"\xff\xff\xff\x7e" * 100, 8000, 1, "f32le"))
    assert (caught.value.argument, bool(caught.value.remedy)) == ("sample_format", True)
    with pytest.raises(errors.AudioTooLongError) as too_long:
        await estimate(PCM(bytes(16_000), 8000), max_duration=0.5)
    assert (too_long.value.argument, too_long.value.limit) == ("max_duration", 0.5)
