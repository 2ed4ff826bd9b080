from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clova_speech_async.cli import app

DATA = Path(__file__).parents[1] / "data"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)], env={"COLUMNS": "100"})


def test_a_table_with_the_sum() -> None:
    done = run(DATA / "umbrella.wav", DATA / "story.ogg", "--unit-price", "0.1")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][-5:] == ["seconds", "requests", "billed", "s", "cost"]
    assert lines[-1] == ["total", "74.895", "3", "90", "0.6"]


def test_as_json_and_without_a_price() -> None:
    done = run(DATA / "umbrella.wav", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["billed_seconds"] for row in rows] == [15, 15]
    assert rows[1]["file"] == "total"
    assert "cost" not in rows[0]


def test_money_is_counted_in_decimals() -> None:
    done = run(*[DATA / "umbrella.wav"] * 3, "--unit-price", "0.1", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["cost"] == "0.3"


def test_a_file_that_cannot_be_read_is_named_and_the_others_come_out(tmp_path: Path) -> None:
    done = run(tmp_path / "no.wav", DATA / "umbrella.wav", "--json")
    assert done.exit_code == 1
    assert "no.wav" in done.stderr
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("price", ["free", "nan", "inf", "-1", ""])
def test_a_price_that_is_none(price: str) -> None:
    done = run(DATA / "umbrella.wav", "--unit-price", price)
    assert done.exit_code == 2
    assert f"{price!r} is not a price" in done.stderr
