"""What is no file on the disk: pipes and sockets in folders, named ones, standard input; samples without a header."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.cli.inputs import find_sources

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs named pipes")


def test_a_pipe_in_a_folder_holds_nothing_up_and_is_told(
    shell: Any, folder: Path, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "in/p.wav")
    (folder / "in/link.wav").symlink_to(folder / "in/p.wav")
    (folder / "in/null.mp3").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(folder / "in")  # a socket's name must be short
        listener.bind("s.wav")
        monkeypatch.chdir(folder)
        for what in ("in", "in/*"):
            done = shell("transcribe", what)
            assert (done.returncode, done.stdout.count("number")) == (0, 3 if what == "in" else 2)
            assert "4 left out, since nobody named them and they are no files: " in done.stderr
            for name in ("in/link.wav (a named pipe)", "in/null.mp3 (a device)", "in/p.wav (a named pipe)"):
                assert name in done.stderr
            assert done.stderr.count("and 1 more\n") == 1
        done = shell("estimate", "in", "--json")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert "4 left out" in done.stderr


def test_a_pipe_that_is_named_is_read(shell: Any, folder: Path, make_wav: Any) -> None:
    os.mkfifo(folder / "pipe")
    writer = threading.Thread(target=(folder / "pipe").write_bytes, args=(make_wav(5),))
    writer.start()
    done = shell("transcribe", "pipe")
    writer.join()
    assert (done.returncode, done.stdout) == (0, "number 5\n")


def test_a_link_to_a_file_in_a_folder_is_taken_and_one_to_nothing_is_a_failure(
    invoke: Any, folder: Path, make_wav: Any
) -> None:
    (folder / "elsewhere.wav").write_bytes(make_wav(5))
    (folder / "in/l.wav").symlink_to(folder / "elsewhere.wav")
    (folder / "in/m.wav").symlink_to(folder / "nowhere.wav")
    done = invoke("transcribe", "in")
    assert (done.returncode, done.stdout.count("number")) == (1, 4)
    assert "in/m.wav" in done.stderr


def test_a_folder_that_cannot_be_looked_into_is_a_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert [source.path.as_posix() for source in find_sources(["in"])] == ["in/a.wav", "in/b.wav", "in/sub"]


# --- standard input -----------------------------------------------------------------------------------


def test_audio_through_standard_input(shell: Any, folder: Path, service: Any) -> None:
    with (folder / "in/b.wav").open("rb") as file:
        done = shell("transcribe", "-", stdin=file)
    assert (done.returncode, done.stdout) == (0, "number 1\n")
    for number, name in enumerate(("stdin.srt", "stdin-2.srt")):
        line = f"cat in/{'ab'[number]}.wav | {sys.executable} -m clova_speech_async transcribe - -o out -f srt --force"
        line = line if number == 0 else line.replace(" --force", "")
        environment = os.environ | {"CLOVA_SPEECH_SECRET_KEY": "k", "CLOVA_SPEECH_INVOKE_URL": service.url}
        assert subprocess.run(["sh", "-c", line], env=environment, timeout=60, check=False).returncode == 0
        assert f"number {number}" in (folder / "out" / name).read_text()


def test_standard_input_beside_files(shell: Any, folder: Path, make_wav: Any) -> None:
    with (folder / "in/b.wav").open("rb") as file:
        done = shell("transcribe", "in/a.wav", "-", stdin=file)
    assert done.stdout == "==> in/a.wav <==\nnumber 0\n==> - <==\nnumber 1\n"
    with (folder / "in/b.wav").open("rb") as file:
        done = shell("estimate", "-", "--json", stdin=file)
    assert json.loads(done.stdout.splitlines()[0])["source"] == "-"
    (folder / "-").write_bytes(make_wav(6))
    (folder / "list").write_text("-\n")
    assert shell("transcribe", "./-", stdin=subprocess.DEVNULL).stdout == "number 6\n"
    assert "number 6" in shell("transcribe", "--from-file", "list", stdin=subprocess.DEVNULL).stdout


def test_standard_input_is_one_thing_only(shell: Any, folder: Path, service: Any) -> None:
    done = shell("transcribe", "-", "--from-file", "-", stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "standard input cannot be both a recording ('-') and a list" in done.stderr
    done = shell("transcribe", "-", stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "is empty" in done.stderr
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    try:
        done = shell("transcribe", "-", stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert "which is a terminal" in done.stderr
    assert service.sent == []


def test_closed_standard_input(folder: Path, service: Any, calls: Path) -> None:
    environment = os.environ | {"CLOVA_SPEECH_SECRET_KEY": "k", "CLOVA_SPEECH_INVOKE_URL": service.url}
    for words, status in (("-", 2), ("in/a.wav", 0), (" ".join(("calls/one.ul", *RAW)), 0)):
        line = f"exec {sys.executable} -m clova_speech_async transcribe {words} <&-"
        done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == status
        assert (b"which is closed" in done.stderr) == (status == 2)


def test_a_sentence_through_standard_input(shell: Any, folder: Path, service: Any) -> None:
    service.answer = lambda n: (200, {"text": "x", "quota": 15, "assessment_score": 7, "assessment_details": ""})
    with (folder / "in/b.wav").open("rb") as file:
        done = shell("assess", "-", "--utterance", "what was to be said", stdin=file)
    assert (done.returncode, service.sent) == (0, [1])


# --- samples without a header -------------------------------------------------------------------------


@pytest.fixture
def calls(folder: Path) -> Path:
    """A second and a half of two channels, at 8 kHz, mu-law; beside it a file that has a header."""
    (folder / "calls").mkdir()
    frames = bytes(0x80 if n // 8 % 2 else 0x00 for n in range(24_000))
    (folder / "calls/one.ul").write_bytes(frames)
    with wave.open(str(folder / "calls/two.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(struct.pack("<hh", 8000, -8000) * 100)
    return folder / "calls"


RAW = ("--raw", "--rate", "8000", "--raw-channels", "2", "--encoding", "mulaw")


def test_samples_of_a_telephone(shell: Any, calls: Path, service: Any) -> None:
    done = shell("estimate", "calls", *RAW, "--json")
    assert done.returncode == 0
    assert done.stderr.startswith("1 file in folders was passed over for the ending: .wav (1); ")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row.get("source"), row["duration"]) for row in rows] == [("calls/one.ul", 1.5), (None, 1.5)]
    done = shell("transcribe", "calls", *RAW, "-o", "out")
    assert done.returncode == 0
    assert (calls.parent / "out/one.txt").read_text().startswith("number ")
    with (calls / "one.ul").open("rb") as file:
        assert shell("transcribe", "-", *RAW, stdin=file).returncode == 0
    assert len(service.sent) == 2


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["one.ul", "--raw"], 2, "--raw needs --rate"),
        (["one.ul", "--rate", "8000"], 2, "--rate, --raw-channels and --encoding go with --raw"),
        (["one.ul", "--raw", "--rate", "8000", "--encoding", "ulaw"], 2, "did you mean"),
        (["one.ul", "--raw", "--rate", "8"], 2, "--rate 8 is not between 1000 and"),
        (["one.ul", "--raw", "--rate", "8000", "--raw-channels", "99"], 2, "--raw-channels 99 is not between 1 and 64"),
        (["two.wav", *RAW], 1, "is a whole WAV file, not samples: leave out --raw"),
        (["absent.ul", *RAW], 1, "No such file"),
    ],
)
def test_samples_that_are_described_wrongly(
    invoke: Any, calls: Path, service: Any, options: list[str], status: int, words: str
) -> None:
    done = invoke("transcribe", f"calls/{options[0]}", *options[1:])
    assert done.returncode == status
    assert words in done.stderr
    assert "PCM" not in done.stderr
    assert service.sent == []


def test_a_file_that_is_no_audio_gets_the_remedy_of_a_shell(invoke: Any, folder: Path) -> None:
    (folder / "notes.txt").write_text("these are no samples, but if they were")
    done = invoke("transcribe", "notes.txt")
    assert done.returncode == 1
    assert "--raw --rate 8000" in done.stderr
    assert "PCM" not in done.stderr


def test_more_files_of_samples_than_may_be_open_at_once(shell: Any, calls: Path) -> None:
    for number in range(300):
        (calls / f"{number}.pcm").write_bytes(struct.pack("<hh", number, -9000) * 200)
    resource = pytest.importorskip("resource")
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))  # noqa: E731
    done = shell("transcribe", "calls", "--raw", "--rate", "8000", "-o", "out", preexec_fn=limit)
    assert (done.returncode, "failed" in done.stderr) == (0, False)
