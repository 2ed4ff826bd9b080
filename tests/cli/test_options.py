"""Options that steer the requests: what a person may write, and what reaches the client."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import typer

from clova_speech_async import Adaptive, Timeout
from clova_speech_async.batch import BatchTranscriber
from clova_speech_async.cli import common, options
from clova_speech_async.errors import JournalError
from clova_speech_async.models import Language


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--concurrency", "0"], "--concurrency 0: give a whole number from 1 up, or auto"),
        (["--concurrency", "many"], "--concurrency many: give"),
        (["--concurrency", "²"], "--concurrency ²: give"),
        (["--requests-per-second", "0"], "--requests-per-second 0: give a number above 0, e.g. 2.5"),
        (["--requests-per-second", "inf"], "--requests-per-second inf: give"),
        (["--timeout", "-1"], "--timeout -1: give a number above 0"),
        (["--timeout", "nan"], "--timeout nan: give"),
        (["--max-duration", "0"], "--max-duration 0: give a number above 0"),
        (["--boosting", "clova"], "--boosting: 'clova' is not Korean"),
        (["--boosting", "클로바", "--lang", "Eng"], "--boosting: the service favours keywords in 'Kor' only"),
        (["--boosting-file", "absent"], "--boosting-file absent: No such file"),
        (["--boosting-file", "words"], "--boosting-file words: 'clova' is not Korean"),
        (["--boosting", "가" * 400, "--boosting-file", "many"], "--boosting: 601 characters in 2 keywords"),
        (["--lang", "xx"], "--lang: 'xx' is not a language"),
        (["--journal", ""], "'--journal': it is empty"),
        (["--output-dir", ""], "'--output-dir' / '-o': it is empty"),
        (["--report", ""], "'--report': it is empty"),
        (["--failures", ""], "'--failures': it is empty"),
        (["--journal", "in"], "--journal in: that is a folder; name a file in it, e.g. in/run.db"),
        (["--journal", "no/run.db"], "--journal: the journal no/run.db cannot be opened: there is no folder no"),
        (["--journal", "in/a.wav"], "--journal: in/a.wav is not a journal"),
        ([""], "a file has an empty name"),
    ],
)
def test_what_cannot_be_names_its_option_and_sends_nothing(
    command: Any, folder: Path, service: Any, arguments: list[str], words: str
) -> None:
    (folder / "words").write_text("클로바\nclova\n", "utf-8")
    (folder / "many").write_text("나" * 200, "utf-8")
    done = command("in/b.wav", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert service.sent == []


def test_a_journal_that_another_program_holds_is_no_wrong_usage(
    command: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(self: object) -> object:
        raise JournalError("the journal run.db cannot be opened: locked") from sqlite3.OperationalError("locked")

    monkeypatch.setattr(common.Journal, "__aenter__", locked)
    assert command("in/a.wav", "--journal", "run.db").exit_code == 1


def test_keywords_come_from_the_command_and_from_a_file(folder: Path) -> None:
    (folder / "words").write_bytes("\ufeff 네이버 \r\n\r\n클라우드\n".encode())
    assert options.parse_boostings(Language.KOREAN, ["클로바"], Path("words")) == ("클로바", "네이버", "클라우드")
    assert options.parse_boostings(Language.ENGLISH, None, None) == ()
    (folder / "words").write_bytes(b"\xff")
    with pytest.raises(typer.Exit):
        options.parse_boostings(Language.KOREAN, None, Path("words"))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a client and a batch were made with."""
    found: dict[str, Any] = {}
    client, batch = common.ClovaSpeechClient.__init__, BatchTranscriber.__init__

    def make_client(self: Any, *arguments: Any, **named: Any) -> None:
        found["client"] = named
        client(self, *arguments, **named)

    def make_batch(self: Any, *arguments: Any, **named: Any) -> None:
        found["batch"] = named
        batch(self, *arguments, **named)

    monkeypatch.setattr(common.ClovaSpeechClient, "__init__", make_client)
    monkeypatch.setattr(BatchTranscriber, "__init__", make_batch)
    return found


STEERED = ("--concurrency", "auto", "--requests-per-second", "50", "--timeout", "20")


def test_transcribe_hands_on_how_requests_are_sent(command: Any, made: dict[str, Any]) -> None:
    assert command("in/a.wav").exit_code == 0
    assert made["client"]["concurrency"] == made["batch"]["max_concurrency"] == 8
    assert (made["client"]["timeout"], made["client"]["requests_per_second"]) == (Timeout(), None)
    assert command("in/a.wav", *STEERED, "--max-duration", "90", "--boosting", "클로바").exit_code == 0
    client, batch = made["client"], made["batch"]
    assert client["concurrency"] == Adaptive()
    assert (client["requests_per_second"], client["timeout"]) == (50.0, 20.0)
    assert (batch["max_duration"], batch["boostings"], batch["max_concurrency"]) == (90.0, ("클로바",), 64)


@pytest.mark.parametrize("many", [False, True])
def test_assess_does_so_too(invoke: Any, folder: Path, made: dict[str, Any], many: bool) -> None:
    (folder / "list.jsonl").write_text(json.dumps({"file": "in/a.wav", "utterance": "please"}))
    what = ("--from-file", "list.jsonl") if many else ("in/a.wav", "--utterance", "please")
    assert invoke("assess", *what, *STEERED).returncode == 0
    client = made["client"]
    assert client["concurrency"] == Adaptive()
    assert (client["requests_per_second"], client["timeout"]) == (50.0, 20.0)
    assert not many or made["batch"]["max_concurrency"] == 64
    assert invoke("assess", *what, "--timeout", "0").returncode == 2


def test_a_file_that_is_too_long_fails_and_is_not_sent(command: Any, service: Any) -> None:
    done = command("in/a.wav", "--max-duration", "0.05")
    assert (done.exit_code, service.sent) == (1, [])
    assert done.stderr == "clova-speech: in/a.wav: it is longer than --max-duration 0.05\n"


def test_keywords_are_sent(shell: Any, folder: Path, clova_speech_emulator: Any) -> None:
    (folder / "words").write_text("네이버\n", "utf-8")
    done = shell("transcribe", "in/a.wav", "--boosting", "클로바", "--boosting-file", "words", env=dict(os.environ))
    assert done.returncode == 0
    assert dict(clova_speech_emulator.requests[0].params)["boostings"] == "클로바\t네이버"


def test_keywords_as_editors_on_windows_write_them(invoke: Any, folder: Path, service: Any) -> None:
    (folder / "words.txt").write_bytes("클로바\r\n네이버\r\n".encode("utf-16"))
    assert invoke("transcribe", "in/a.wav", "--boosting-file", "words.txt").returncode == 0
    (folder / "words.txt").write_bytes("클로바\n".encode("cp949"))
    done = invoke("transcribe", "in/a.wav", "--boosting-file", "words.txt")
    assert (done.returncode, len(service.sent)) == (2, 1)
    assert done.stderr.startswith(
        "clova-speech: --boosting-file words.txt: it is not UTF-8 (byte 3 is 0xb7): save it as"
    )
