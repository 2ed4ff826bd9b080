"""What every command shares: options, the client it makes, and how it says what went wrong."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import anyio
import httpx
import typer
from rich.console import Console

from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.errors import (
    ClovaSpeechError,
    ConfigurationError,
    InvalidArgumentError,
    JournalError,
)
from clova_speech_async.journal import Journal
from clova_speech_async.journal.problems import is_at_the_moment

from .inputs import STANDARD_INPUT, is_folder, is_pattern, shown
from .lists import why_not_lines
from .remedies import in_words
from .signals import Signals, leave

__all__ = [
    "OutputLostError",
    "check_can_be_written",
    "check_journal",
    "check_list",
    "check_names",
    "check_no_folder",
    "check_standard_input",
    "fail_usage",
    "import_emulator",
    "make_client",
    "may_be_many",
    "run",
    "run_async",
    "say",
    "status_of_journal",
    "table_console",
    "usage_errors",
    "write_out",
]

T = TypeVar("T")
stderr = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class OutputLostError(Exception):
    """Standard output takes nothing more: its reader has gone (``| head``), or the disk is full."""


def write_out(text: str) -> None:
    """Write to standard output. After `OutputLostError` it is given up for good."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError, ValueError):  # what is left in its buffer would be tried again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputLostError(f"standard output does not take it: {error.strerror or error}") from error


def run_async(main: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run a coroutine; raises `KeyboardInterrupt` after Ctrl-C."""
    try:
        return anyio.run(main, *arguments)
    except BaseException as error:
        # Until Python 3.10 the cancellation comes out that a Ctrl-C was turned into.
        if type(error).__name__ == "CancelledError":
            raise KeyboardInterrupt from None
        raise


def run(main: Callable[..., Awaitable[T]], *arguments: object, heed: Heed | None = None) -> T:
    """Run the coroutine of a command; Ctrl-C ends it with exit status 130, and SIGTERM with 143.

    `heed`: how it ends in good order at the first signal; what it returns then is returned, and `heed` knows.
    """
    heed = Heed() if heed is None else heed
    signals = heed.signals
    try:
        result = run_async(lambda: _heeding(heed, main, arguments))
    except KeyboardInterrupt:
        say(f"clova-speech: stopped by {signals.name}")
        if signals.number is not None:
            leave(signals.status)
        raise typer.Exit(130) from None
    except OutputLostError as error:
        if not isinstance(error.__cause__, BrokenPipeError):  # who closed it knows
            say(f"clova-speech: {error}", style="red")
        raise typer.Exit(1) from None
    return result


class Heed:
    """What the first signal does to a command that is run: by default it ends it at once."""

    def __init__(self, *, grace: float = 0.0) -> None:
        self.grace = grace
        """Seconds that it has to end by itself; a second signal cancels it."""
        self.signals = Signals()
        self.stop: Callable[[], None] = lambda: None
        """Called at the first signal, in the event loop."""

    def leave_if_stopped(self) -> None:
        """End the process after a signal, with its exit status: the command has said all that it has to say."""
        if self.signals.number is not None:
            leave(self.signals.status)

    def react(self, count: int, scope: anyio.CancelScope) -> None:
        """Hear that a signal came, for the `count`th time."""
        if count > 1 or not self.grace:
            scope.cancel()
            return
        say("clova-speech: stopping; what is under way has a moment to end (Ctrl-C again: at once)")
        scope.deadline = anyio.current_time() + self.grace
        self.stop()


async def _heeding(heed: Heed, main: Callable[..., Awaitable[T]], arguments: tuple[object, ...]) -> T:
    with anyio.CancelScope() as scope:
        async with heed.signals.heeded(lambda count: heed.react(count, scope)):
            return await main(*arguments)
    raise KeyboardInterrupt  # it was cancelled


def table_console(*, to_stderr: bool = False) -> Console:
    """A console for tables: as wide as the terminal, and without end in a pipe, where folded lines escape a search."""
    console = Console(stderr=to_stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 10_000
    return console


def say(message: object, *, style: str | None = None) -> None:
    """Print to standard error, as plain text: no markup is read out of file names or of what a service said."""
    with suppress(OSError):  # a terminal that has hung up
        stderr.print(str(message), style=style, markup=False)


def fail_usage(message: str) -> NoReturn:
    """End the command as wrongly used: exit status 2."""
    say(f"clova-speech: {message}")
    raise typer.Exit(2)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn what a caller did wrong, before anything was sent, into exit status 2."""
    try:
        yield
    except (ConfigurationError, InvalidArgumentError, TypeError) as error:
        fail_usage(in_words(error))
    except ClovaSpeechError as error:
        say(f"clova-speech: {in_words(error)}")
        raise typer.Exit(1) from None


def check_no_folder(journal: Path | None) -> None:
    """End the command as wrongly used where the journal's name is that of a folder."""
    if journal is not None and is_folder(str(journal)):
        fail_usage(f"--journal {shown(journal)}: that is a folder; name a file in it, e.g. {shown(journal / 'run.db')}")


async def check_journal(path: Path | None) -> None:
    """End the command, before anything is sent, where there can be no journal at `path`: as wrongly used, unless the
    file is right, and cannot be used at the moment. Where there is none it is made.
    """
    if path is None:
        return
    try:
        async with Journal(path):
            pass
    except JournalError as error:
        say(f"clova-speech: --journal: {shown(error)}")
        raise typer.Exit(status_of_journal(error)) from None


def status_of_journal(error: JournalError) -> int:
    """The exit status where a journal cannot be opened: 2 where it is none, or none can be there."""
    return 1 if is_at_the_moment(error) else 2


def check_names(names: Iterable[str]) -> None:
    """End the command as wrongly used where a file has an empty name: that would be the folder we are in."""
    if "" in names:
        fail_usage("a file has an empty name; is a variable not set?")


def check_can_be_written(option: str, path: Path) -> None:
    """End the command as wrongly used where no file can be written at `path`."""
    try:
        if path.is_dir():
            what = "that is a folder, not a file"
        elif not path.parent.is_dir():
            what = f"there is no folder {shown(path.parent)}"
        elif not os.access(path if path.exists() else path.parent, os.W_OK):
            what = "it cannot be written: no permission"
        else:
            return
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
    fail_usage(f"{option} {shown(path)}: {what}")


def check_list(name: str | None, *, null: bool) -> None:
    """End the command as wrongly used where there is no list of that name; it may be a pipe, as ``<(find …)`` is."""
    if name is None or name == "-":
        return
    what, path = "", Path(name)
    try:
        if path.is_dir():
            what = "that is a folder, not a list"
        elif not path.exists():
            what = "there is no such file"
        elif path.is_file() and not null:
            what = why_not_lines(path)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
    if what:
        fail_usage(f"--from-file {shown(name)}: {what}")


def check_standard_input(names: list[str], from_file: str | None) -> None:
    """End the command as wrongly used where standard input is asked for two things, or nothing can come through it."""
    if STANDARD_INPUT not in names:
        return
    if from_file == "-":
        fail_usage("standard input cannot be both a recording ('-') and a list (--from-file -)")
    if sys.stdin is None or sys.stdin.closed:
        fail_usage("'-' takes the recording from standard input, which is closed")
    if sys.stdin.isatty():
        fail_usage("'-' takes the recording from standard input, which is a terminal: give it through a pipe")


def may_be_many(names: list[str], from_file: str | None) -> bool:
    """Whether these may mean more than one file."""
    return from_file is not None or len(names) != 1 or is_folder(names[0]) or is_pattern(names[0])


def import_emulator(what: str = "this command") -> Any:
    """The emulator's package, or exit status 2 where its extra is not installed."""
    try:
        emulator = importlib.import_module("clova_speech_async.emulator")
        emulator.Emulator  # noqa: B018 - its parts are imported when they are used
    except ImportError as error:
        fail_usage(f"{what} needs the extra 'emulator': pip install 'clova-speech-async[emulator]' ({error})")
    return emulator


@asynccontextmanager
async def make_client(*, emulator: bool, invoke_url: str | None, **options: Any) -> AsyncIterator[ClovaSpeechClient]:
    """A client of the service, or, with ``--emulator``, of one that runs in this process."""
    if not emulator:
        with usage_errors():
            client = ClovaSpeechClient(invoke_url=invoke_url, **options)
        async with client:
            yield client
        return
    emulated = import_emulator("--emulator").Emulator
    with emulated() as app:
        app.prepare()
        transport = httpx.ASGITransport(app=app)
        async with ClovaSpeechClient(
            "emulator", invoke_url="http://127.0.0.1", transport=transport, **options
        ) as client:
            yield client
