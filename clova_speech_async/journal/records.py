"""What the journal hands out: frozen records, no behaviour but reading the clock time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

__all__ = ["JournalEntry", "JournalOverview", "Row", "Stored"]


@dataclass(frozen=True)
class Stored:
    """A reply that is in the journal."""

    body: bytes
    """The service's reply, byte for byte."""
    billed_seconds: int | None
    """What the service billed, or None where its reply did not say."""
    seconds: float
    """Length of the audio that was sent."""
    stored_at: float
    """Unix seconds."""

    @property
    def when(self) -> datetime:
        """When it was stored (aware, UTC)."""
        return datetime.fromtimestamp(self.stored_at, tz=timezone.utc)


@dataclass(frozen=True)
class Row:
    """A reply on its way into the journal."""

    key: bytes
    lang: str
    label: str
    stored: Stored


@dataclass(frozen=True)
class JournalEntry:
    """One line of the journal, for people and for export."""

    number: int
    """Rises with time; what `Journal.forget` takes."""
    key: str
    """Hexadecimal."""
    lang: str
    label: str
    """What the caller named the audio, e.g. its file; empty where it had no name."""
    stored: Stored


@dataclass(frozen=True)
class JournalOverview:
    """What a journal holds in all."""

    replies: int
    seconds: float
    """Audio that was sent."""
    billed_seconds: int
    first: datetime | None
    """When the oldest reply was stored (aware, UTC); None where there is none."""
    last: datetime | None
    size: int
    """Bytes of the file, what is still in its write-ahead log included."""
    schema: int
