"""The journals that a client opens itself, by their paths: each once, and closed when nobody needs it any more."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractAsyncContextManager

import anyio

from .errors import ArgumentTypeError, ClientClosedError, JournalError
from .journal import Journal
from .whole_file import path_of

__all__ = ["Journals"]

_log = logging.getLogger("clova_speech_async.journal")


class Journals:
    """Journals by path. One that a call still uses is closed by the last such call: its reply is paid for."""

    def __init__(self) -> None:
        self._by_path: dict[str, Journal] = {}
        self._users: dict[Journal, int] = {}
        self._closed = False

    def get(self, journal: Journal | str | os.PathLike[str] | None) -> Journal | None:
        """The journal itself, or the one at that path, opened at its first use; refused after `aclose`."""
        self.check_open()
        if journal is None or isinstance(journal, Journal):
            return journal
        if not isinstance(journal, (str, os.PathLike)):
            raise ArgumentTypeError(
                f"journal must be a path or a Journal, not {type(journal).__name__}", argument="journal"
            )
        path = str(path_of(journal, name="journal").absolute())
        if path not in self._by_path:
            self._by_path[path] = Journal(path)
        return self._by_path[path]

    def use(self, journal: Journal) -> AbstractAsyncContextManager[None]:
        """Keep `journal` open for as long as the block runs; none begins after `aclose`."""
        return _Use(self, journal)

    def _begin(self, journal: Journal) -> None:
        self.check_open()
        self._users[journal] = self._users.get(journal, 0) + 1

    async def _end(self, journal: Journal) -> None:
        self._users[journal] -= 1
        if not self._users[journal]:
            del self._users[journal]
            if self._closed:
                await self._close_unused()

    def check_open(self) -> None:
        """Raise `ClientClosedError` after `aclose`."""
        if self._closed:
            raise ClientClosedError("the client has been closed: make a new one, or send before it is closed")

    async def aclose(self) -> None:
        """Close those that no call uses, now, and the others at the ends of their calls."""
        self._closed = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        """Close all of them, also where one cannot be closed, or a cancellation comes.

        One that cannot be closed is said in the log only: every reply was in it before its caller saw it, or the caller
        has heard that it is not, and neither a reply nor an error that is on its way may be replaced by this.
        """
        cancelled: BaseException | None = None
        for path, journal in list(self._by_path.items()):
            if journal in self._users or self._by_path.pop(path, None) is None:
                continue
            try:
                await journal.aclose()
            except JournalError as error:
                _log.warning("the replies that were acknowledged are safe, but: %s", error)
            except anyio.get_cancelled_exc_class() as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled


class _Use:
    """A call's use of a journal. No generator: every request with a journal has one, and those cost several times as
    much."""

    __slots__ = ("_journal", "_journals")

    def __init__(self, journals: Journals, journal: Journal) -> None:
        self._journals = journals
        self._journal = journal

    async def __aenter__(self) -> None:
        self._journals._begin(self._journal)

    async def __aexit__(self, *_: object) -> None:
        await self._journals._end(self._journal)
