"""Where a transcript is written: one file for each input, never outside the folder, never over what is not ours.

Law of this file: a name is planned before the first request, so that nothing is paid for that cannot be written; what
is there is passed over only where `records` knows that it was made from this very recording; and a file is there whole
or not at all, also after a power cut.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import msgspec

from clova_speech_async.whole_file import write_whole

from .inputs import Source
from .records import Identity, Record, Records, digest_of, identify

__all__ = ["OutputTakenError", "Outputs", "Place", "prepare", "publish", "publish_partial", "remove_partials"]


class OutputTakenError(Exception):
    """The file of a transcript cannot be named or written; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """The output of one recording."""

    path: Path
    source: Source
    identity: Identity
    there: bool = False
    """It is there already, and was made from this very recording."""
    aside: Literal["unknown", "changed"] | None = None
    """Why it has not the first name that it might have: nobody knows what the file of that name was made from, or it
    was made from this recording before it was changed."""
    instead_of: Path | None = None
    """That name."""


class Outputs:
    """Names and writes the outputs of a run; blocks.

    `force`: outputs of the same recordings, and those that no record knows, are written over. `adopt`: those that no
    record knows are taken for outputs of the recordings that have their names.
    """

    def __init__(self, folder: Path, suffix: str, *, force: bool = False, adopt: bool = False) -> None:
        self._folder = folder
        self._root = Path(os.path.realpath(folder))
        self._suffix = suffix
        self._force = force
        self._adopt = adopt
        self._records = Records(folder)
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}
        """By name: the last number behind it that was taken."""
        self._lock = threading.Lock()

    def assign(self, source: Source) -> Place:
        """The output of `source`: the one it has already, else its own name with the suffix, where that is free.

        Raises `OutputTakenError` where it would lie outside the folder, or be the input itself.
        """
        self._records.refresh()
        identity = identify(source.real or _real(source.path))
        aside: tuple[Literal["unknown", "changed"], Path] | None = None
        for path in self._candidates(source, identity):
            if self._is_taken(path):
                continue
            look = self._look(path, identity)
            if look != "own":
                self._check(path, source, identity)
            if look in ("unknown", "changed") and aside is None:
                aside = (look, path)
            if look in ("free", "own") and self._take(path):
                reason, name = aside or (None, None)
                return Place(path, source, identity, look == "own", reason, name)
        raise AssertionError("there is no end of numbers")

    def publish(self, place: Place, text: str) -> Path:
        """Write a transcript, whole or not at all; returns where: another name, where that one was taken meanwhile."""
        digest = digest_of(place.identity)
        while not place.there:
            claim = _Claim(self._records, self._record(place.path, place.identity, digest))
            try:
                publish(place.path, text, force=self._force, before=claim.make)
            except OutputTakenError:  # in the meantime, by another process
                self._release(place.path)
                place = self.assign(place.source)
                continue
            claim.confirm()
            break
        return place.path

    # --- names -------------------------------------------------------------------------------

    def _candidates(self, source: Source, identity: Identity) -> Iterator[Path]:
        last = self._records.last_of(identity, self._suffix)
        if last is not None and (last.is_of(identity) or (self._force and last.source == identity.path)):
            yield self._folder / last.output
        relative = source.relative
        bare = relative.name[: len(relative.name) - len(relative.suffix)]
        stem = relative.with_name(bare) if bare.strip(".") else relative
        for name in chain((stem, relative), self._numbered(stem)):
            yield self._folder / name.with_name(name.name + self._suffix)

    def _numbered(self, stem: Path) -> Iterator[Path]:
        while True:
            with self._lock:
                number = self._numbers[str(stem)] = self._numbers.get(str(stem), 1) + 1
            yield stem.with_name(f"{stem.name}-{number}")

    def _is_taken(self, path: Path) -> bool:
        return _folded(path) in self._taken

    def _take(self, path: Path) -> bool:
        with self._lock:
            if _folded(path) in self._taken:
                return False
            self._taken.add(_folded(path))
            return True

    def _release(self, path: Path) -> None:
        with self._lock:
            self._taken.discard(_folded(path))

    def _check(self, path: Path, source: Source, identity: Identity) -> None:
        try:
            real = Path(os.path.realpath(path))
        except ValueError as error:
            raise OutputTakenError(f"{source.path}: no file can have that name: {error}") from error
        if not real.is_relative_to(self._root) or real == self._root:
            raise OutputTakenError(f"{source.path}: its output {path} would be written outside {self._folder}")
        if real == Path(identity.path):
            raise OutputTakenError(f"{source.path}: its output would be the file itself")

    # --- what is there -----------------------------------------------------------------------

    def _look(self, path: Path, identity: Identity) -> Literal["free", "own", "unknown", "changed", "another"]:
        if not os.path.lexists(path):
            return "free"
        owners = self._records.owners(self._name(path), path)
        if any(owner.names(identity) for owner in owners):
            return "free" if self._force else "own"
        if not owners:
            if self._force:
                return "free"
            if not self._adopt or identity.size < 0:
                return "unknown"
            self._note(path, identity, digest_of(identity))
            return "own"
        if owners[0].is_of(identity):
            if not self._force:
                self._note(path, identity, owners[0].digest)  # so that its content need not be compared the next time
            return "free" if self._force else "own"
        if all(owner.source != identity.path for owner in owners):
            return "another"
        return "free" if self._force and len(owners) == 1 else "changed"

    def _note(self, path: Path, identity: Identity, digest: str) -> None:
        """Record what an output was made from that is there already."""
        with contextlib.suppress(OSError):  # then it is found out anew the next time
            claim = _Claim(self._records, self._record(path, identity, digest))
            claim.make(path.stat())
            claim.confirm()

    def _record(self, path: Path, identity: Identity, digest: str) -> Record:
        return Record(self._name(path), identity.path, identity.size, identity.mtime_ns, digest)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


class _Claim:
    """The two records of an output: right before it is there, and right after."""

    def __init__(self, records: Records, record: Record) -> None:
        self._records = records
        self._record = record

    def make(self, found: os.stat_result) -> None:
        """Say that a file that looks so is about to be this output."""
        self._record = msgspec.structs.replace(
            self._record, output_size=found.st_size, output_mtime_ns=found.st_mtime_ns
        )
        self._records.add(self._record)

    def confirm(self) -> None:
        """Say that it is."""
        with contextlib.suppress(OSError):  # it is there, and as it was announced
            self._records.add(msgspec.structs.replace(self._record, done=True))


def _folded(path: Path) -> str:
    """The same for names that some file systems take for the same, such as A.txt and a.txt."""
    return str(path).casefold()


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def prepare(folder: Path) -> None:
    """Make `folder`, and raise the `OSError` that writing into it would raise, before anything is paid for."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        trial.touch(exist_ok=False)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink(missing_ok=True)
    Records(folder).check()


def publish(path: Path, text: str, *, force: bool, before: Callable[[os.stat_result], None] | None = None) -> None:
    """Write `text` to `path`, whole or not at all; blocks.

    `before`: called with how the file will look, right before it is there. Raises `OutputTakenError` where something is
    there, unless `force`, and any other `OSError` as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_whole(path, text.encode("utf-8", "replace"), overwrite=force, follow=False, before=before)
    except FileExistsError as error:
        raise OutputTakenError(f"{path} is there already; --force writes over it") from error


def publish_partial(path: Path, text: str) -> Path:
    """Write a part of what would have been in `path` beside it, and return where; blocks.

    The name ends in ``.partial``, so it is no output's, and no later run takes it for one. Nothing is written over: an
    earlier part may hold more. Raises as `publish` does.
    """
    for beside in _partials(path):
        if not os.path.lexists(beside):
            publish(beside, text, force=False)
            return beside
    raise OutputTakenError(f"{path.name}.partial is there already, as are 10,000 others")


def remove_partials(path: Path) -> None:
    """Remove the parts that earlier runs gave, now that all is in `path`; blocks. One that cannot be removed stays."""
    with contextlib.suppress(OSError):
        for beside in _partials(path):
            beside.unlink()


def _partials(path: Path) -> Iterator[Path]:
    for ending in chain(("",), (f"-{number}" for number in range(2, 10_000))):
        yield path.with_name(f"{path.name}.partial{ending}")
