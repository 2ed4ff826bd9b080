from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from clova_speech_async.cli import app
from clova_speech_async.emulator import error, reply

DATA = Path(__file__).parents[1] / "data"
DETAILS = "please|{p(p):92, l(l):95, ea(iː):41, se(z):90} "


def run(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(app, ["assess", *map(str, arguments)], input=text, env={"COLUMNS": "80", "NO_COLOR": "1"})


@pytest.fixture
def service(clova_speech_emulator: Any) -> Any:
    """An emulator that answers every assessment alike."""
    clova_speech_emulator.script(
        *[
            reply("please", assessment_score=81, assessment_details=DETAILS, ref_graph=[0, 9, 3], usr_graph=[1, 7, 2])
            for _ in range(3)
        ]
    )
    return clova_speech_emulator


def test_the_sentence_with_scores_and_weak_sounds(service: Any) -> None:
    done = run(DATA / "umbrella.wav", "--utterance", "Please, remember")
    assert done.exit_code == 0
    assert "Heard: please" in done.stdout
    assert "81 of 100" in done.stdout
    assert "Please," in done.stdout
    assert "/iː/ 41" in done.stdout
    assert "\x1b" not in done.stdout
    assert dict(service.requests[0].params) == {
        "lang": "Eng",
        "assessment": "true",
        "utterance": "Please, remember",
        "graph": "true",
    }


def test_as_json(service: Any) -> None:
    done = run(DATA / "umbrella.wav", "--utterance", "please", "--format", "json")
    row = json.loads(done.stdout)
    assert row["text"] == "please"
    assert row["assessment"]["score"] == 81
    assert [phone["ipa"] for phone in row["assessment"]["words"][0]["phones"]] == ["p", "l", "iː", "z"]


@pytest.mark.parametrize("suffix", ["html", "svg", "png"])
def test_a_report_is_drawn(service: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"report.{suffix}"
    done = run(DATA / "umbrella.wav", "--utterance", "please", "--save", path)
    assert done.exit_code == 0
    assert path.stat().st_size > 1000
    assert f"report: {path}" in done.stderr


def test_a_report_marks_what_is_weak_by_the_same_measure(service: Any, tmp_path: Path) -> None:
    done = run(DATA / "umbrella.wav", "--utterance", "please", "--weak", 93, "--save", tmp_path / "weak.html")
    assert done.exit_code == 0
    assert "under 93" in (tmp_path / "weak.html").read_text("utf-8")


def test_scores_are_shown_though_no_report_can_be_written(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["clova_speech_async.cli.assess"], "save_report", full)
    done = run(DATA / "umbrella.wav", "--utterance", "please", "--save", tmp_path / "report.html")
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr
    assert "81 of 100" in done.stdout


def test_a_report_of_an_unknown_kind(service: Any, tmp_path: Path) -> None:
    done = run(DATA / "umbrella.wav", "--utterance", "please", "--save", tmp_path / "report.bmp")
    assert done.exit_code == 2
    assert ".bmp" in done.stderr
    assert service.requests == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "one FILE with --utterance, or --from-file"),
        ([DATA / "umbrella.wav", "--from-file", "x"], "one FILE"),
        (["--from-file", "x", "--utterance", "y"], "--from-file names the utterances itself"),
        (["--from-file", "missing.csv"], "missing.csv: No such file"),
        ([DATA / "umbrella.wav", "--lang", "Jpn", "--utterance", "やあ"], "'Eng' and 'Kor' only"),
        ([DATA / "umbrella.wav", "--utterance", ""], "clova-speech: --utterance has no letter"),
        (["", "--utterance", "x"], "it is empty"),
        ([DATA / "umbrella.wav", "--utterance", "x", "--save", ""], "it is empty"),
        ([DATA / "umbrella.wav", "--utterance", "안녕"], "written in Hangul"),
        ([DATA / "umbrella.wav", "--lang", "tlh", "--utterance", "x"], "'tlh'"),
    ],
)
def test_wrong_use_ends_with_2_before_anything_is_sent(
    clova_speech_emulator: Any, arguments: list[Any], words: str
) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert clova_speech_emulator.requests == ()


def test_a_file_that_fails_ends_with_1(clova_speech_emulator: Any, tmp_path: Path) -> None:
    done = run(tmp_path / "missing.wav", "--utterance", "please")
    assert done.exit_code == 1
    assert "missing.wav" in done.stderr
    assert done.stdout == ""


def test_many_from_a_csv(service: Any, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    (tmp_path / "one.wav").write_bytes((DATA / "umbrella.wav").read_bytes())
    listed.write_text(
        f"file,utterance,id\none.wav,please,a\n{DATA / 'umbrella.wav'},please now,b\nno.wav,please,\n", "utf-8"
    )
    done = run("--from-file", listed)
    assert done.exit_code == 1
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.get("id") for row in rows] == ["a", "b", None]
    assert [row["error"] and row["error"]["type"] for row in rows] == [None, None, "AudioReadError"]
    assert [(Path(row["source"]).name, row["index"]) for row in rows] == [
        ("one.wav", 0),
        ("umbrella.wav", 1),
        ("no.wav", 2),
    ]
    assert (rows[2]["text"], rows[2]["assessment"]) == (None, None)
    assert rows[1]["assessment"]["score"] == 81
    assert "weakest words" in done.stderr
    assert {request.params["utterance"] for request in service.requests} == {"please", "please now"}


def test_many_from_jsonl_on_standard_input(service: Any) -> None:
    row = json.dumps({"file": str(DATA / "umbrella.wav"), "utterance": "please"})
    done = run("--from-file", "-", text=f"{row}\n\n{row}\n")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_are_parted_as_spreadsheets_do_it(service: Any, mark: str) -> None:
    text = f'\n"file"{mark}utterance{mark}id\n{DATA / "no.wav"}{mark}"please{mark} now"{mark}7\n'
    done = run("--from-file", "-", text=text)
    row = json.loads(done.stdout)
    assert (row["source"], row["utterance"], row["id"]) == (str(DATA / "no.wav"), f"please{mark} now", "7")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("file,utterance\n", "no rows"),
        ("path,words\na,b\n", "its head line must name the columns file and utterance, each once; it has path, words"),
        ("file,utterance,file\na.wav,b,c.wav\n", "each once; it has file, utterance, file"),
        (
            "file,utterance\na.wav,Hello, how are you?\n",
            "row 1 has 3 cells for 2 columns: a sentence with ',' in it needs quotation marks around it",
        ),
        ('file,utterance\na.wav,"' + "x\n" * 70_000, "is a quotation mark never closed?"),
        ('{"file": ' + "[" * 100_000, "line 1 is not JSON"),
        ('[{"file": "a.wav", "utterance": "a"}]', "that is one list of JSON; give JSONL"),
        ('{"file": "a.wav", "utterance": "a \\ud800"}', "row 1 has half a letter in it"),
        ("file,utterance\na.wav,\n", "row 1 has no utterance"),
        ('{"file": "a.wav"}', "row 1 has no utterance"),
        ('{"file": ', "line 1 is not JSON"),
    ],
)
def test_a_list_that_is_none(text: str, words: str) -> None:
    done = run("--from-file", "-", text=text)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_as_spreadsheets_on_windows_write_it(service: Any, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(f"File \tUtterance\r\n{DATA / 'no.wav'}\t안녕\r\n\t\r\n".encode(encoding))
    rows = [json.loads(line) for line in run("--from-file", path, "--lang", "Kor").stdout.splitlines()]
    assert [(row["source"], row["utterance"]) for row in rows] == [(str(DATA / "no.wav"), "안녕")]


def test_a_list_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("file,utterance\na.wav,안녕\n".encode("cp949"))
    done = run("--from-file", path)
    words = f"--from-file {path}: it is not UTF-8 (byte 22 is 0xbe): save it as UTF-8, in a spreadsheet as 'CSV UTF-8'"
    assert (done.exit_code, done.stderr) == (2, f"clova-speech: {words}\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "https://example.com/a.wav?key=1",
            "https://example.com/a.wav is a URL, and URLs are not fetched: download it first",
        ),
        ("file:///a.wav", "file:///a.wav is a URL, no path: give the path alone, without file://"),
        ("no*.wav", "no*.wav: no file has such a name"),
        ("~/no.wav", "'~/no.wav': there is no such file; a shell expands ~, here it is not expanded: write the folder"),
    ],
)
def test_a_name_of_no_file(clova_speech_emulator: Any, name: str, words: str) -> None:
    done = run(name, "--utterance", "please")
    assert (done.exit_code, done.stderr) == (1, f"clova-speech: {words}\n")


def test_a_url_in_a_list_of_sentences(clova_speech_emulator: Any) -> None:
    done = run("--from-file", "-", text=json.dumps({"file": "https://example.com/a.wav?key=1", "utterance": "please"}))
    words = "https://example.com/a.wav is a URL, and URLs are not fetched: download it first"
    assert json.loads(done.stdout)["error"] == {"type": "AudioReadError", "message": words}
    assert "a URL, and URLs are not" in done.stderr


def test_a_quota_that_is_used_up_ends_a_list(clova_speech_emulator: Any) -> None:
    clova_speech_emulator.script(error("429/400"))
    row = json.dumps({"file": str(DATA / "umbrella.wav"), "utterance": "please"})
    done = run("--from-file", "-", "--concurrency", "1", text=f"{row}\n{row}\n")
    assert done.exit_code == 1
    assert "quota" in done.stderr.lower()
    assert len(clova_speech_emulator.requests) == 1


def test_a_name_that_is_not_utf_8_keeps_no_score_back(service: Any, tmp_path: Path) -> None:
    path = tmp_path / "x\udcff.wav"
    path.write_bytes((DATA / "umbrella.wav").read_bytes())
    done = run(path, "--utterance", "please", "--format", "json")
    assert (done.exit_code, json.loads(done.stdout)["assessment"]["score"]) == (0, 81)
    assert json.loads(done.stdout)["source"].endswith("/x\N{REPLACEMENT CHARACTER}.wav")


@pytest.fixture
def long(tmp_path: Path) -> Path:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(struct.pack("<hh", 8000, -8000) * 8_000 * 61)
    return path


def test_a_recording_that_is_too_long_is_told_what_a_command_can_do(clova_speech_emulator: Any, long: Path) -> None:
    done = run(long, "--utterance", "please")
    assert done.exit_code == 1
    assert "has more than the 60 seconds that can be assessed at once: cut it into sentences" in done.stderr
    assert "for its text alone: clova-speech transcribe" in done.stderr
    assert "transcribe()" not in done.stderr
    done = run("--from-file", "-", text=json.dumps({"file": str(long), "utterance": "please"}))
    assert done.exit_code == 1
    row = json.loads(done.stdout)
    assert row["error"]["type"] == "AudioTooLongError"
    assert "cut it into sentences" in row["error"]["message"]
    assert "transcribe()" not in done.stdout + done.stderr
    assert clova_speech_emulator.requests == ()


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("401/401", "set CLOVA_SPEECH_SECRET_KEY to the domain's secret key"),
        ("429/400", "raise the quota, or tick the API for the application, in the NAVER Cloud console"),
    ],
)
def test_what_stops_it_is_said_with_its_remedy(
    clova_speech_emulator: Any, many: bool, status: str, remedy: str
) -> None:
    clova_speech_emulator.script(error(status))
    row = json.dumps({"file": str(DATA / "umbrella.wav"), "utterance": "please"})
    one = [DATA / "umbrella.wav", "--utterance", "please"]
    options = ["--from-file", "-", "--concurrency", "1"] if many else one
    done = run(*options, text=f"{row}\n{row}\n")
    assert done.exit_code == 1
    assert done.stderr.count("To go on, ") == 1
    assert f"To go on, {remedy}, and run the same command again.\n" in done.stderr
    if many:
        first, second = map(json.loads, done.stdout.splitlines())
        assert first["error"]["message"].startswith(status)
        assert f"{first['error']['status']}/{first['error']['code']}" == status
        assert second["error"]["message"].startswith(f"not sent: {status}")
        assert "To go on" not in second["error"]["message"]


@pytest.mark.parametrize("many", [False, True])
def test_a_journal_that_is_none_is_wrong_usage(clova_speech_emulator: Any, tmp_path: Path, many: bool) -> None:
    (tmp_path / "text").write_text("text")
    row = json.dumps({"file": str(DATA / "umbrella.wav"), "utterance": "please"})
    what = ["--from-file", "-"] if many else [DATA / "umbrella.wav", "--utterance", "please"]
    for journal, words in (
        (tmp_path / "text", f"--journal: {tmp_path / 'text'} is not a journal"),
        (tmp_path, f"--journal {tmp_path}: that is a folder"),
        (tmp_path / "no" / "run.db", f"there is no folder {tmp_path / 'no'}"),
    ):
        done = run(*what, "--journal", journal, text=row)
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in done.stderr
    assert clova_speech_emulator.requests == ()


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
@pytest.mark.parametrize("many", [False, True])
def test_scores_that_standard_output_does_not_take_are_shown(service: Any, many: bool) -> None:
    row = json.dumps({"file": str(DATA / "umbrella.wav"), "utterance": "please"})
    one = [str(DATA / "umbrella.wav"), "--utterance", "please", "--format", "json"]
    options = ["--from-file", "-", "--concurrency", "1"] if many else one
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "clova_speech_async", "assess", *options],
            input=f"{row}\n{row}\n",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count("standard output does not take it: No space left on device") == 1
    assert done.stderr.count('"score":81') == len(service.requests) >= 1
    assert "Traceback" not in done.stderr
