"""What a person asked ``transcribe`` for, checked: frozen, and known before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .outputs import Place

__all__ = ["Job", "Plan"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a person asked for."""

    names: tuple[str, ...]
    from_file: str | None = None
    null: bool = False
    """Names in lists end in zero bytes."""
    format: str = "txt"
    output_dir: Path | None = None
    force: bool = False
    adopt: bool = False
    failures: Path | None = None
    report: Path | None = None
    journal: Path | None = None
    raw: Any = None
    """A `Raw` where the files are samples without a header."""
    many: bool = False
    """Whether it may be more than one file."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file and its output; the `id` of its item."""

    path: Path
    number: int
    """Its place among the files of the run, counted from 1."""
    place: Place | None = None

    @property
    def output(self) -> Path | None:
        """Where its transcript is to be written; None: to standard output."""
        return None if self.place is None else self.place.path

    def __str__(self) -> str:
        return str(self.path)
