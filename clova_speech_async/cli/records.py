"""What the outputs in a folder were made from: ``.clova-speech.jsonl`` beside them, which only grows.

Law of this file: a record is there before its output and says "about to"; a second one, with ``done``, follows it. So
whatever ends the process, an output is never taken for another recording's: it belongs to the record whose size and
time it has, else (edited by hand since, or copied) to the last one that is done, else to nobody. Every record begins
with a line break, so half a record that a kill left behind spoils none after it, and is no JSON itself. Several
processes may add to one file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import msgspec

__all__ = ["NAME", "Identity", "Record", "Records", "digest_of", "identify"]

NAME = ".clova-speech.jsonl"
MOST_HASHED = 1 << 28
"""Bytes of the largest recording whose content is remembered, too; larger ones are known by name, size and time."""


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A recording as it lies on the disk."""

    path: str
    """Absolute, links followed."""
    size: int = -1
    """-1 where nothing lies there that would be the same the next time: it is missing, a pipe, a device."""
    mtime_ns: int = -1


class Record(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One line: an output, the recording it was made from, and how the output looked when it was written."""

    output: str
    """Below the folder, with ``/`` on every system."""
    source: str
    size: int
    mtime_ns: int
    digest: str = ""
    """BLAKE2b (16 bytes, hexadecimal) of the recording; empty where it is not known."""
    output_size: int = -1
    output_mtime_ns: int = -1
    done: bool = False

    @property
    def looks(self) -> tuple[int, int]:
        """Size and time of the output."""
        return (self.output_size, self.output_mtime_ns)

    def names(self, source: Identity) -> bool:
        """Whether it was made from this very file: of this path, size and time."""
        same = (self.source, self.size, self.mtime_ns) == (source.path, source.size, source.mtime_ns)
        return same and source.size >= 0

    def is_of(self, source: Identity) -> bool:
        """Whether it was made from this recording: by its name, else by its content."""
        if self.names(source):
            return True
        return bool(self.digest) and self.size == source.size and self.digest == digest_of(source)


def identify(real: str) -> Identity:
    """The recording of this absolute path; blocks."""
    try:
        found = os.stat(real)  # noqa: PTH116 - a path of any bytes, and many of them
    except (OSError, ValueError):
        return Identity(real)
    return Identity(real, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else Identity(real)


def digest_of(source: Identity) -> str:
    """BLAKE2b of a recording's content; empty where that is not to be had, or it is not the recording any more."""
    if not 0 <= source.size <= MOST_HASHED:
        return ""
    found = hashlib.blake2b(digest_size=16)
    try:
        with open(source.path, "rb") as file:  # noqa: PTH123 - a path of any bytes
            while part := file.read(1 << 20):
                found.update(part)
            after = os.fstat(file.fileno())
    except (OSError, ValueError):
        return ""
    same = (after.st_size, after.st_mtime_ns) == (source.size, source.mtime_ns)
    return found.hexdigest() if same else ""


class Records:
    """The records of one folder, as many processes write them; blocks. `OSError` where they cannot be kept."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._read = 0
        """Bytes of the file that are known."""
        self._by_output: dict[str, list[Record] | Record] = {}
        self._by_source: dict[int, Record] = {}
        """By recording and form: the last output that was made of it."""
        self._seen = 0
        """Its size the last time; more than was read where its last record is not whole."""
        self._decoder = msgspec.json.Decoder(Record)
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise the `OSError` that adding a record would raise."""
        os.close(self._open())

    def owners(self, output: str, path: Path) -> list[Record]:
        """What the file that lies at `path`, an output of that name, was made from; empty where nobody knows.

        Several where recordings of one content share it; the last one that was recorded comes first.
        """
        known = self._by_output.get(output)
        records = known if isinstance(known, list) else [] if known is None else [known]
        try:
            found = path.stat()
        except (OSError, ValueError):
            return []
        looks = (found.st_size, found.st_mtime_ns)
        if not any(record.looks == looks for record in records):
            looks = next((record.looks for record in reversed(records) if record.done), looks)
        return [record for record in reversed(records) if record.looks == looks]

    def last_of(self, source: Identity, suffix: str) -> Record | None:
        """The last output that was made of the recording of this name, with this ending."""
        record = self._by_source.get(_key(source.path, suffix))
        return record if record is not None and record.source == source.path else None

    def add(self, record: Record) -> None:
        """Write one record."""
        line = b"\n" + _encode(record)
        number = self._open()
        try:
            while line:  # one write, but for a disk that is full or a kill
                line = line[os.write(number, line) :]
        finally:
            os.close(number)

    def refresh(self) -> None:
        """Read what was written since the last time, by this process and by others."""
        with self._lock:
            try:
                size = os.stat(self.path).st_size  # noqa: PTH116 - it is asked for each file
                if size == self._seen:
                    return
                with self.path.open("rb") as file:
                    file.seek(self._read)
                    while block := file.read(1 << 20):
                        self._take(block + file.readline())
                self._seen = size
            except FileNotFoundError:
                return

    def _take(self, block: bytes) -> None:
        *lines, last = block.split(b"\n")
        self._read += len(block) - len(last)
        for line in lines:
            self._learn(line)
        if self._learn(last):
            self._read += len(last)  # else somebody is writing it: it is read again

    def _learn(self, line: bytes) -> bool:
        record = self._decode(line)
        if record is None:
            return False
        known = self._by_output.get(record.output)
        records = known if isinstance(known, list) else [] if known is None else [known]
        if records and records[-1] == msgspec.structs.replace(record, done=False):
            records.pop()
        self._by_output[record.output] = [*records, record] if records else record
        self._by_source[_key(record.source, os.path.splitext(record.output)[1])] = record  # noqa: PTH122 - many of them
        return True

    def _decode(self, line: bytes) -> Record | None:
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError):
            pass
        try:
            return msgspec.convert(json.loads(line), Record)
        except (ValueError, RecursionError):
            return None

    def _open(self) -> int:
        # A link in its place might lead the records elsewhere, as it might the outputs.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            return os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(error.errno, f"{NAME} in it is a link") from error
            raise


def _key(source: str, suffix: str) -> int:
    """Of 64 bits: there may be many. Who finds something by it looks whether it is that."""
    return hash((source, suffix))


def _encode(record: Record) -> bytes:
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:  # a name of bytes that are no UTF-8, which this writes, and reads, as it is
        return json.dumps(msgspec.to_builtins(record)).encode()
