"""Which files a person means: files, folders, patterns that the shell left alone, and lists. No audio is read here.

Law of this file: lazy, and in the same order every time, so that a second run names its outputs as the first did.
"""

from __future__ import annotations

import glob
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Source", "find_sources", "is_folder", "is_pattern", "read_list", "readable", "shown"]

_SPEECH = "aac ac3 aif aiff amr au caf flac m4a m4b mp2 mp3 oga ogg opus w64 wav wma"
_FILMS = "avi mka mkv mov mp4 mpeg mpg webm wmv"
_SUFFIXES = frozenset(f".{name}" for name in f"{_SPEECH} {_FILMS}".split())
"""What is taken from a folder. A file that is named is taken whatever it is called: its first bytes tell the format."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to transcribe."""

    path: Path
    relative: Path
    """Its name for the output: below the folder it was found in, else the file's name alone."""


def find_sources(names: Iterable[str]) -> Iterator[Source]:
    """Every file that `names` mean, each once, as they are found.

    A folder means the audio files in it and below it, by their suffix, hidden ones left out. A name with ``*``, ``?``
    or ``[`` that is no file is a pattern; ``**`` goes through folders. What is not there comes out as it is, so that
    the run reports it.
    """
    seen: set[str] = set()
    for name in names:
        for source in _meant(name):
            real = _real(source.path)
            if real not in seen:
                seen.add(real)
                yield source


def _meant(name: str) -> Iterator[Source]:
    path = Path(name)
    if is_folder(name):
        yield from _below(path)
    elif is_pattern(name):
        found = False
        for match in sorted(glob.iglob(name, recursive=True)):  # noqa: PTH207 - it takes absolute patterns, too
            found = True
            if Path(match).is_dir():
                continue
            yield Source(Path(match), Path(Path(match).name))
        if not found:
            yield Source(path, Path(path.name))
    else:
        yield Source(path, Path(path.name))


def is_folder(name: str) -> bool:
    """Whether `name` is a folder that may be looked into."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # a name that is too long, a folder above it that is closed, a zero byte
        return False


def is_pattern(name: str) -> bool:
    """Whether `name` stands for others: it has a wildcard, and no file is called so."""
    try:
        return glob.has_magic(name) and not Path(name).exists()
    except (OSError, ValueError):
        return False


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)  # nothing to be opened: that is for the run to find and to report


def _below(folder: Path) -> Iterator[Source]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in _SUFFIXES:
                path = Path(where, name)
                yield Source(path, path.relative_to(folder))


def read_list(name: str, *, ended: Callable[[], bool] = lambda: False) -> Iterator[str]:
    """The lines of a list of files, as they come; ``-`` is standard input. Empty lines are passed over.

    `ended` is asked while standard input has nothing to give: once it is true, so is the end of the list.
    """
    lines = _standard_input(ended) if name == "-" else _lines(Path(name))
    for line in lines:
        text = line.rstrip("\r\n")
        if text.strip():
            yield text


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding=sys.getfilesystemencoding(), errors="surrogateescape") as file:
        yield from file


def _standard_input(ended: Callable[[], bool]) -> Iterator[str]:
    """A thread that waits for a keyboard cannot be woken: so ask first whether there is something to read."""
    if os.name != "posix":
        yield from sys.stdin
        return
    number = sys.stdin.fileno()
    rest = b""
    while not ended():
        if not select.select([number], [], [], 0.2)[0]:
            continue
        data = os.read(number, 65536)
        if not data:
            if rest:
                yield os.fsdecode(rest)
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from map(os.fsdecode, lines)


def shown(name: object) -> str:
    """A file's name for people: no line break and no escape sequence in it reaches the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in readable(name))


def readable(name: object) -> str:
    """A file's name as text that can be written, as JSON for one: bytes in it that are no UTF-8 are replaced."""
    try:
        return os.fsencode(str(name)).decode("utf-8", "replace")
    except UnicodeEncodeError:  # half a letter, as only JSON can hold it
        return str(name).encode("utf-8", "replace").decode("utf-8")
