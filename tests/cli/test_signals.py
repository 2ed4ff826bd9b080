"""The second signal ends the command at once, whatever hangs, and what is paid for is whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent")

HANGING = """
import threading
from clova_speech_async.cli import app, runner

put = runner.Runner._put

def hang(self, job, transcript):
    if job.path.name == "b.wav":
        print("hangs", flush=True)
        threading.Event().wait()  # in a worker thread, which nothing wakes
    return put(self, job, transcript)

runner.Runner._put = hang
app()
"""

BLOCKED = HANGING.replace(
    "runner.Runner._put = hang",
    """
def show(self, progress, summary):
    print("hangs", flush=True)
    time.sleep(60)  # in the event loop's own thread

import time
runner.Runner._show = show
""",
)


@pytest.mark.parametrize("program", [HANGING, BLOCKED])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_it_at_once(
    start: Any, folder: Path, service: Any, program: str, number: int, status: int
) -> None:
    under_way = 1  # with --concurrency 1: its request is cut off, or the event loop has no time to read the reply
    options = ("-o", "out", "--journal", "run.db", "--concurrency", "1", "--report", "report.jsonl")
    with start("in", *options, program=program) as process:
        assert process.stdout.readline() == b"hangs\n"
        process.send_signal(number)
        if program is HANGING:
            assert b"stopping" in process.stderr.readline()
        else:
            time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(number)
        err = process.communicate(timeout=20)[1].decode()
        took = time.monotonic() - began
    assert process.returncode == status
    assert took < 1.4
    assert "To go on, run the same command again: what run.db holds is not sent again.\n" in err
    assert (folder / "out/a.txt").read_text() == "number 0\n"
    with closing(sqlite3.connect(folder / "run.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM replies").fetchone()[0] >= len(service.sent) - under_way
    with start("in", *options) as process:
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert sorted(path.name for path in (folder / "out").rglob("*.txt")) == ["a.txt", "b.txt", "c.txt"]
    assert len(service.sent) <= 3 + under_way  # nothing else was paid for twice


def test_the_second_signal_gives_the_cursor_back(folder: Path, service: Any) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = os.environ | {"CLOVA_SPEECH_SECRET_KEY": "k", "CLOVA_SPEECH_INVOKE_URL": service.url, "TERM": "xterm"}
    command = [sys.executable, "-c", HANGING, "transcribe", "in", "-o", "out", "--concurrency", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert process.stdout.readline() == b"hangs\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        said = bytearray()
        with suppress(OSError):  # so its end is told on Linux
            while part := os.read(ours, 65536):
                said += part
    os.close(ours)
    assert process.returncode == 130
    assert b"To go on" in said
    assert said.rfind(b"\x1b[?25h") > said.rfind(b"\x1b[?25l") >= 0


def test_a_pipe_that_nobody_writes_to_keeps_nobody(start: Any, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with start("pipe") as process:
        writer = os.open(folder / "pipe", os.O_WRONLY)  # once it is opened for reading, there too
        try:
            process.send_signal(signal.SIGINT)
            assert b"stopping" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            process.wait(20)
            assert time.monotonic() - began < 1.4
        finally:
            os.close(writer)
    assert process.returncode == 130


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_is_enough_for_a_pipe_that_nobody_writes_to(
    start: Any, folder: Path, number: int, status: int
) -> None:
    os.mkfifo(folder / "pipe")
    with start("pipe") as process:
        writer = os.open(folder / "pipe", os.O_WRONLY)
        try:
            time.sleep(0.3)
            process.send_signal(number)
            began = time.monotonic()
            process.wait(20)
            assert time.monotonic() - began < 2.5
        finally:
            os.close(writer)
    assert process.returncode == status


@pytest.mark.parametrize(("number", "words"), [(signal.SIGINT, b"Ctrl-C"), (signal.SIGTERM, b"SIGTERM")])
def test_other_commands_end_at_a_signal_too(folder: Path, number: int, words: bytes) -> None:
    os.mkfifo(folder / "pipe")
    command = [sys.executable, "-m", "clova_speech_async", "estimate", "pipe"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        writer = os.open(folder / "pipe", os.O_WRONLY)
        try:
            time.sleep(0.3)
            process.send_signal(number)
            process.send_signal(number)
            err = process.communicate(timeout=10)[1]
        finally:
            os.close(writer)
    assert process.returncode == 128 + number
    assert err in (b"", b"clova-speech: stopped by " + words + b"\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("how", ["transcribe", "assess", "assess many"])
def test_what_is_under_way_at_the_first_signal_is_kept(
    start: Any, service: Any, folder: Path, how: str, number: signal.Signals
) -> None:
    """By all commands that send; it comes out, and stands in the journal."""
    sentence = "please remember"
    arguments = {
        "transcribe": ["in/a.wav", "in/b.wav", "in/sub/c.wav", "--concurrency", "1"],
        "assess": ["in/a.wav", "-u", sentence, "--format", "json"],
        "assess many": ["--from-file", "many.csv", "--concurrency", "1"],
    }[how]
    rows = [f"in/{name},{sentence}" for name in ("a.wav", "b.wav", "sub/c.wav")]
    (folder / "many.csv").write_text("\n".join(["file,utterance", *rows]))
    service.answer = lambda _: (200, {"text": "number 0", "quota": 15, "assessment_score": 70})
    service.go.clear()
    with start(*arguments, "--lang", "Eng", "--journal", "run.db", command=how.split()[0]) as process:
        assert service.arrived.acquire(timeout=20)
        process.send_signal(number)
        assert b"stopping" in process.stderr.readline()
        service.go.set()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert b"number 0" in out
    assert (b"unfinished" in err) == (how != "assess")
    assert len(service.sent) == 1
    with closing(sqlite3.connect(folder / "run.db")) as database:
        assert database.execute("SELECT count(*) FROM replies").fetchone()[0] == 1


@pytest.mark.parametrize("signals", [1, 2])
def test_a_list_of_sentences_that_a_signal_cuts_off_tells_what_is_left(
    start: Any, service: Any, folder: Path, signals: int
) -> None:
    names = ("a.wav", "b.wav", "sub/c.wav")
    (folder / "many.csv").write_text("\n".join(["file,utterance", *(f"in/{name},please" for name in names)]))
    answered = threading.Event()

    def answer(number: int) -> tuple[int, Any]:
        if number:
            answered.wait(20)  # longer than anybody waits for what is under way
        return 200, {"text": "please", "quota": 15, "assessment_score": 70}

    service.answer = answer
    options = ("--from-file", "many.csv", "--concurrency", "1", "--journal", "run.db")
    with start(*options, command="assess") as process:
        assert b"in/a.wav" in process.stdout.readline()
        assert service.arrived.acquire(timeout=20)
        assert service.arrived.acquire(timeout=20)
        process.send_signal(signal.SIGINT)
        assert b"stopping" in process.stderr.readline()
        if signals == 2:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        answered.set()
    assert process.returncode == 130
    assert b"\n2 unfinished. To go on, run the same command again: what run.db holds is not sent again.\n" in err
    assert b"in/a.wav" in err  # the table
