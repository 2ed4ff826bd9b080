"""How long a request may take."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from clova_speech_async.checks import check_seconds
from clova_speech_async.errors import ArgumentTypeError

__all__ = ["TIMED_TOGETHER", "Timeout"]

TIMED_TOGETHER = 256 * 1024
"""Bytes of an upload that one write time-out is for."""


@dataclass(frozen=True, kw_only=True)
class Timeout:
    """The time-outs of one request, in seconds; None waits for ever.

    Raises `InvalidArgumentError` for a value that is not above 0, `ArgumentTypeError` for one that is no number.
    """

    total: float | None = 600.0
    """The deadline over everything: waiting in line, all tries, all waits between them. In a batch, and for every piece
    of a recording but the first, it runs from when the request has its slot."""
    connect: float | None = 10.0
    """Finding the address, connecting and the TLS handshake."""
    write: float | None = 60.0
    """Handing over each 256 kB of the upload."""
    read: float | None = 120.0
    """From the last byte of the upload to the last byte of the reply."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                check_seconds(f"timeout: {field.name}", value, above=True, endless=True, remedy="; None waits for ever")

    @classmethod
    def of(cls, value: float | Timeout | None) -> Timeout:
        """Return the time-outs that a number (the deadline over everything), a `Timeout` or None (none at all) means.

        Raises `InvalidArgumentError` or `ArgumentTypeError` for anything else.
        """
        if isinstance(value, Timeout):
            return value
        if value is None:
            return cls(total=None, connect=None, write=None, read=None)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            kind = type(value)
            name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
            raise ArgumentTypeError(
                f"timeout must be seconds, a clova_speech_async.Timeout or None, not {name}", argument="timeout"
            )
        return cls(total=value)


def seconds(value: float | None) -> float:
    """Return a time-out as a number; infinite for None."""
    return math.inf if value is None else value
