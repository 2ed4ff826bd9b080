"""A list of files and what was to be said in each: CSV or JSONL."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .common import fail_usage
from .inputs import shown
from .lists import read_text

__all__ = ["Sentence", "read_sentences"]

_COLUMNS = ("file", "utterance")


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
        text = read_text(name)
        rows = _json_rows(text) if text.lstrip().startswith(("{", "[")) else _csv_rows(text)
        folder = Path() if name == "-" else Path(name).parent
        sentences = [_sentence(number, row, folder) for number, row in enumerate(rows, 1)]
    except (OSError, ValueError) as error:
        fail_usage(f"--from-file {shown(name)}: {getattr(error, 'strerror', None) or error}")
    if not sentences:
        fail_usage(f"--from-file {shown(name)}: no rows in it; give a CSV with a head line file,utterance, or JSONL")
    return sentences


def _csv_rows(text: str) -> list[Any]:
    """Rows of a table whose columns are parted by commas, or, as spreadsheets write it in some countries, otherwise."""
    text = text.lstrip("\r\n")
    first = text.partition("\n")[0]
    parted = next((mark for mark in ",;\t" if {*_COLUMNS} <= {*_names(first, mark)}), ",")
    head, rows = _names(first, parted), []
    if text and any(head.count(column) != 1 for column in _COLUMNS):
        raise ValueError(f"its head line must name the columns file and utterance, each once; it has {', '.join(head)}")
    try:
        for number, cells in enumerate(filter(any, _cells(text, parted)[1:]), 1):
            if any(cells[len(head) :]):
                raise ValueError(
                    f"row {number} has {len(cells)} cells for {len(head)} columns: a sentence with {parted!r} in it "
                    "needs quotation marks around it"
                )
            rows.append(dict(zip(head, cells)))  # noqa: B905 - a row may end early
    except csv.Error as error:
        raise ValueError(f"it is no table that can be read: {error}; is a quotation mark never closed?") from error
    return rows


def _cells(text: str, mark: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))


def _names(line: str, mark: str) -> list[str]:
    return [cell.strip().lower() for row in _cells(line, mark) for cell in row]


def _json_rows(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        raise ValueError("that is one list of JSON; give JSONL, an object in each line (jq -c '.[]' makes it)")
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"line {number} is not JSON: {error}") from error
    return rows


def _sentence(number: int, row: Any, folder: Path) -> Sentence:
    values = {key: value for key, value in row.items() if value not in (None, "")} if isinstance(row, dict) else {}
    for column in _COLUMNS:
        if not isinstance(values.get(column), str):
            raise ValueError(f"row {number} has no {column}; it needs file and utterance, each of them a text")
    try:
        for value in values.values():
            str(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"row {number} has half a letter in it, {error.object[error.start]!r}") from error
    return Sentence(
        file=str(folder / values["file"]),
        utterance=values["utterance"],
        lang=values.get("lang"),
        id=None if values.get("id") is None else str(values["id"]),
    )
