"""What is not read, or not done, counted, and told at the end: of many of a kind only the first are named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .common import say
from .inputs import shown

__all__ = ["NAMED", "Few", "LeftOut"]

NAMED = 3
"""Files that are named where there are many of a kind."""
_ENDINGS = 6
"""Endings that are named."""


class Few:
    """Counts things of a kind, and keeps the names of the first."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, name: str) -> bool:
        """Count one more; whether it is one of the first."""
        self.count += 1
        if self.count <= NAMED:
            self._first.append(name)
        return self.count <= NAMED

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        more = self.count - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")


class LeftOut:
    """What was found in folders and by patterns, and is not read."""

    def __init__(self) -> None:
        self._no_files = Few()
        self._endings: Counter[str] = Counter()

    def no_file(self, path: Path, what: str) -> None:
        """Count what is no file."""
        self._no_files.add(f"{shown(path)} ({what})")

    def not_audio(self, path: Path) -> None:
        """Count a file that by its ending is no audio."""
        self._endings[shown(path.suffix.lower()) or "none"] += 1

    def say(self) -> None:
        """Tell it, a line for each kind."""
        if self._no_files:
            say(f"{self._no_files.count} left out, since nobody named them and they are no files: {self._no_files}")
        if self._endings:
            say(f"{self._told_endings()}; name such a file, or give a pattern, and it is read")

    def _told_endings(self) -> str:
        endings = self._endings.copy()  # they may still be looked for
        count, first = endings.total(), endings.most_common(_ENDINGS)
        told = ", ".join(f"{ending} ({times})" for ending, times in first)
        rest = count - sum(times for _, times in first)
        files = "1 file in folders was" if count == 1 else f"{count} files in folders were"
        return f"{files} passed over for the ending: {told}{f' and {rest} more' if rest else ''}"
