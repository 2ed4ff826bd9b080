from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner, Result

from clova_speech_async.cli import app
from clova_speech_async.journal import Journal, journal_key

WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc).timestamp()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(
        app, ["journal", *map(str, arguments)], env={"COLUMNS": "160", "NO_COLOR": "1", "TZ": "UTC"}
    )


async def fill(path: Path, replies: list[bytes]) -> None:
    times = iter(WHEN + 86_400 * day for day in range(1000))
    async with Journal(path, clock=lambda: next(times)) as journal:
        for number, reply in enumerate(replies):
            key = journal_key(hashlib.sha256(b"%d" % number).digest(), "https://example.com/", "lang=Kor")
            async with journal.claim(key, lang="Kor", label=f"talk\x1b[31m{number}.wav") as claim:
                await claim.put(reply, billed_seconds=15 if number else None, seconds=2.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.db"
    replies = [
        '{"text": "안녕하세요\\u001b[31m", "quota": 15}'.encode(),
        b'{"text":"two","quota":15}',
        b"\xff not JSON",
    ]
    anyio.run(fill, path, replies)
    return path


def test_show_tells_the_sums_and_the_last_entries(path: Path) -> None:
    done = run("show", path)
    assert done.exit_code == 0
    first, second, head, *rows = done.stdout.splitlines()
    assert first.startswith("3 replies, 7.5 s of audio, 30 s billed, ")
    assert second.startswith("from 2026-03-01 ")
    assert head.split() == ["number", "when", "lang", "seconds", "billed", "label", "text"]
    assert len(rows) == 3
    assert "안녕하세요" in rows[0]
    assert "2.5" in rows[1]
    assert rows[1].rstrip().endswith("two")
    assert "not JSON" in rows[2]
    assert "\x1b" not in done.stdout


def test_show_fewer_or_none(path: Path) -> None:
    assert len(run("show", path, "--limit", 1).stdout.splitlines()) == 4
    assert len(run("show", path, "-n", 0).stdout.splitlines()) == 2


def test_show_an_empty_journal(tmp_path: Path) -> None:
    anyio.run(fill, tmp_path / "empty.db", [])
    anyio.run(fill, tmp_path / "one.db", [b'{"text":"a"}'])
    assert run("show", tmp_path / "one.db").stdout.startswith("1 reply, ")
    assert run("show", tmp_path / "empty.db").stdout.startswith("0 replies, 0.0 s of audio, 0 s billed")


def test_export_is_a_line_of_json_each(path: Path) -> None:
    done = run("export", path)
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert rows[0]["reply"] == {"text": "안녕하세요\x1b[31m", "quota": 15}
    assert rows[2]["reply"] == "\N{REPLACEMENT CHARACTER} not JSON"
    assert rows[1] | {"key": ""} == {
        "number": 2,
        "key": "",
        "when": "2026-03-02T12:00:00+00:00",
        "language": "Kor",
        "label": "talk\x1b[31m1.wav",
        "duration": 2.5,
        "billed_seconds": 15,
        "reply": {"text": "two", "quota": 15},
    }
    assert len(rows[1]["key"]) == 64


def test_forget_numbers_a_time_or_all(path: Path) -> None:
    done = run("forget", path, 2, 99)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "1 forgotten\n", "1 of the numbers is of no entry\n")
    assert run("forget", path, "--before", "2026-03-02").stdout == "1 forgotten\n"
    assert [json.loads(line)["number"] for line in run("export", path).stdout.splitlines()] == [3]
    assert run("forget", path, "--all").stdout == "1 forgotten\n"
    assert run("export", path).stdout == ""


@pytest.mark.parametrize("when", ["20200101000000", "20261128", "yesterday"])
def test_forget_before_what_is_no_time_forgets_nothing(path: Path, when: str) -> None:
    done = run("forget", path, "--before", when)
    assert done.exit_code == 2
    assert when in done.stderr
    assert done.exit_code in (0, 2)
    assert len(run("export", path).stdout.splitlines()) == 3


def test_forget_takes_no_number_that_no_entry_has(path: Path) -> None:
    done = run("forget", path, 0)
    assert done.exit_code == 2
    assert "Invalid value" in done.stderr
    assert len(run("export", path).stdout.splitlines()) == 3


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["--all", "--before", "2026-01-01"]])
def test_forget_wants_to_know_what(path: Path, arguments: list[str]) -> None:
    done = run("forget", path, *arguments)
    assert done.exit_code == 2
    assert "say what to forget: numbers, --before TIME or --all" in done.stderr
    assert len(run("export", path).stdout.splitlines()) == 3


def test_what_is_not_there_or_no_journal_says_so(tmp_path: Path) -> None:
    done = run("forget", tmp_path / "absent.db", "--all")
    assert (done.exit_code, (tmp_path / "absent.db").exists()) == (2, False)
    assert "there is no journal" in done.stderr
    done = run("show", tmp_path / "absent.db")
    assert (done.exit_code, (tmp_path / "absent.db").exists()) == (2, False)
    (tmp_path / "notes.txt").write_text("my notes")
    done = run("show", tmp_path / "notes.txt")
    assert done.exit_code == 2
    assert "is not a journal of this library" in done.stderr
    for name, words in (("", "'JOURNAL': it is empty"), (".", ". is a folder"), (tmp_path, "is a folder")):
        done = run("show", name)
        assert done.exit_code == 2
        assert words in done.stderr
