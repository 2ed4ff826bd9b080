"""How the emulated service behaves under load, and what it was told to answer next.

Law of this file: pure. Time and random numbers come in as arguments; nothing here waits, sends or reads.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

from .contract import Row, row

Kind = Literal["reply", "error", "raw", "hang", "cut"]


@dataclass(frozen=True)
class Behaviour:
    """Latency, capacity and faults of the emulated service; replaced as a whole while it runs, by one assignment.

    Raises `ValueError` or `TypeError` naming the field for a value that cannot be.
    """

    latency: float = 0.0
    """Seconds from a request's arrival to its reply, at least."""
    latency_per_second: float = 0.0
    """Seconds added for each second of audio."""
    max_parallel: int | None = None
    """Requests worked on at once; one more is refused with `parallel_error`. None: no cap."""
    parallel_error: str = "429/410"
    """A row of the error table: ``"429/410"``, ``"429/420"``, ``"503/500"`` …"""
    requests_per_second: float | None = None
    """The rate of a token bucket; over it, `rate_error`. None: no rate limit."""
    burst: int = 1
    """How many requests that bucket holds when full."""
    rate_error: str = "429/420"
    quota_seconds: int | None = None
    """Billed seconds until every request is refused with 429/400, Quota Exceeded. None: endless."""
    retry_after: float | None = None
    """Seconds in the ``Retry-After`` header of every 429 and 503. None: no header."""
    failures: Mapping[str, float] = field(default_factory=dict)
    """The probability of each row at random, e.g. ``{"STT998": 0.01, "503/500": 0.05}``."""
    seed: int = 0
    """Of the random failures: the same seed and the same order of requests fail the same requests."""
    min_seconds: float = 0.0
    """Audio shorter than this, in seconds, is STT007; the service's own bound is unknown. No samples are so always."""

    def __post_init__(self) -> None:
        for name in ("latency", "latency_per_second", "min_seconds"):
            _number(name, getattr(self, name), minimum=0)
        for name in ("requests_per_second", "retry_after", "quota_seconds", "max_parallel"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), minimum=0, above=name == "requests_per_second")
        for name, least in (("max_parallel", 1), ("burst", 1), ("quota_seconds", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise TypeError(f"seed must be a whole number, not {self.seed!r}")
        row(self.parallel_error), row(self.rate_error)
        if not isinstance(self.failures, Mapping):
            raise TypeError(f"failures must map error codes to probabilities, not {self.failures!r}")
        for code, chance in self.failures.items():
            row(code)
            _number(f"failures[{code!r}]", chance, minimum=0)
        if sum(self.failures.values()) > 1 + 1e-9:
            raise ValueError(f"the probabilities in failures add up to {sum(self.failures.values())}, which is over 1")
        object.__setattr__(self, "failures", MappingProxyType(dict(self.failures)))

    def reply_after(self, audio_seconds: float) -> float:
        """Seconds from arrival to reply for audio of that length."""
        return self.latency + self.latency_per_second * audio_seconds

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"failures": dict(self.failures)}

    @classmethod
    def from_dict(cls, values: Any, base: Behaviour | None = None) -> Behaviour:
        """A behaviour of those fields; the others are those of ``base``, or the defaults."""
        if not isinstance(values, dict):
            raise TypeError(f"a behaviour is a JSON object of its fields, not {values!r}")
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"a behaviour has no field {', '.join(map(repr, unknown))}; it has {', '.join(sorted(known))}"
            )
        return cls(**((base.to_dict() if base is not None else {}) | values))


def _number(name: str, value: Any, *, minimum: float, above: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < minimum or (above and value == minimum):
        raise ValueError(f"{name} must be {'over' if above else 'at least'} {minimum}, not {value!r}")


class TokenBucket:
    """A rate limit: `take` says whether one more request is within it at that moment."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = float(burst), now

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        # A bucket filled by many small steps is a rounding error short of what one step would have given.
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True


class Dice:
    """Random failures by code, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def throw(self, failures: Mapping[str, float]) -> Row | None:
        point = self._random.random()
        for code, chance in failures.items():
            if point < chance:
                return row(code)
            point -= chance
        return None


@dataclass(frozen=True)
class Scripted:
    """What the emulator was told to answer one request with; made by `reply`, `error`, `raw`, `hang` and `cut`."""

    kind: Kind
    fields: Mapping[str, Any] = field(default_factory=dict)
    row: Row | None = None
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before it is sent."""


def reply(text: str | None = None, *, delay: float = 0.0, **fields: Any) -> Scripted:
    """A success with that text, or with any other field of the reply (``quota=30``, ``assessment_score=91`` …).

    The request is still held to the contract, and what is not named here is computed as ever.
    """
    if text is not None and not isinstance(text, str):
        raise TypeError(f"text must be a string, not {text!r}; an error is scripted by error({text!r})")
    _number("delay", delay, minimum=0)
    return Scripted("reply", fields=fields if text is None else {"text": text, **fields}, delay=delay)


def error(code: str | int, *, delay: float = 0.0, retry_after: float | str | None = None) -> Scripted:
    """An error of the table, by its code (``"STT998"``) or by status and code (``"429/400"``), whatever is sent."""
    _number("delay", delay, minimum=0)
    headers = {} if retry_after is None else {"Retry-After": _plain(retry_after)}
    return Scripted("error", row=row(code), headers=headers, delay=delay)


def raw(
    status: int, body: bytes | str = b"", *, headers: Mapping[str, str] | None = None, delay: float = 0.0
) -> Scripted:
    """Any status, body and headers at all: a proxy's HTML page, half a JSON, a success without its fields."""
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise ValueError(f"status must be a whole number from 200 to 599, not {status!r}")
    _number("delay", delay, minimum=0)
    data = body.encode() if isinstance(body, str) else bytes(body)
    return Scripted("raw", status=status, body=data, headers=dict(headers or {}), delay=delay)


def hang() -> Scripted:
    """No reply at all until the client goes away."""
    return Scripted("hang")


def cut(*, status: int | None = None, body: bytes | str = b"", delay: float = 0.0) -> Scripted:
    """The connection broken after the request was read: at once, or, with a status, after that head and body.

    The head announces one byte more than the body has. Only an emulator served over a socket can do this.
    """
    _number("delay", delay, minimum=0)
    data = body.encode() if isinstance(body, str) else bytes(body)
    return Scripted("cut", status=status or 0, body=data, delay=delay)


def _plain(seconds: float | str) -> str:
    if isinstance(seconds, str):
        return seconds
    return str(int(seconds)) if math.isfinite(seconds) and seconds == int(seconds) else str(seconds)
