from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clova_speech_async.cli import app

DATA = Path(__file__).parents[1] / "data"


COMMAND = [sys.executable, "-m", "clova_speech_async", "estimate"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)], env={"COLUMNS": "100"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("in/b.wav", "in/a.wav", "in/sub/c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((DATA / "umbrella.wav").read_bytes())
    (tmp_path / "in/notes.txt").write_text("no audio, and not called so")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_with_the_sum() -> None:
    done = run(DATA / "umbrella.wav", DATA / "story.ogg", "--unit-price", "0.1")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][-5:] == ["seconds", "requests", "billed", "s", "cost"]
    assert lines[-1] == ["total", "74.895", "3", "90", "0.6"]


def test_a_name_is_shown_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "call:key:1[bold].wav"
    file.write_bytes((DATA / "umbrella.wav").read_bytes())
    done = CliRunner().invoke(app, ["estimate", str(file)], env={"COLUMNS": "400"})
    assert file.name in done.stdout
    gone = run(tmp_path / "nope:x:.wav")
    assert "nope:x:.wav" in gone.stderr


def test_what_is_not_whole_is_told(tmp_path: Path) -> None:
    whole = (DATA / "umbrella.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    story = (DATA / "story.ogg").read_bytes()
    (tmp_path / "cut.ogg").write_bytes(story[: len(story) * 2 // 3])
    done = run(tmp_path / "cut.wav", tmp_path / "cut.ogg", DATA / "umbrella.wav", "--json")
    assert done.exit_code == 0
    told = " ".join(done.stderr.split())
    assert "cut.wav: cut off: it has 2." in told
    assert "cut.ogg: cut off: it has" in told
    assert "s and no end" in told
    assert told.count("cut off") == 2


def test_as_json_and_without_a_price() -> None:
    done = run(DATA / "umbrella.wav", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["billed_seconds"] for row in rows] == [15, 15]
    assert rows[0] == {
        "source": str(DATA / "umbrella.wav"),
        "duration": rows[1]["duration"],
        "announced_duration": rows[0]["duration"],
        "truncated": False,
        "lost_seconds": 0.0,
        "requests": 1,
        "billed_seconds": 15,
        "error": None,
    }
    assert rows[1] == {
        "total": True,
        "files": 1,
        "failures": 0,
        "duration": rows[0]["duration"],
        "requests": 1,
        "billed_seconds": 15,
    }


def test_money_is_counted_in_decimals(folder: Path) -> None:
    done = run("in", "--unit-price", "0.1", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["cost"] == "0.3"


def test_a_file_that_cannot_be_read_is_a_row_and_the_others_come_out(tmp_path: Path) -> None:
    done = run(tmp_path / "no.wav", DATA / "umbrella.wav", "--json", "--unit-price", "1")
    assert done.exit_code == 1
    assert "no.wav" in done.stderr
    bad, good, total = map(json.loads, done.stdout.splitlines())
    assert set(bad) == set(good)
    assert (bad["source"], bad["error"]["type"]) == (str(tmp_path / "no.wav"), "AudioReadError")
    assert "no such file" in bad["error"]["message"]
    assert {bad[name] for name in ("duration", "requests", "billed_seconds", "cost")} == {None}
    assert (good["error"], good["cost"]) == (None, "1")
    assert (total["files"], total["failures"], total["billed_seconds"], total["cost"]) == (1, 1, 15, "1")
    assert "source" not in total


def test_folders_patterns_and_files_as_transcribe_takes_them(folder: Path) -> None:
    done = run("in", "in/*.wav", "in/a.wav", DATA / "umbrella.wav")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [
        "file",
        "in/a.wav",
        "in/b.wav",
        "in/sub/c.wav",
        str(DATA / "umbrella.wav"),
        "total",
    ]
    assert lines[-1][2:] == ["4", "60"]


def test_a_folder_of_one_file_has_its_total(folder: Path) -> None:
    assert run("in/sub").stdout.splitlines()[-1].split()[0] == "total"
    assert run("in/a.wav").stdout.splitlines()[-1].split()[0] == "in/a.wav"


def test_a_list(folder: Path) -> None:
    (folder / "list").write_text("in/b.wav\n\nin/a.wav\n")
    rows = [json.loads(line) for line in run("--from-file", "list", "--json").stdout.splitlines()]
    assert [row.get("source") for row in rows] == ["in/b.wav", "in/a.wav", None]
    assert rows[-1]["billed_seconds"] == 30


def test_bad_files_hide_no_figures(folder: Path) -> None:
    (folder / "in/a.wav").write_bytes(b"")
    (folder / "in/bad.wav").write_text("text")
    done = run("in", "absent.wav", "*.flac", "in/notes.txt")
    assert done.exit_code == 1
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["file", "in/b.wav", "in/sub/c.wav", "total"]
    assert done.stdout.splitlines()[-1].split()[2:] == ["2", "30"]
    for words in (
        "'in/a.wav' is empty",
        "'in/bad.wav' is not audio",
        "'absent.wav': there is no",
        "*.flac: no file has",
    ):
        assert words in done.stderr
    assert done.stderr.endswith("5 could not be read, and are not in the total\n")


def test_where_nothing_can_be_read_there_is_no_table(folder: Path) -> None:
    done = run("in/notes.txt")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "could not be read" not in done.stderr  # one file: it has been said
    (folder / "none").mkdir()
    done = run("none")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("no audio files were found")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to estimate: name FILES"),
        (["--from-file", "absent"], "--from-file absent: there is no such file"),
        (["--from-file", "in"], "--from-file in: that is a folder, not a list"),
    ],
)
def test_wrong_usage(folder: Path, arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_list_that_breaks_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, **_: object) -> object:
        yield "in/a.wav"
        raise OSError("Input/output error")

    monkeypatch.setattr(sys.modules["clova_speech_async.cli.estimate"], "read_list", broken)
    (folder / "list").touch()
    done = run("--from-file", "list")
    assert done.exit_code == 2
    assert "--from-file list: Input/output error" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals are sent")
def test_standard_input_and_ctrl_c(folder: Path) -> None:
    names = b"in/a.wav\nin/b.wav\n"
    done = subprocess.run([*COMMAND, "--from-file", "-", "--json"], input=names, capture_output=True, check=True)
    found = [json.loads(line).get("source") for line in done.stdout.splitlines()]
    assert found == ["in/a.wav", "in/b.wav", None]
    command = [*COMMAND, "--from-file", "-", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(names)
        process.stdin.flush()
        assert b"in/a.wav" in process.stdout.readline()  # as it is known, while the list goes on
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.wait(20)
        assert time.monotonic() - began < 2.5
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 130


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
def test_standard_output_that_takes_nothing(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "in", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == "clova-speech: standard output does not take it: No space left on device\n"


@pytest.mark.parametrize("price", ["free", "nan", "inf", "-1", ""])
def test_a_price_that_is_none(price: str) -> None:
    done = run(DATA / "umbrella.wav", "--unit-price", price)
    assert done.exit_code == 2
    assert f"{price!r} is not a price" in done.stderr
