"""The command over many files, against a service on loopback that knows the number in each recording."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import wave
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from clova_speech_async.cli import app, common
from clova_speech_async.cli.progress import RunProgress
from clova_speech_async.cli.runner import Runner

KEY = {"CLOVA_SPEECH_SECRET_KEY": "test-key", "COLUMNS": "200", "TERM": "dumb"}


def test_one_file_is_its_text_alone(command: Any) -> None:
    done = command("in/a.wav")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "number 0\n", "")


def test_a_folder_in_order_with_names_and_a_summary(command: Any, service: Any) -> None:
    done = command("in")
    assert done.exit_code == 0
    assert done.stdout == ("==> in/a.wav <==\nnumber 0\n==> in/b.wav <==\nnumber 1\n==> in/sub/c.wav <==\nnumber 2\n")
    assert done.stderr.startswith("3 done; 45 s billed; 0.3 s of audio in ")
    assert sorted(service.sent) == [0, 1, 2]


def test_a_file_that_is_cut_off_is_told(command: Any, folder: Path) -> None:
    whole = (folder / "in/b.wav").read_bytes()
    (folder / "in/b.wav").write_bytes(whole[:44] + whole[44:] * 20)
    announced = (len(whole) - 44) * 40
    header = bytearray((folder / "in/b.wav").read_bytes())
    header[40:44] = announced.to_bytes(4, "little")
    (folder / "in/b.wav").write_bytes(header)
    done = command("in/a.wav", "in/b.wav")
    assert done.exit_code == 0
    assert "==> in/b.wav <==\nnumber" in done.stdout
    told, summary = done.stderr.splitlines()
    assert told == "clova-speech: in/b.wav: cut off: it has 2.0 of 4.0 s"
    assert summary.startswith("2 done; 1 of them cut off or damaged; 30 s billed; ")


def test_jsonl_of_many_names_the_file_in_each_line(command: Any) -> None:
    done = command("in/a.wav", "in/b.wav", "--format", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["source"], row["text"]) for row in rows] == [("in/a.wav", "number 0"), ("in/b.wav", "number 1")]


def test_a_file_for_each_in_the_output_folder(command: Any, folder: Path, service: Any) -> None:
    done = command("in", "--output-dir", "out", "--format", "srt")
    assert (done.exit_code, done.stdout) == (0, "")
    assert sorted(path.relative_to(folder / "out").as_posix() for path in (folder / "out").rglob("*.srt")) == [
        "a.srt",
        "b.srt",
        "sub/c.srt",
    ]
    assert "number 2" in (folder / "out/sub/c.srt").read_text()
    assert len([path for path in (folder / "out").rglob("[!.]*") if path.is_file()]) == 3


def test_an_output_that_came_in_the_meantime_is_not_written_over(command: Any, folder: Path, service: Any) -> None:
    def answer(number: int) -> tuple[int, Any]:
        (folder / "out" / "a.txt").write_text("mine")
        return 200, {"text": "x", "quota": 15}

    service.answer = answer
    done = command("in/a.wav", "in/b.wav", "--output-dir", "out")
    assert done.exit_code == 0
    assert "out/a.txt was not there when the run began: in/a.wav goes to out/a.wav.txt\n" in done.stderr
    assert (folder / "out/a.txt").read_text() == "mine"
    assert (folder / "out/a.wav.txt").read_text() == "x\n"


def test_a_list_from_a_file_and_from_standard_input(command: Any, folder: Path, service: Any) -> None:
    (folder / "list.txt").write_text("in/b.wav\n\nin/a.wav\n")
    done = command("--from-file", "list.txt")
    assert done.stdout == "==> in/b.wav <==\nnumber 1\n==> in/a.wav <==\nnumber 0\n"


def test_failures_are_listed_and_can_be_fed_back_in(command: Any, folder: Path, service: Any, make_wav: Any) -> None:
    (folder / "in/bad.wav").write_bytes(b"no audio in here, whatever its name says")
    service.answer = lambda n: (
        (500, {"error": {"errorCode": "STT006", "message": "no"}})
        if n == 1
        else (200, {"text": f"number {n}", "quota": 15})
    )
    done = command("in", "absent.wav", "--failures", "failed.txt", "--output-dir", "out")
    assert done.exit_code == 1
    assert sorted((folder / "failed.txt").read_text().splitlines()) == ["absent.wav", "in/b.wav", "in/bad.wav"]
    assert "3 failed; to try them again: --from-file failed.txt" in done.stderr
    assert "2 done; 3 failed (1 AudioReadError, 1 PreprocessingError, 1 UnsupportedFormatError)" in done.stderr
    service.answer = lambda n: (200, {"text": f"number {n}", "quota": 15})
    (folder / "in/bad.wav").write_bytes(make_wav(7))
    (folder / "absent.wav").write_bytes(make_wav(8))
    done = command("--from-file", "failed.txt", "--failures", "failed.txt", "--output-dir", "out")
    assert done.exit_code == 0
    assert (folder / "failed.txt").read_text() == ""
    assert sorted(path.name for path in (folder / "out").rglob("*.txt")) == [
        "a.txt",
        "absent.txt",
        "b.txt",
        "bad.txt",
        "c.txt",
    ]


@pytest.mark.parametrize("there", ["a recording", "a journal", "a report", "what is transcribed"])
def test_a_list_of_failures_is_written_over_nothing_else(
    command: Any, folder: Path, service: Any, make_wav: Any, there: str
) -> None:
    """A shell makes two names of a pattern: ``--failures in/*.wav``."""
    path = folder / "there"
    if there == "a journal":
        command("in/a.wav", "--journal", str(path))
    elif there == "a report":
        command("in/a.wav", "--report", str(path))
    else:
        path = folder / "in" / "a.wav"
    before, sent = path.read_bytes(), len(service.sent)
    done = command("in/a.wav" if there == "what is transcribed" else "in/b.wav", "--failures", str(path))
    assert done.exit_code == 2
    assert "it would be written over" in done.stderr or "would be written over" in done.stderr
    assert (path.read_bytes(), len(service.sent)) == (before, sent)


def test_an_empty_list_says_so(command: Any, folder: Path) -> None:
    (folder / "list").write_text("\n")
    assert "no file is named in list" in command("--from-file", "list").stderr


def test_a_part_of_an_earlier_run_goes_once_all_is_there(command: Any, folder: Path) -> None:
    out = folder / "out"
    out.mkdir()
    for name in ("a.txt.partial", "a.txt.partial-2", "b.txt.partial"):
        (out / name).write_text("half of it")
    assert command("in/a.wav", "--output-dir", "out").exit_code == 0
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == ["a.txt", "b.txt.partial"]


def test_json_of_several_files_is_json_one_behind_the_other(command: Any, folder: Path) -> None:
    text = command("in/a.wav", "in/b.wav", "-f", "json").stdout
    decoder, found = json.JSONDecoder(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        found.append((one["source"], one["text"]))
        text = text.lstrip()[end:]
    assert found == [("in/a.wav", "number 0"), ("in/b.wav", "number 1")]


def test_without_a_place_for_them_failures_are_listed_at_the_end(command: Any, folder: Path) -> None:
    done = command("in/a.wav", "absent.wav", "gone.wav")
    assert done.exit_code == 1
    assert done.stderr.endswith("2 failed:\nabsent.wav\ngone.wav\n")


def test_with_a_journal_a_second_run_sends_nothing(command: Any, service: Any) -> None:
    assert command("in", "--journal", "run.db").exit_code == 0
    done = command("in", "--journal", "run.db")
    assert done.exit_code == 0
    assert len(service.sent) == 3
    assert "3 done (3 from the journal); 0 s billed; 45 s saved by the journal" in done.stderr


def test_a_budget_stops_the_run_and_says_how_to_go_on(command: Any, service: Any) -> None:
    done = command("in", "--journal", "run.db", "--max-billed", "30")
    assert done.exit_code == 1
    assert len(service.sent) == 2
    assert "the run stopped: --max-billed 30 would be exceeded" in done.stderr
    assert done.stderr.endswith("To go on, run the same command again: what run.db holds is not sent again.\n")
    assert command("in", "--journal", "run.db", "--max-billed", "30").exit_code == 0
    assert len(service.sent) == 3


def test_a_wrong_key_stops_the_run(command: Any, service: Any) -> None:
    service.answer = lambda n: (401, {"error": {"errorCode": "401", "message": "Invalid secret"}})
    done = command("in", "--concurrency", "1")
    assert done.exit_code == 1
    assert len(service.sent) == 1
    assert done.stderr.startswith("clova-speech: the run stopped: 401/401: Invalid secret (check the secret key")
    assert done.stderr.endswith(
        "\nTo go on, set CLOVA_SPEECH_SECRET_KEY to the domain's secret key, and run the same command again.\n"
    )


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, "401", "set CLOVA_SPEECH_SECRET_KEY to the domain's secret key"),
        (401, "210", "let the key use this domain, in the NAVER Cloud console"),
        (403, "230", "let the key use this domain, in the NAVER Cloud console"),
        (404, "300", "correct --invoke-url (or CLOVA_SPEECH_INVOKE_URL)"),
        (429, "400", "raise the quota, or tick the API for the application, in the NAVER Cloud console"),
    ],
)
def test_what_stops_a_run_is_said_once_with_its_own_remedy(
    command: Any, folder: Path, service: Any, status: int, code: str, remedy: str
) -> None:
    service.answer = lambda n: (status, {"error": {"errorCode": code, "message": "No entry"}})
    done = command("in", "--journal", "run.db", "--failures", "failed.txt")
    assert done.exit_code == 1
    assert done.stderr.count("No entry") == 1
    assert done.stderr.count("To go on") == 1
    assert f"To go on, {remedy}, and run the same command again: what run.db holds is not sent again.\n" in done.stderr
    assert (folder / "failed.txt").read_text() == ""  # none of them was at fault


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to transcribe"),
        (["--from-file", "absent.txt"], "--from-file absent.txt: there is no such file"),
        (["in", "--force"], "--force goes with --output-dir"),
        (["in", "--output-dir", "in/a.wav"], "that is a file, not a folder"),
        (["in", "--failures", "absent/f.txt"], "there is no folder absent"),
        (["in", "--lang", "Klingon"], "Klingon"),
        (["in", "--lang", "Kor", "--concurrency", "0"], "concurrency"),
    ],
)
def test_wrong_usage_is_status_2_and_sends_nothing(
    command: Any, service: Any, arguments: list[str], words: str
) -> None:
    done = command(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert service.sent == []


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
@pytest.mark.parametrize("ends", ["finishes", "hangs"])
def test_ctrl_c_once_ends_within_two_seconds_and_says_how_to_go_on(
    service: Any, folder: Path, ends: str, start: Any, make_wav: Any
) -> None:
    for number in range(100):
        (folder / "in" / f"n{number:03}.wav").write_bytes(make_wav(100 + number))
    service.go.clear()
    with start("in", "--journal", "run.db", "--output-dir", "out", "--concurrency", "4") as process:
        for _ in range(4):
            assert service.arrived.acquire(timeout=30)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        if ends == "finishes":
            assert process.stderr is not None
            assert b"stopping" in process.stderr.readline()
            service.go.set()
        out, err = process.communicate(timeout=20)
        took = time.monotonic() - began
        service.go.set()
    assert process.returncode == 130
    assert took < 2.5  # two seconds, and the end of a Python process on a busy machine
    assert len(service.sent) == 4
    finished = 4 if ends == "finishes" else 0
    assert f"{finished} done".encode() in err
    assert b"what run.db holds is not sent again" in err
    assert len(list((folder / "out").rglob("*.txt"))) == finished if finished else not out
    with closing(sqlite3.connect(folder / "run.db")) as database:
        kept = database.execute("SELECT count(*) FROM replies").fetchone()
    assert kept == (finished,)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_ctrl_c_ends_a_run_that_waits_for_its_standard_input(service: Any, folder: Path, start: Any) -> None:
    with start("--from-file", "-") as process:
        assert process.stdin is not None
        process.stdin.write(b"in/a.wav\n")
        process.stdin.flush()
        assert service.arrived.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.wait(20)
        assert time.monotonic() - began < 2.5
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"To go on, run the same command again" in process.stderr.read()
    assert process.returncode == 130


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_ctrl_c_twice_ends_at_once(service: Any, folder: Path, start: Any) -> None:
    service.go.clear()
    with start("in", "--output-dir", "out") as process:
        assert service.arrived.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"stopping" in process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert time.monotonic() - began < 1.4  # before the moment that they have after the first one is over
        assert b"what has its output in out is passed over" in process.stderr.read()
    assert process.returncode == 130


def test_where_signals_cannot_be_received_ctrl_c_ends_it_all_the_same(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(runner: Any, batch: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clova_speech_async.cli.signals.POSIX", False)
    assert command("in/a.wav").exit_code == 0
    monkeypatch.setattr("clova_speech_async.cli.runner.Runner._consume", interrupted)
    done = command("in/a.wav", "--journal", "run.db")
    assert done.exit_code == 130
    assert "To go on, run the same command again" in done.stderr


def test_what_was_paid_for_before_a_failure_is_shown(command: Any, folder: Path, service: Any) -> None:
    """A full disk: the journal takes nothing, so the text goes to the terminal."""
    command("in/a.wav", "--journal", "run.db")
    service.answer = lambda n: (200, {"text": f"precious {n} " + "x" * 3_000_000, "quota": 15})
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        done = command("in/b.wav", "in/sub/c.wav", "--journal", "run.db", "--concurrency", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.exit_code == 1
    assert "recognised before that, and paid for: precious 1" in done.stderr
    assert len(service.sent) == 2  # the second file of this run was not begun
    assert "the run stopped: the journal run.db cannot be written" in done.stderr.replace(str(folder) + "/", "")


def test_an_output_that_would_lie_outside_is_a_failure_of_its_own(command: Any, folder: Path, service: Any) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "a.txt").symlink_to(folder / "elsewhere.txt")
    done = command("in", "--output-dir", "out", "--force")
    assert done.exit_code == 1
    assert "would be written outside out" in done.stderr
    assert not (folder / "elsewhere.txt").exists()
    assert sorted(service.sent) == [1, 2]


def test_nothing_is_paid_for_that_cannot_be_written(command: Any, folder: Path, service: Any) -> None:
    for place in ("in/a.wav/out", "/dev/null/out"):
        done = command("in/b.wav", "--output-dir", place)
        assert done.exit_code == 2
        assert f"--output-dir {place}: nothing can be written there: Not a directory" in done.stderr
    assert service.sent == []


def test_an_output_that_fails_after_all_is_shown(command: Any, folder: Path) -> None:
    (folder / "out/a.txt").mkdir(parents=True)
    done = command("in/a.wav", "--output-dir", "out", "--force")
    assert done.exit_code == 1
    assert "  what was recognised, and paid for: number 0\n" in done.stderr
    done = command("in/a.wav", "--output-dir", "out", "--force", "--journal", "run.db")
    assert "paid for" not in done.stderr


def test_what_was_paid_for_before_the_batch_stopped_is_shown(command: Any, folder: Path) -> None:
    make_long(folder / "long.wav", 70)
    done = command("long.wav", "--max-billed", "60")
    assert done.exit_code == 1
    assert "long.wav: not finished\n  recognised before that, and paid for: number " in done.stderr
    assert "--max-billed 60 would be exceeded" in done.stderr
    assert "To go on, raise --max-billed, and run the same command again; with --journal FILE" in done.stderr


def make_long(path: Path, seconds: int = 240) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        for second in range(seconds):  # no piece is like another: the journal would not send it
            file.writeframes(struct.pack("<hh", 8000 + second, -8000) * 8_000)


class Halfway:
    """Answers every request but the first, which it keeps waiting; `most` have been answered when `reached` is set."""

    def __init__(self, most: int) -> None:
        self.reached, self.ended = threading.Event(), threading.Event()
        self._most = most
        self._lock = threading.Lock()
        self._count = 0

    def __call__(self, number: int) -> tuple[int, Any]:
        with self._lock:
            count = self._count
            self._count += 1
        if count == 0:
            self.ended.wait(20)
        elif count == self._most:
            threading.Timer(0.2, self.reached.set).start()  # its reply is yet to arrive
        return 200, {"text": f"part{count}", "quota": 60}


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
@pytest.mark.parametrize(
    ("options", "twice"),
    [([], False), (["-o", "out", "-f", "srt"], False), (["-f", "srt"], True), (["--journal", "run.db"], True)],
)
def test_ctrl_c_in_the_middle_of_a_long_recording_loses_no_text(
    folder: Path, service: Any, options: list[str], twice: bool, start: Any
) -> None:
    make_long(folder / "long.wav")
    service.answer = halfway = Halfway(3)
    with start("long.wav", *options) as process:
        assert halfway.reached.wait(30)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.readline()
        if twice:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        took = time.monotonic() - began
        halfway.ended.set()
    err = (said + err).decode()
    assert process.returncode == 130
    assert took < (1.4 if twice else 2.5)
    assert out == b""  # half a transcript is none
    assert "long.wav: not finished\n" in err
    assert "0 done; 1 unfinished; 180 s billed" in err
    partial = folder / "out/long.srt.partial"
    text = partial.read_text() if partial.exists() else err
    parts = [text.find(f"part{number}") for number in (1, 2, 3)]
    if "--journal" in options:
        assert parts == [-1] * 3
        assert "  what was recognised of it, and paid for, is in run.db\n" in err
        with closing(sqlite3.connect(folder / "run.db")) as database:
            assert database.execute("SELECT count(*) FROM replies").fetchone() == (3,)
        return
    assert -1 not in parts
    assert ("-o" in options) == partial.exists()
    assert ("-o" in options) == ("  recognised before that, and paid for: see out/long.srt.partial\n" in err)
    assert ("srt" in options) == (" --> 00:0" in text)
    assert "; with --journal FILE " in err


WITHOUT_SIGNALS = """
from clova_speech_async.cli import app, signals

signals.POSIX = False
app()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_where_signals_cannot_be_received_no_text_is_lost_either(folder: Path, service: Any) -> None:
    make_long(folder / "long.wav")
    service.answer = halfway = Halfway(3)
    command = [sys.executable, "-c", WITHOUT_SIGNALS, "transcribe", "long.wav", "-o", "out"]
    with subprocess.Popen(
        [*command, "--invoke-url", service.url], stderr=subprocess.PIPE, env=os.environ | KEY
    ) as process:
        assert halfway.reached.wait(30)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        halfway.ended.set()
    assert process.returncode == 130
    assert b"see out/long.txt.partial" in err
    text = (folder / "out/long.txt.partial").read_text()
    assert all(f"part{number}" in text for number in (1, 2, 3))


def test_a_part_of_a_recording_that_failed_lies_beside_its_output(command: Any, folder: Path, service: Any) -> None:
    make_long(folder / "long.wav", 100)
    replies = iter([(200, {"text": "first half", "quota": 60}), (500, {"error": {"errorCode": "STT006"}})] * 2)
    service.answer = lambda n: next(replies)
    for name in ("long.txt.partial", "long.txt.partial-2"):
        done = command("long.wav", "-o", "out", "--concurrency", "1")
        assert done.exit_code == 1
        assert f"  recognised before that, and paid for: see out/{name}\n" in done.stderr
        assert (folder / "out" / name).read_text() == "first half\n"
    service.answer = lambda n: (200, {"text": "whole", "quota": 60})
    assert command("long.wav", "-o", "out").exit_code == 0  # a part is not taken for the output
    assert (folder / "out/long.txt").read_text() == "whole whole\n"


def test_a_part_that_cannot_be_written_is_shown(
    command: Any, service: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clova_speech_async.cli.unfinished.publish_partial", full)
    make_long(folder / "long.wav", 100)
    replies = iter([(200, {"text": "first half", "quota": 60}), (500, {"error": {"errorCode": "STT006"}})])
    service.answer = lambda n: next(replies)
    done = command("long.wav", "-o", "out", "--concurrency", "1")
    assert "No space left on device" in done.stderr
    assert "  recognised before that, and paid for: first half\n" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_a_wrong_key_after_ctrl_c_is_said_all_the_same(service: Any, folder: Path, start: Any) -> None:
    service.go.clear()
    service.answer = lambda n: (401, {"error": {"errorCode": "401", "message": "Invalid secret"}})
    with start("in/a.wav") as process:
        assert service.arrived.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"stopping" in process.stderr.readline()
        service.go.set()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.count(b"in/a.wav: 401/401: Invalid secret") == 1


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
def test_what_standard_output_does_not_take_is_shown_and_no_more_is_sent(service: Any, folder: Path) -> None:
    command = [sys.executable, "-m", "clova_speech_async", "transcribe", "in", "--concurrency", "1"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*command, "--invoke-url", service.url],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | KEY,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "in/a.wav: standard output does not take it: No space left on device\n" in done.stderr
    for number in service.sent:
        assert f"  what was recognised, and paid for: number {number}\n" in done.stderr
    assert "To go on, run the same command again; with --journal" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="pipes break in another way there")
def test_a_reader_who_leaves_loses_nothing_either(service: Any, folder: Path, start: Any) -> None:
    with start("in", "--concurrency", "1") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read().decode()
    assert process.returncode == 1
    assert err.count("what was recognised, and paid for: number") == len(service.sent)
    assert "Broken pipe" in err


def test_a_folder_without_audio_and_a_pattern_without_files(command: Any, folder: Path) -> None:
    (folder / "none").mkdir()
    done = command("none")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("no audio files were found: ")
    done = command("*.aac")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (1, "clova-speech: *.aac: no file has such a name")


def test_the_words_are_those_of_a_command(folder: Path) -> None:
    done = CliRunner().invoke(app, ["transcribe", "in"])
    assert done.exit_code == 2
    assert "no secret key: set CLOVA_SPEECH_SECRET_KEY; " in done.stderr
    assert done.stderr.endswith("; or try the command without one: --emulator\n")
    done = CliRunner().invoke(app, ["transcribe", "in", "--invoke-url", "a b"], env=KEY)
    assert done.exit_code == 2
    assert "give --invoke-url, or set CLOVA_SPEECH_INVOKE_URL" in done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("~/no.wav", "'~/no.wav': there is no such file; a shell expands ~, here it is not expanded: write the folder"),
        (" no.wav", "' no.wav': there is no such file; it begins or ends with white space: take that off"),
        (
            "'in/a.wav'",
            "\"'in/a.wav'\": there is no such file: the quotation marks are part of the name, take them off",
        ),
        ("file:///a.wav", "file:///a.wav is a URL, no path: give the path alone, without file://"),
    ],
)
def test_what_to_do_about_a_name_is_not_python(command: Any, folder: Path, name: str, words: str) -> None:
    (folder / "list").write_text(f"{name}\n")
    done = command("--from-file", "list", "--report", "r")
    assert done.stderr.splitlines()[0] == f"clova-speech: {words}"
    assert json.loads((folder / "r").read_text())["error"]["message"] == words


def test_standard_input_and_samples_are_no_file_objects(command: Any, folder: Path) -> None:
    assert command("-", input=b"").stderr == "clova-speech: standard input is empty: it has no bytes\n"
    done = command("in/a.wav", "--raw", "--rate", "8000")
    assert done.stderr == "clova-speech: 'in/a.wav' is a whole WAV file, not samples: leave out --raw\n"


def test_a_recording_without_samples_is_named_once(command: Any, folder: Path, make_wav: Any) -> None:
    (folder / "bare.wav").write_bytes(make_wav(1)[:40] + b"\0\0\0\0")
    assert command("bare.wav").stderr == "clova-speech: there are no samples in 'bare.wav'\n"


def test_a_file_that_fails_is_named_once(command: Any, folder: Path) -> None:
    done = command("absent.wav")
    assert done.stderr == "clova-speech: 'absent.wav': there is no such file\n"


def test_a_name_too_long_for_a_file_is_that_files_failure(command: Any, folder: Path) -> None:
    done = command("a" * 300, "in/a.wav")
    assert (done.exit_code, done.stdout) == (1, "==> in/a.wav <==\nnumber 0\n")
    assert "File name too long" in done.stderr
    (folder / "list").write_bytes(b"x\0y.wav\nin/b.wav\n")
    done = command("--from-file", "list", "--output-dir", "out")
    assert done.exit_code == 1
    assert (folder / "out/b.txt").exists()
    assert "x?y.wav" in done.stderr


def test_a_list_that_is_gone_on_with_is_not_cut_short(command: Any, folder: Path) -> None:
    listed = "absent.wav\nin/a.wav\nin/b.wav\n"
    (folder / "list").write_text(listed)
    done = command("--from-file", "list", "--failures", "list", "--max-billed", "15", "--concurrency", "1")
    assert done.exit_code == 1
    assert "list is left as it was" in done.stderr
    assert "1 failed:\nabsent.wav\n" in done.stderr
    assert (folder / "list").read_text() == listed
    assert "that is a folder" in command("in", "--failures", "in").stderr


@pytest.mark.parametrize("format_", ["txt", "jsonl"])
def test_a_terminal_that_has_not_the_letters_gets_them_escaped(folder: Path, service: Any, format_: str) -> None:
    service.answer = lambda n: (200, {"text": "소리", "quota": 15})
    command = [sys.executable, "-m", "clova_speech_async", "transcribe", "in", "-f", format_]
    environment = {**os.environ, **KEY, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*command, "--invoke-url", service.url], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("\\uc18c\\ub9ac") == 3


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes a stream")
def test_closed_streams_are_no_error(folder: Path, service: Any) -> None:
    line = f"exec {sys.executable} -m clova_speech_async transcribe in -o out --invoke-url {service.url} >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", line], env={**os.environ, **KEY}, timeout=60, check=False).returncode == 0
    assert len(list((folder / "out").rglob("*.txt"))) == 3


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
def test_a_list_may_come_through_a_pipe(command: Any, folder: Path, start: Any) -> None:
    os.mkfifo(folder / "pipe")
    writer = threading.Thread(target=(folder / "pipe").write_text, args=("in/a.wav\nin/b.wav\n",))
    writer.start()
    done = command("--from-file", "pipe")
    writer.join()
    assert (done.exit_code, done.stdout.count("number")) == (0, 2)
    assert "--from-file in: that is a folder, not a list" in command("--from-file", "in").stderr


def test_a_journal_that_is_none_is_said_once_before_anything_is_sent(command: Any, folder: Path, service: Any) -> None:
    for journal, words in (("in", "is a folder; name a file in it"), ("in/a.wav", "is not a journal of this library")):
        done = command("in/b.wav", "--journal", journal)
        assert done.exit_code == 2
        assert done.stderr.count(words) == 1
        assert "To go on" not in done.stderr
    assert service.sent == []


def test_the_bar_knows_early_how_many_files_there_are(
    command: Any, folder: Path, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, counted = [], threading.Event()
    count = Runner._number_of_sources

    def counting(self: Runner) -> int | None:
        try:
            return count(self)
        finally:
            counted.set()

    def answer(number: int) -> tuple[int, Any]:
        assert counted.wait(20)
        return 200, {"text": "x", "quota": 15}

    service.answer = answer
    monkeypatch.setattr(Runner, "_number_of_sources", counting)
    monkeypatch.setattr("clova_speech_async.cli.runner.stderr", Console(file=io.StringIO(), force_terminal=True))
    monkeypatch.setattr(RunProgress, "show", lambda self, summary, **figures: shown.append(figures))
    assert command("in", "--output-dir", "out", "--concurrency", "1").exit_code == 0
    assert [(figures["found"], figures["complete"]) for figures in shown[1:]] == [(3, True)] * 2


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_ctrl_c_prints_what_was_held_back_for_its_order(service: Any, folder: Path, start: Any) -> None:
    others = threading.Semaphore(0)
    ended = threading.Event()

    def answer(number: int) -> tuple[int, Any]:
        if number == 0:
            ended.wait(20)  # the first one takes longer than Ctrl-C waits
        else:
            others.release()
        return 200, {"text": f"number {number}", "quota": 15}

    service.answer = answer
    with start("in") as process:
        assert others.acquire(timeout=30)
        assert others.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        ended.set()
    assert process.returncode == 130
    assert out == b"==> in/b.wav <==\nnumber 1\n==> in/sub/c.wav <==\nnumber 2\n"
    assert b"2 done" in err


def test_a_url_is_told_as_it_was_given(command: Any, folder: Path) -> None:
    (folder / "list").write_text("https://example.com/b.wav?key=secret\n")
    done = command("https://example.com/a.wav", "--from-file", "list", "--failures", "failed", "--report", "r")
    assert done.exit_code == 1
    for name in "ab":
        assert f"clova-speech: https://example.com/{name}.wav is a URL, and URLs are not fetched: " in done.stderr
    assert "secret" not in done.stderr
    assert "secret" not in command("--from-file", "list").stderr  # which names what failed at its end
    assert (folder / "failed").read_text() == "https://example.com/a.wav\nhttps://example.com/b.wav?key=secret\n"
    rows = [json.loads(line) for line in (folder / "r").read_text().splitlines()]
    assert [row["source"].partition("?")[0] for row in rows] == [
        "https://example.com/a.wav",
        "https://example.com/b.wav",
    ]


def test_a_file_named_like_an_argument_keeps_its_name(command: Any) -> None:
    done = command("channels=2.wav")
    assert done.stderr == "clova-speech: 'channels=2.wav': there is no such file\n"


def test_files_with_other_endings_are_told(command: Any, folder: Path) -> None:
    (folder / "in/notes.txt").touch()
    (folder / "in/.hidden").touch()
    done = command("in")
    assert (done.exit_code, done.stdout.count("number")) == (0, 3)
    (told,) = done.stderr.splitlines()[1:]
    assert told.startswith("1 file in folders was passed over for the ending: .txt (1); name such a file, or ")
    assert "passed over" not in command("in/a.wav", "in/*.wav").stderr


def fill(folder: Path, make_wav: Any, number: int = 200) -> None:
    for one in range(number):
        (folder / "in" / f"n{one:03}.wav").write_bytes(make_wav(100 + one))


def not_begun(said: str) -> int:
    (line,) = (line for line in said.splitlines() if line.endswith("files were not begun"))
    return int(line.split()[0])


@pytest.mark.parametrize("listed", [False, True])
def test_a_run_that_stops_says_how_many_files_it_has_not_come_to(
    command: Any, folder: Path, make_wav: Any, listed: bool
) -> None:
    fill(folder, make_wav)
    names = sorted(str(path) for path in Path("in").rglob("*.wav"))
    (folder / "list").write_text("\n".join(names))
    what = ["--from-file", "list"] if listed else ["in"]
    options = ["--max-billed", "30", "--concurrency", "1", "--report", "r.jsonl", "--failures", "failed"]
    done = command(*what, *options)
    assert done.exit_code == 1
    reported = [json.loads(line)["source"] for line in (folder / "r.jsonl").read_text().splitlines()]
    assert len(reported) + not_begun(done.stderr) == len(names) == 203
    assert len(set(reported)) == len(reported) < 203
    assert "failed is empty: no file failed for what is its own, and what is not done is not in it" in done.stderr


def test_the_list_of_failures_of_such_a_run_says_that_it_has_not_all(command: Any, folder: Path, make_wav: Any) -> None:
    fill(folder, make_wav, 60)
    done = command("absent.wav", "in", "--max-billed", "15", "--concurrency", "1", "--failures", "failed")
    assert "1 failed; to try them again: --from-file failed (what is not done is not in it)\n" in done.stderr
    done = command("absent.wav", "in/a.wav", "--failures", "failed")
    assert "1 failed; to try them again: --from-file failed\n" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_an_interrupted_run_counts_what_was_not_begun(folder: Path, service: Any, start: Any, make_wav: Any) -> None:
    fill(folder, make_wav)
    service.go.clear()
    with start("in", "-o", "out", "--concurrency", "1", "--report", "r.jsonl") as process:
        assert service.arrived.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"stopping" in process.stderr.readline()
        service.go.set()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert len((folder / "r.jsonl").read_text().splitlines()) + not_begun(err.decode()) == 203


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_of_a_list_through_standard_input_nobody_knows_how_many(folder: Path, service: Any, start: Any) -> None:
    service.go.clear()
    with start("--from-file", "-") as process:
        process.stdin.write(b"in/a.wav\n")
        process.stdin.flush()
        assert service.arrived.acquire(timeout=30)
        process.send_signal(signal.SIGINT)
        assert b"stopping" in process.stderr.readline()
        service.go.set()
        process.wait(20)
        err = process.stderr.read().decode()
    assert process.returncode == 130
    assert "what else the list names was not begun\n" in err


def test_counting_what_was_not_begun_ends_in_time(
    command: Any, folder: Path, make_wav: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder, make_wav, 60)
    monkeypatch.setattr("clova_speech_async.cli.ending._COUNTING", -1.0)
    done = command("in", "--max-billed", "15", "--concurrency", "1")
    assert "other files were not begun\n" in done.stderr


def test_where_no_bar_is_a_line_tells_where_the_run_is(
    command: Any, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()

    def say(message: str) -> None:
        common.say(message)
        if message.startswith("after "):
            told.set()

    monkeypatch.setattr("clova_speech_async.cli.progress.say", say)
    monkeypatch.setattr("clova_speech_async.cli.runner.SILENCE", 0.1)
    first = [(500, {"error": {"errorCode": "STT998", "message": "no"}})] * 2

    def answer(number: int) -> tuple[int, Any]:
        if first:
            return first.pop()
        assert told.wait(20)
        return 200, {"text": "x", "quota": 15}

    service.answer = answer
    done = command("in", "-o", "out")
    assert done.exit_code == 0
    assert done.stderr.count("clova-speech: the service answered 500/STT998 (RecognitionFailedError); ") == 1
    assert "after 0 min: 0 of 3 files done, " in done.stderr
