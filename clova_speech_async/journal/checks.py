"""What callers may give a journal. Pure: a value in, the value as it is used out or an error naming the argument."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

__all__ = [
    "LARGEST",
    "check_bytes",
    "check_callable",
    "check_text",
    "entry_numbers",
    "unix_seconds",
]

LARGEST = 2**63 - 1
"""The largest number that SQLite keeps."""


def check_text(name: str, value: object) -> str:
    """A text as SQLite takes it: the name of a file need not be UTF-8, and must not keep a paid reply out."""
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}", argument=name)
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def check_bytes(name: str, value: object) -> bytes:
    """Bytes, and no number, of which `bytes` would make that many zeros."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ArgumentTypeError(f"{name} must be bytes, not {type(value).__name__}", argument=name)
    return bytes(value)


def check_callable(name: str, value: object) -> None:
    """What can be called, or None."""
    if value is not None and not callable(value):
        raise ArgumentTypeError(f"{name} must be callable, not {type(value).__name__}", argument=name)


def entry_numbers(given: Iterable[int]) -> list[int]:
    """Numbers of entries; without those that no entry can have."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ArgumentTypeError(
            f"numbers must be an iterable of entries' numbers, not {given!r:.80}; e.g. [3, 4]", argument="numbers"
        )
    wanted = list(given)
    for number in wanted:
        if isinstance(number, bool) or not isinstance(number, int):
            raise ArgumentTypeError(f"numbers must be whole numbers, but one is {number!r:.80}", argument="numbers")
    return [number for number in wanted if 0 < number <= LARGEST]


def unix_seconds(given: datetime) -> float:
    """A time with a time zone, as Unix seconds."""
    if not isinstance(given, datetime):
        raise ArgumentTypeError(f"before must be a datetime, not {given!r:.80}", argument="before")
    if given.tzinfo is None:
        raise InvalidArgumentError(
            f"before is {given!r}, which has no time zone; e.g. add tzinfo=timezone.utc", argument="before"
        )
    return given.timestamp()
