"""``clova-speech estimate``: what transcribing would take, without sending anything."""

from __future__ import annotations

import json
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from clova_speech_async.client import estimate as estimate_audio
from clova_speech_async.errors import ClovaSpeechError

from .common import ChannelsOption, about, fail_usage, run, say, table_console
from .inputs import readable, shown

__all__ = ["estimate"]

UNIT_SECONDS = 15
"""The service bills by 15 seconds."""


def estimate(
    files: Annotated[list[Path], typer.Argument(help="Speech files of any length and any common format.")],
    unit_price: Annotated[
        str | None,
        typer.Option(help="Price of 15 seconds, in any currency, e.g. 0.25: shows what the files would cost."),
    ] = None,
    channels: ChannelsOption = "mix",
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON a file, and one with the sum.")] = False,
) -> None:
    """Tell the duration, the requests and the billed seconds of FILES, without sending anything.

    Exit status: 0; 1 where a file cannot be read (the others still come out); 2 for wrong usage.
    """
    price = _price(unit_price)
    rows: list[dict[str, Any]] = []

    async def main() -> None:
        for path in files:
            try:
                found = await estimate_audio(path, channels=channels)
            except ClovaSpeechError as error:
                say(f"clova-speech: {about(path, error)}")
                continue
            row: dict[str, Any] = {
                "file": readable(path),
                "duration": round(found.duration, 3),
                "requests": found.requests,
                "billed_seconds": found.billed_seconds,
            }
            rows.append(row)

    run(main)
    total = {"file": "total"} | {
        name: round(sum(row[name] for row in rows), 3) for name in ("duration", "requests", "billed_seconds")
    }
    for row in [*rows, total]:
        if price is not None:
            row["cost"] = str(price * (row["billed_seconds"] // UNIT_SECONDS))
    (_print_json if as_json else _print_table)(rows, total)
    if len(rows) < len(files):
        raise typer.Exit(1)


def _price(text: str | None) -> Decimal | None:
    """Money is counted in decimals: a float would show 0.30000000000000004."""
    if text is None:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    if not (price.is_finite() and price >= 0):
        fail_usage(f"--unit-price: {text!r} is not a price; give a number such as 0.25")
    return price


def _print_json(rows: list[dict[str, Any]], total: dict[str, Any]) -> None:
    for row in [*rows, total]:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _print_table(rows: list[dict[str, Any]], total: dict[str, Any]) -> None:
    table = Table(show_footer=len(rows) != 1, box=None, pad_edge=False)
    names = {
        "file": "file",
        "duration": "seconds",
        "requests": "requests",
        "billed_seconds": "billed s",
        "cost": "cost",
    }
    for name, title in names.items():
        if name in total:
            left = name == "file"
            table.add_column(title, str(total[name]), justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(shown(row[name]) for name in names if name in row))
    table_console().print(table)
