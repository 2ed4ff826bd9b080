"""Where a transcript is written: one file for each input, never outside the folder, never over what is not ours.

Law of this file: a name is planned before the first request, so that nothing is paid for that cannot be written; and
a file is there whole or not at all, also after a power cut.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from itertools import chain
from pathlib import Path

from .inputs import Source

__all__ = ["OutputPlan", "OutputTakenError", "prepare", "publish", "publish_partial"]


class OutputTakenError(Exception):
    """The file of a transcript cannot be named or written; the message says why."""


class OutputPlan:
    """Names the outputs of one run. The same inputs in the same order have the same names in every run."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._root = Path(os.path.realpath(folder))
        self._suffix = suffix
        self._taken: set[str] = set()

    def assign(self, source: Source) -> Path:
        """The output of `source`: its own name with the suffix, else one that no other input of the run has.

        Raises `OutputTakenError` where it would lie outside the folder, or be the input itself.
        """
        relative = source.relative
        bare = relative.name[: len(relative.name) - len(relative.suffix)]
        stem = relative.with_name(bare) if bare.strip(".") else relative
        numbered = (stem.with_name(f"{stem.name}-{number}") for number in range(2, 10_000))
        for candidate in chain((stem, relative), numbered):
            path = self._folder / candidate.with_name(candidate.name + self._suffix)
            if self._take(path):
                self._check(path, source)
                return path
        raise OutputTakenError(f"{source.path}: there are 10,000 files of the name {stem.name} already")

    def _take(self, path: Path) -> bool:
        # Some file systems take A.txt and a.txt for the same file.
        folded = str(path).casefold()
        if folded in self._taken:
            return False
        self._taken.add(folded)
        return True

    def _check(self, path: Path, source: Source) -> None:
        try:
            real = Path(os.path.realpath(path))
        except ValueError as error:
            raise OutputTakenError(f"{source.path}: no file can have that name: {error}") from error
        if not real.is_relative_to(self._root) or real == self._root:
            raise OutputTakenError(f"{source.path}: its output {path} would be written outside {self._folder}")
        if real == Path(os.path.realpath(source.path)):
            raise OutputTakenError(f"{source.path}: its output would be the file itself")


def prepare(folder: Path) -> None:
    """Make `folder`, and raise the `OSError` that writing into it would raise, before anything is paid for."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        trial.touch(exist_ok=False)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)


def publish(path: Path, text: str, *, force: bool) -> None:
    """Write `text` to `path`, whole or not at all; blocks.

    Raises `OutputTakenError` where something is there, unless `force`, and any other `OSError` as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(text.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        if force:
            beside.replace(path)
        else:
            _put_in_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def publish_partial(path: Path, text: str) -> Path:
    """Write a part of what would have been in `path` beside it, and return where; blocks.

    The name ends in ``.partial``, so it is no output's, and no later run takes it for one. Nothing is written over: an
    earlier part may hold more. Raises as `publish` does.
    """
    for ending in chain(("",), (f"-{number}" for number in range(2, 10_000))):
        beside = path.with_name(f"{path.name}.partial{ending}")
        if not os.path.lexists(beside):
            publish(beside, text, force=False)
            return beside
    raise OutputTakenError(f"{path.name}.partial is there already, as are 10,000 others")


def _put_in_place(beside: Path, path: Path) -> None:
    """Rename, unless something is there: a hard link is the one step that does both at once."""
    with contextlib.suppress(OSError):
        path.hardlink_to(beside)
        return
    if os.path.lexists(path):
        raise OutputTakenError(f"{path} is there already; --force writes over it")
    beside.replace(path)  # a file system without hard links
