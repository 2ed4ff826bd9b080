"""Lists of files, one in a line or before a zero byte, and what else is read of text that a person wrote.

Law of this file: such text comes from every kind of editor. It is UTF-8, with or without a mark at its beginning, or
UTF-16 with one, as Windows writes it; what is neither is told, for no guess at an encoding is sure. But for names of
files in lists: those are bytes, and go to the system as they are.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from .inputs import STANDARD_INPUT

__all__ = ["fits_a_line", "listed", "looks_like_list", "read_list", "read_text", "why_not_lines"]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKS = (codecs.BOM_UTF8, *_UTF_16)
_NO_TEXT = (b"{", b"SQLite format 3", b"RIFF", b"WEBVTT")


def listed(name: str) -> str:
    """A name out of a list, as a person would name it at the command: ``-`` in it is a file, not standard input."""
    return f"./{name}" if name == STANDARD_INPUT else name


def fits_a_line(name: str) -> bool:
    """Whether a list of a name in a line gives it back as it is, wherever in the list it stands."""
    if "\n" in name or name.endswith("\r") or not name.strip():
        return False
    return not os.fsencode(name).startswith(_MARKS)


def looks_like_list(path: Path, *, null: bool) -> bool:
    """Whether a file may be a list of names: it is empty, or text, and neither JSON nor a subtitle file."""
    head = _head(path)
    if head.startswith(_NO_TEXT):
        return False
    if head.startswith(_UTF_16):
        return _is_text(head)
    text = head.replace(b"\0", b"\n") if null else head
    # Latin or Korean names may be in any encoding; control characters are in no text.
    return not any(byte < 32 and byte not in b"\t\n\r" for byte in text)


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-16")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\t\n\r" for letter in text)


def why_not_lines(path: Path) -> str:
    """Why a file is no list of a name in a line, as its beginning tells; empty where it may be one."""
    head = _head(path)
    if b"\0" not in head or head.startswith(_UTF_16):
        return ""
    if not looks_like_list(path, null=True):
        return "that is no list of files"
    # With line breaks it may be a line that is wrong, which is that name's failure.
    return "" if b"\n" in head else "its names end in zero bytes: give --null, too"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def read_list(name: str, *, null: bool = False, ended: Callable[[], bool] = lambda: False) -> Iterator[str]:
    """The names in a list of files, as they come; ``-`` is standard input. Empty ones are passed over.

    `null`: each ends in a zero byte, as ``find -print0`` writes them, and may have line breaks; else in a line break.
    `ended` is asked while standard input has nothing to give: once it is true, so is the end of the list.
    """
    blocks = _standard_input(ended) if name == "-" else _blocks(Path(name))
    for entry in _split(blocks if null else _in_utf_8(blocks), b"\0" if null else b"\n"):
        text = os.fsdecode(entry if null else entry.rstrip(b"\r"))
        if text if null else text.strip():
            yield text


def _split(blocks: Iterator[bytes], end: bytes) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(end)
        yield from whole
    if rest:
        yield rest


def _in_utf_8(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same without the mark at the beginning; where that is the one of UTF-16, in UTF-8."""
    head = b""
    for block in blocks:
        head += block
        if not any(mark.startswith(head) for mark in _MARKS):  # else it may go on as one
            break
    if head.startswith(_UTF_16):
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield decoder.decode(head).encode("utf-8", "replace")
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "replace")
        return
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from blocks


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:  # a pipe is read as it comes
        while block := file.read(65536):
            yield block


def _standard_input(ended: Callable[[], bool]) -> Iterator[bytes]:
    """A thread that waits for a keyboard cannot be woken: so ask first whether there is something to read."""
    number = sys.stdin.fileno()
    while not ended():
        if os.name == "posix" and not select.select([number], [], [], 0.2)[0]:
            continue
        block = os.read(number, 65536)
        if not block:
            return
        yield block


def read_text(name: str) -> str:
    """The whole text of a file, ``-`` for standard input; blocks. `ValueError` where it is no text that is known."""
    if name == "-" and sys.stdin is None:
        raise ValueError("standard input is closed")
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        return data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"it is not UTF-8 (byte {error.start + 1} is 0x{data[error.start]:02x}): save it as UTF-8, in a "
            "spreadsheet as 'CSV UTF-8'"
        ) from error
