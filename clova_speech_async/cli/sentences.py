"""A list of files and what was to be said in each: CSV or JSONL."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .common import fail_usage

__all__ = ["Sentence", "read_sentences"]


@dataclass(frozen=True)
class Sentence:
    """One recording and what was to be said in it."""

    file: str
    utterance: str
    lang: str | None = None
    """None: the command's."""
    id: str | None = None


def read_sentences(name: str) -> list[Sentence]:
    """The sentences of a CSV or JSONL file, ``"-"`` for standard input; what is wrong with it ends the command.

    Relative paths in it are taken from the folder that the list lies in, or from the current one for standard input.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        fail_usage(f"--from-file {name}: {getattr(error, 'strerror', None) or error}")
    rows = _json_rows(name, text) if text.lstrip().startswith("{") else _csv_rows(text)
    folder = Path() if name == "-" else Path(name).parent
    sentences = [_sentence(name, number, row, folder) for number, row in enumerate(rows, 1)]
    if not sentences:
        fail_usage(f"--from-file {name}: no rows in it; give a CSV with a head line file,utterance, or JSONL")
    return sentences


def _csv_rows(text: str) -> list[Any]:
    """Rows of a table whose columns are parted by commas, or, as spreadsheets write it in some countries, otherwise."""
    text = text.lstrip("\r\n")
    head = text.partition("\n")[0]
    parted = next((mark for mark in ",;\t" if {"file", "utterance"} <= {*_cells(head, mark)}), ",")
    return list(csv.DictReader(io.StringIO(text), delimiter=parted))


def _cells(line: str, mark: str) -> list[str]:
    return [cell.strip() for row in csv.reader([line], delimiter=mark) for cell in row]


def _json_rows(name: str, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                fail_usage(f"--from-file {name}: line {number} is not JSON: {error}")
    return rows


def _sentence(name: str, number: int, row: Any, folder: Path) -> Sentence:
    values = {key: value for key, value in row.items() if value not in (None, "")} if isinstance(row, dict) else {}
    for column in ("file", "utterance"):
        if not isinstance(values.get(column), str):
            fail_usage(f"--from-file {name}: row {number} has no {column}; it needs the columns file and utterance")
    return Sentence(
        file=str(folder / values["file"]),
        utterance=values["utterance"],
        lang=values.get("lang"),
        id=None if values.get("id") is None else str(values["id"]),
    )
