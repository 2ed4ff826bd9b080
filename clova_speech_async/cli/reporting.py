"""``--report``: a line of JSON for each file as it ends.

Law of this file: lines go out one by one, each in one write, and half of one that a kill left behind is ended before
the next; it only ever grows, so that nothing in it is lost by a second run. A report that takes nothing more ends no
run: it is said once.
"""

from __future__ import annotations

import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from clova_speech_async.batch import Result
from clova_speech_async.errors import BatchStoppedError

from .about import words_for
from .common import say
from .inputs import readable, shown
from .plan import Job

__all__ = ["RunReport", "error_of", "row_of"]


class RunReport:
    """Writes rows to a file; blocks. As a context manager it closes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            size = os.lseek(self._file, 0, os.SEEK_END)
            if size and (os.lseek(self._file, size - 1, os.SEEK_SET), os.read(self._file, 1))[1] != b"\n":
                os.write(self._file, b"\n")  # half a line that a kill, or a full disk, left behind
        except OSError:
            pass  # a pipe: it has no end to look at

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
            self._file = None

    def write(self, row: dict[str, Any]) -> None:
        """Add a row."""
        line = msgspec.json.encode(row) + b"\n"
        with self._lock:
            if self._file is None:
                return
            try:
                while line:
                    line = line[os.write(self._file, line) :]
            except OSError as error:
                say(f"clova-speech: --report {shown(self._path)}: {error.strerror or error}", style="red")
                os.close(self._file)
                self._file = None


def row_of(
    job: Job,
    status: str = "",
    *,
    result: Result | None = None,
    error: Exception | None = None,
    output: Path | None = None,
) -> dict[str, Any]:
    """What became of a file, under the names that `Result.to_dict` and `Transcript.to_dict` have for it.

    `status`: where no `result` tells it.
    """
    error = error or (None if result is None else result.error)
    transcript = None if result is None else result.transcript
    if not status:
        status = "failed"
        if isinstance(error, BatchStoppedError):
            status = "unfinished"
        elif error is None and result is not None:
            status = "from_journal" if result.from_journal else "done"
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "index": job.number - 1,
        "source": readable(job.path),
        "status": status,
        "output": None if output is None else readable(output),
        "duration": None if transcript is None else round(transcript.duration, 3),
        "truncated": None if transcript is None else transcript.truncated,
        "lost_seconds": None if transcript is None else round(transcript.lost_seconds, 3),
        "tries": 0 if result is None else result.tries,
        "seconds": 0.0 if result is None else round(result.seconds, 3),
        "billed_seconds": 0 if result is None else result.billed_seconds,
        "maybe_billed_seconds": 0 if result is None else result.maybe_billed_seconds,
        "saved_seconds": 0 if result is None else result.saved_seconds,
        "error": None if error is None else error_of(error, words_for(job.path, error)),
    }


def error_of(error: Exception, message: str) -> dict[str, Any]:
    """An error as `Result.to_dict` has it, its `message` in the words of a command."""
    found: dict[str, Any] = {"type": type(error).__name__, "message": readable(message)}
    return found | {name: getattr(error, name) for name in ("status", "code") if hasattr(error, name)}
