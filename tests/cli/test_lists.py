"""Lists of files: names with line breaks, zero bytes, what failed; the report; the version; what can be reached."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.cli.lists import fits_a_line, looks_like_list, read_list

POSIX = pytest.mark.skipif(os.name != "posix", reason="names with line breaks")


@POSIX
def test_a_name_with_a_line_break_does_not_become_two(shell: Any, folder: Path, service: Any, make_wav: Any) -> None:
    name = "in/bad\nin/a.wav"  # its second half is another file
    (folder / "in/bad\nin").mkdir()
    (folder / name).write_bytes(b"no audio, whatever its name says")
    done = shell("transcribe", name, "absent.wav", "--failures", "failed.txt")
    assert done.returncode == 1
    assert (folder / "failed.txt").read_bytes() == b"absent.wav\n"
    assert (
        "1 of them cannot stand in a list of lines, and are not in failed.txt (with --null they are): " in done.stderr
    )
    assert "in/bad?in/a.wav\n" in done.stderr
    done = shell("transcribe", name, "absent.wav", "--failures", "failed.txt", "--null")
    assert (folder / "failed.txt").read_bytes() == name.encode() + b"\0absent.wav\0"
    assert "to try them again: --from-file failed.txt --null\n" in done.stderr
    (folder / name).write_bytes(make_wav(9))
    done = shell("transcribe", "--from-file", "failed.txt", "-z", "--failures", "failed.txt")
    assert (done.returncode, service.sent) == (1, [9])
    assert (folder / "failed.txt").read_bytes() == b"absent.wav\0"


@POSIX
def test_a_list_of_find(folder: Path, service: Any, make_wav: Any) -> None:
    (folder / "in/two\nlines.wav").write_bytes(make_wav(9))
    line = (
        f"find in -name '*.wav' -print0 | sort -z | {sys.executable} -m clova_speech_async transcribe --from-file - -z"
    )
    environment = os.environ | {"CLOVA_SPEECH_SECRET_KEY": "k", "CLOVA_SPEECH_INVOKE_URL": service.url}
    done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("number") == 4
    assert "==> in/two?lines.wav <==\nnumber 9\n" in done.stdout


def test_what_a_list_of_zero_bytes_gives(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a\n b\0\0 \0" + b"x" * 70_000 + b"\0\xff\r")
    assert list(read_list(str(tmp_path / "list"), null=True)) == ["a\n b", " ", "x" * 70_000, "\udcff\r"]


@pytest.mark.parametrize(
    "name", ["a", " a ", "a\rb", "a\n", "\n", "a\nb", "a\r", " ", "", "\t", "#a", "'a'", "\ufeffa", "\udcff\udcfea"]
)
def test_a_name_fits_a_line_where_the_line_gives_it_back(tmp_path: Path, name: str) -> None:
    (tmp_path / "list").write_bytes(os.fsencode(name) + b"\n")
    assert fits_a_line(name) == (list(read_list(str(tmp_path / "list"))) == [name])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_list_as_editors_on_windows_write_it(
    shell: Any, folder: Path, service: Any, make_wav: Any, encoding: str
) -> None:
    (folder / "in/소리.wav").write_bytes(make_wav(9))
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (folder / "list.txt").write_bytes(f"{mark}in/소리.wav\r\nin/a.wav\r\n".encode(encoding))
    done = shell("transcribe", "--from-file", "list.txt")
    assert (done.returncode, sorted(service.sent)) == (0, [0, 9]), done.stderr
    assert looks_like_list(folder / "list.txt", null=False)


@pytest.mark.skipif(os.name != "posix", reason="standard input is read another way there")
@pytest.mark.parametrize(
    ("blocks", "names"),
    [
        ([b"\xef", b"\xbb", b"\xbfa\nb", b"\n"], ["a", "b"]),
        ([b"\xff", b"\xfea", b"\0\n", b"\0b\0"], ["a", "b"]),
        ([b"\xef", b"\xbb"], ["\udcef\udcbb"]),
        ([], []),
    ],
)
def test_the_mark_at_the_beginning_may_come_in_parts(
    monkeypatch: pytest.MonkeyPatch, blocks: list[bytes], names: list[str]
) -> None:
    monkeypatch.setattr("clova_speech_async.cli.lists._standard_input", lambda ended: iter(blocks))
    assert list(read_list("-")) == names


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"in/a.wav\0in/b.wav\0", "its names end in zero bytes: give --null, too"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "that is no list of files"),
        (b"PK\x03\x04\0\0", "that is no list of files"),
    ],
)
@pytest.mark.parametrize("command", ["transcribe", "estimate"])
def test_what_is_no_list_is_refused_before_anything_is_sent(
    invoke: Any, folder: Path, service: Any, command: str, content: bytes, words: str
) -> None:
    (folder / "list").write_bytes(content)
    done = invoke(command, "in", "--from-file", "list")
    assert (done.returncode, service.sent) == (2, [])
    assert done.stderr == f"clova-speech: --from-file list: {words}\n"
    assert invoke("estimate", "--null", "--from-file", "list").returncode != 2


def test_a_list_through_a_pipe_that_needs_the_option(shell: Any, folder: Path) -> None:
    done = shell("estimate", "--from-file", "-", input="in/a.wav\0in/b.wav\0")
    assert done.returncode == 1
    assert "no file's name has a zero byte; a list such as find -print0 writes needs --null" in done.stderr


@pytest.mark.parametrize("option", ["--failures", "--report"])
def test_what_cannot_be_written_is_told_before_anything_is_sent(
    invoke: Any, folder: Path, service: Any, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr("clova_speech_async.cli.common.os.access", lambda path, mode: str(path) != "in")
    done = invoke("transcribe", "in", option, "in/list")
    assert (done.returncode, service.sent) == (2, [])
    assert done.stderr == f"clova-speech: {option} in/list: it cannot be written: no permission\n"
    done = invoke("assess", "in/a.wav", "--utterance", "please", "--save", "in/a.html")
    assert (done.returncode, service.sent) == (2, [])
    assert done.stderr == "clova-speech: --save in/a.html: it cannot be written: no permission\n"


@pytest.mark.parametrize(
    "command",
    [
        ["transcribe", "in", "--journal"],
        ["transcribe", "in", "--output-dir"],
        ["transcribe", "in", "--report"],
        ["transcribe", "in", "--failures"],
        ["transcribe", "--from-file"],
        ["assess", "in/a.wav", "--utterance", "please", "--journal"],
        ["assess", "in/a.wav", "--utterance", "please", "--save"],
        ["journal", "show"],
        ["journal", "export"],
        ["journal", "forget", "--all"],
    ],
)
def test_a_folder_that_is_closed(
    invoke: Any, folder: Path, service: Any, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    stat = os.stat

    def closed(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        if str(path).startswith("closed/") or str(path).startswith(f"{folder}/closed/"):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    (folder / "closed").mkdir()
    monkeypatch.setattr(os, "stat", closed)
    if hasattr(pathlib, "_NormalAccessor"):  # before Python 3.11 it keeps the function that it found
        monkeypatch.setattr(pathlib._NormalAccessor, "stat", staticmethod(closed))
    done = invoke(*command, "closed/a.html")
    assert (done.returncode, service.sent) == (2, [])
    assert "closed/a.html" in done.stderr
    assert "ermission" in done.stderr
    assert "Errno" not in done.stderr


def test_nothing_found_among_samples_names_their_endings(invoke: Any, folder: Path) -> None:
    for command in ("estimate", "transcribe"):
        done = invoke(command, "in", "--raw", "--rate", "8000")
        assert done.returncode == 0
        assert "no samples without a header were found: in a folder they are known by their endings, such as .raw" in (
            done.stderr
        )
        assert "no audio files" not in done.stderr


def test_what_would_be_written_over_as_a_list(tmp_path: Path) -> None:
    (tmp_path / "mp1").write_bytes(b"\xff\xfe" + bytes(range(200)))
    assert not looks_like_list(tmp_path / "mp1", null=False)
    (tmp_path / "half").write_bytes(b"\xff\xfe\x00\xdc\x00\xdc")
    assert not looks_like_list(tmp_path / "half", null=True)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["transcribe", "in", "-z"], "--null goes with --from-file or --failures"),
        (["estimate", "in", "--null"], "--null goes with --from-file"),
        (["transcribe", "in", "--adopt"], "--adopt goes with --output-dir"),
        (["transcribe", "in", "--report", "in"], "--report in: that is a folder"),
        (["transcribe", "in", "--report", "absent/r"], "--report absent/r: there is no folder absent"),
        (["transcribe", "in", "--report", "x", "--failures", "./x"], "--report x: that is what --failures names, too"),
        (["transcribe", "in", "--report", "in/a.wav"], "--report in/a.wav: that is no report"),
        (["estimate", "in", "--emulator"], "estimate sends nothing, so there is nothing to emulate"),
    ],
)
def test_wrong_usage(invoke: Any, folder: Path, service: Any, command: list[str], words: str) -> None:
    before = (folder / "in/a.wav").read_bytes()
    done = invoke(*command)
    assert done.returncode == 2
    assert words in done.stderr
    assert service.sent == []
    assert (folder / "in/a.wav").read_bytes() == before


def test_the_version(shell: Any) -> None:
    done = shell("--version")
    assert (done.returncode, done.stdout) == (0, f"clova-speech {metadata.version('clova-speech-async')}\n")


# --- the report ---------------------------------------------------------------------------------------


def rows(path: Path) -> dict[str, dict[str, Any]]:
    return {row["source"]: row for row in map(json.loads, path.read_text().splitlines())}


def test_a_line_for_each_file(invoke: Any, folder: Path, service: Any) -> None:
    service.answer = lambda n: (
        (500, {"error": {"errorCode": "STT006", "message": "no"}}) if n == 1 else (200, {"text": "x", "quota": 15})
    )
    command = ("transcribe", "in", "absent.wav", "-o", "out", "--journal", "run.db", "--report")
    invoke(*command, "r.jsonl")
    found = rows(folder / "r.jsonl")
    assert {name: row["status"] for name, row in found.items()} == {
        "in/a.wav": "done",
        "in/b.wav": "failed",
        "in/sub/c.wav": "done",
        "absent.wav": "failed",
    }
    done, failed = found["in/a.wav"], found["in/b.wav"]
    assert (done["index"], done["output"], done["billed_seconds"]) == (0, "out/a.txt", 15)
    assert (done["duration"], done["truncated"], done["error"]) == (0.1, False, None)
    told = failed["error"].pop("message")
    assert told.startswith("500/STT006: no (")
    assert failed["error"] == {"type": "PreprocessingError", "status": 500, "code": "STT006"}
    assert (failed["output"], found["absent.wav"]["error"]["type"]) == (None, "AudioReadError")
    assert {row["saved_seconds"] for row in found.values()} == {0}
    (folder / "out/a.txt").unlink()
    with (folder / "r.jsonl").open("a") as file:
        file.write('{"half a line')
    invoke(*command, "r.jsonl")
    lines = (folder / "r.jsonl").read_text().splitlines()
    assert lines[4] == '{"half a line'
    again = {row["source"]: row["status"] for row in map(json.loads, lines[5:])}
    assert again == {
        "in/a.wav": "from_journal",
        "in/b.wav": "failed",
        "in/sub/c.wav": "passed_over",
        "absent.wav": "failed",
    }


def test_what_was_not_finished_is_in_the_report(invoke: Any, folder: Path) -> None:
    done = invoke("transcribe", "in", "--max-billed", "15", "--concurrency", "1", "--report", "r.jsonl")
    assert done.returncode == 1
    found = rows(folder / "r.jsonl")
    assert found["in/a.wav"]["status"] == "done"
    assert {row["status"] for name, row in found.items() if name != "in/a.wav"} == {"unfinished"}


@pytest.mark.skipif(os.name != "posix", reason="it is killed")
def test_a_run_that_is_killed_leaves_whole_lines(start: Any, folder: Path, service: Any, make_wav: Any) -> None:
    for number in range(100):
        (folder / "in" / f"n{number}.wav").write_bytes(make_wav(100 + number))
    with start("in", "-o", "out", "--report", "r.jsonl") as process:
        for _ in range(40):
            assert service.arrived.acquire(timeout=30)
        process.send_signal(signal.SIGKILL)
    found = rows(folder / "r.jsonl")
    assert found
    assert all((folder / row["output"]).exists() for row in found.values())


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
def test_a_report_that_takes_nothing_ends_no_run(invoke: Any, folder: Path) -> None:
    done = invoke("transcribe", "in", "--report", "/dev/full")
    assert (done.returncode, done.stdout.count("number")) == (0, 3)
    assert done.stderr.count("--report /dev/full: No space left on device") == 1


# --- nothing there ------------------------------------------------------------------------------------


def test_who_cannot_reach_the_service_is_told_so(shell: Any, folder: Path, make_wav: Any) -> None:
    for number in range(40):
        (folder / "in" / f"n{number}.wav").write_bytes(make_wav(100 + number))
    environment = os.environ | {"CLOVA_SPEECH_SECRET_KEY": "k", "CLOVA_SPEECH_INVOKE_URL": "http://127.0.0.1:1"}
    done = shell("transcribe", "in", env=environment)
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "correct the list of files" not in done.stderr
    remedy = "see that the service can be reached (--invoke-url or CLOVA_SPEECH_INVOKE_URL, the network, a proxy)"
    assert done.stderr.endswith(f"To go on, {remedy}, and run the same command again.\n")
