"""What an emulator was sent: a bounded record a request, and the sums of all of them.

Law of this file: thread-safe and blocking-free, because an emulator runs in one thread and is asked from another.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

_SECRET = ("x-clovaspeech-api-key", "x-ncp-apigw-api-key", "x-ncp-apigw-api-key-id", "authorization")


@dataclass(frozen=True)
class RequestRecord:
    """One request the emulator was sent, and what it answered."""

    number: int
    """1 for the first since the emulator was made or reset."""
    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """Lower-case names; without the keys."""
    body_size: int = 0
    """Bytes that were read."""
    sha256: str = ""
    """Of the body, in hexadecimal; of as much as was read where the request was refused early."""
    status: int | None = None
    """HTTP status of the reply; None where there was none: the client went away, or the connection was cut."""
    code: str | None = None
    """The reply's error code, or None."""
    audio_seconds: float | None = None
    """Length of the audio, or None where it was not looked at."""
    billed_seconds: int = 0
    parallel: int = 1
    """Requests under way when this one came, itself included."""
    started: float = 0.0
    """Seconds on the event loop's clock."""
    ended: float | None = None

    def __repr__(self) -> str:
        answer = f"{self.status}/{self.code}" if self.code else str(self.status)
        return f"RequestRecord({self.number}, {self.method} {self.path} {dict(self.params)} -> {answer})"


@dataclass(frozen=True)
class EmulatorStats:
    """The sums over every request since the emulator was made or reset."""

    requests: int = 0
    in_parallel: int = 0
    """Requests under way now."""
    peak_parallel: int = 0
    """The most requests ever under way at once, refused ones not counted."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """Replies by HTTP status."""
    codes: Mapping[str, int] = field(default_factory=dict)
    """Error replies by ``"status/code"``."""
    abandoned: int = 0
    """Requests that ended without a reply."""
    audio_seconds: float = 0.0
    billed_seconds: int = 0
    scripted_left: int = 0
    """Scripted replies not used yet."""


class Ledger:
    """Records and sums, kept by the emulator as requests come and go."""

    def __init__(self, keep: int) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque(maxlen=keep)
        self._clear()

    def _clear(self) -> None:
        self._records.clear()
        self._statuses: Counter[int] = Counter()
        self._codes: Counter[str] = Counter()
        self._count = self._abandoned = self._billed = self._peak = 0
        self._seconds = 0.0

    def reset(self) -> None:
        """Forget every record and sum; requests under way stay counted as under way."""
        with self._lock:
            self._clear()

    def arrive(
        self, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], at: float
    ) -> RequestRecord:
        """The record of a request that has just come."""
        shown = {name: value for name, value in headers.items() if name not in _SECRET}
        with self._lock:
            self._count += 1
            return RequestRecord(self._count, method, path, dict(params), shown, started=at)

    def work(self, in_parallel: int) -> None:
        """So many requests are being worked on now."""
        with self._lock:
            self._peak = max(self._peak, in_parallel)

    @property
    def billed_seconds(self) -> int:
        return self._billed

    def bill(self, seconds: int, quota: int | None) -> bool:
        """Add to the bill, unless that would go over the quota; whether it was added."""
        with self._lock:
            if quota is not None and self._billed + seconds > quota:
                return False
            self._billed += seconds
            return True

    def leave(self, record: RequestRecord, at: float) -> None:
        """Keep the record of a request that has been answered, or has gone."""
        with self._lock:
            self._records.append(replace(record, ended=at))
            if record.status is None:
                self._abandoned += 1
            else:
                self._statuses[record.status] += 1
            if record.code is not None:
                self._codes[f"{record.status}/{record.code}"] += 1
            self._seconds += record.audio_seconds or 0.0

    def records(self) -> tuple[RequestRecord, ...]:
        with self._lock:
            return tuple(self._records)

    def stats(self, in_parallel: int, scripted_left: int) -> EmulatorStats:
        with self._lock:
            return EmulatorStats(
                requests=self._count,
                in_parallel=in_parallel,
                peak_parallel=self._peak,
                statuses=dict(self._statuses),
                codes=dict(self._codes),
                abandoned=self._abandoned,
                audio_seconds=self._seconds,
                billed_seconds=self._billed,
                scripted_left=scripted_left,
            )
