"""What every command shares: options, the client it makes, and how it says what went wrong."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import anyio
import httpx
import typer
from rich.console import Console

from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.errors import ClovaSpeechError, ConfigurationError, InvalidArgumentError
from clova_speech_async.models import Language

from .inputs import shown

__all__ = [
    "ChannelsOption",
    "EmulatorOption",
    "InvokeURLOption",
    "LangOption",
    "about",
    "fail_usage",
    "import_emulator",
    "make_client",
    "parse_language",
    "run",
    "say",
    "table_console",
    "usage_errors",
]

T = TypeVar("T")
stderr = Console(stderr=True, highlight=False, soft_wrap=True)

LangOption = Annotated[
    str, typer.Option("--lang", "-l", help="Kor, Eng, Jpn or Chn; ISO codes such as ko-KR are taken, too.")
]
EmulatorOption = Annotated[
    bool,
    typer.Option("--emulator", help="Run against an emulator of the service inside this command: no key, no costs."),
]
ChannelsOption = Annotated[
    Literal["mix", "each"],
    typer.Option(help="mix: the channels as one; each: every channel by itself, as in calls with a speaker on each."),
]
InvokeURLOption = Annotated[
    str | None,
    typer.Option("--invoke-url", envvar="CLOVA_SPEECH_INVOKE_URL", help="The domain's Invoke URL, in any form."),
]


def run(main: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """Run the coroutine of a command; Ctrl-C ends it with exit status 130."""
    try:
        return anyio.run(main, *arguments)
    except KeyboardInterrupt:
        say("clova-speech: stopped by Ctrl-C")
        raise typer.Exit(130) from None


def table_console(*, to_stderr: bool = False) -> Console:
    """A console for tables: as wide as the terminal, and without end in a pipe, where folded lines escape a search."""
    console = Console(stderr=to_stderr, markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 10_000
    return console


def say(message: object, *, style: str | None = None) -> None:
    """Print to standard error, as plain text: no markup is read out of file names or of what a service said."""
    stderr.print(str(message), style=style, markup=False)


def about(path: Path, error: Exception) -> str:
    """An error as one about `path`, which is named once."""
    text = str(error)
    return shown(text if text.startswith((f"{path}: ", repr(str(path)))) else f"{path}: {text}")


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
        fail_usage(str(error))
    except ClovaSpeechError as error:
        say(f"clova-speech: {error}")
        raise typer.Exit(1) from None


def parse_language(lang: str) -> Language:
    """The language, or exit status 2."""
    with usage_errors():
        return Language.parse(lang)


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
