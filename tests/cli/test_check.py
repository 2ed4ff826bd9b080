"""``clova-speech check``: each answer and what it means; nothing is billed."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from clova_speech_async.cli import app


def error(status: int, code: str, message: str) -> tuple[int, Any]:
    return status, {"error": {"errorCode": code, "message": message}}


@pytest.fixture
def check(service: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*arguments: str, key: str = "test-key") -> Any:
        environment = {"CLOVA_SPEECH_SECRET_KEY": key, "CLOVA_SPEECH_INVOKE_URL": service.url, "COLUMNS": "200"}
        return CliRunner().invoke(app, ["check", *arguments], env=environment, catch_exceptions=False)

    return run


def test_no_audio_is_sent_and_the_answer_is_told(check: Any, service: Any) -> None:
    service.answer = lambda number: error(400, "STT003", "Empty Sound Data")
    done = check()
    assert done.exit_code == 0
    address, answer, meaning, unknown = done.stdout.splitlines()
    assert address == f"address: {service.url}/recog/v1/stt"
    assert answer.startswith("answer:  400/STT003: Empty Sound Data, after 0.")
    assert meaning.startswith("meaning: the address is the service's, and the key was not refused")
    assert unknown.startswith("unknown: whether it looks at the key before the audio (no document says)")
    assert service.sent == [-1]  # one request, of no bytes


@pytest.mark.parametrize(
    ("status", "code", "right", "words"),
    [
        (400, "STT007", True, "the key was not refused: what it misses is audio"),
        (500, "STT006", True, "the key was not refused: what it misses is audio"),
        (401, "401", False, "refuses the key: set CLOVA_SPEECH_SECRET_KEY"),
        (401, "210", False, "the key is known, but may not use this"),
        (403, "230", False, "the key is known, but may not use this"),
        (404, "300", False, "there is no such address: correct --invoke-url"),
        (429, "400", False, "the quota is used up, or the API is not ticked"),
        (429, "410", False, "asks to slow down: nothing is known of the key"),
        (400, "400", False, "whether it was looked at is not known"),
        (503, "500", False, "the address answers, but does not work at the moment"),
    ],
)
def test_what_an_answer_means(check: Any, service: Any, status: int, code: str, right: bool, words: str) -> None:
    service.answer = lambda number: error(status, code, "Words of the service")
    done = check()
    assert done.exit_code == (0 if right else 1)
    assert f"answer:  {status}/{code}: Words of the service, after " in done.stdout
    assert words in done.stdout
    assert ("unknown:" in done.stdout) == right
    assert len(service.sent) == 1  # never again


def test_a_page_in_the_place_of_the_service(check: Any, service: Any) -> None:
    service.answer = lambda number: (200, "<html>")
    done = check()
    assert done.exit_code == 1
    assert "something answers, but not as this service does" in done.stdout


def test_a_service_that_takes_it_says_what_it_billed(check: Any, service: Any) -> None:
    service.answer = lambda number: (200, {"text": "", "quota": 0})
    done = check()
    assert done.exit_code == 0
    assert "answer:  200, and billed 0 s, after " in done.stdout


def test_nobody_there(check: Any) -> None:
    done = check("--invoke-url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "answer:  no connection to 127.0.0.1:1 (Connection refused); nothing was sent\n" in done.stdout
    assert "nobody was reached, so nothing is known of the key" in done.stdout


def test_in_processes(shell: Any, folder: Any) -> None:
    done = shell("check", "--emulator")
    assert (done.returncode, "400/STT003" in done.stdout) == (0, True)
    done = shell("check", "--invoke-url", "no address")
    assert done.returncode == 2
    assert "--invoke-url" in done.stderr
