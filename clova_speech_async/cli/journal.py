"""``clova-speech journal``: look into a journal, take replies out of it, forget them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.table import Table

from clova_speech_async.errors import JournalError
from clova_speech_async.journal import Journal, JournalEntry, JournalOverview

from .common import fail_usage, run, say, status_of_journal, table_console, write_out
from .inputs import is_folder, shown
from .options import given_path

__all__ = ["journal"]

_T = TypeVar("_T")
PathArgument = Annotated[
    Path, typer.Argument(parser=given_path, metavar="JOURNAL", help="The file that --journal named.")
]

journal = typer.Typer(help="Look into a journal, take replies out of it, forget them.", no_args_is_help=True)


class _Reply(msgspec.Struct):
    """What is shown of a reply; a reply that is not even this is shown as bytes."""

    text: str = ""


@journal.command()
def show(
    path: PathArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Entries shown, the last ones; 0 for none.")] = 20,
) -> None:
    """Show what a journal holds in all, and its last entries."""

    async def read(opened: Journal) -> tuple[JournalOverview, list[JournalEntry]]:
        overview = await opened.overview()
        return overview, [entry async for entry in opened.entries(last=limit)] if limit else []

    overview, entries = _with_journal(path, read, read_only=True)
    out = table_console()
    replies = f"{overview.replies} {'reply' if overview.replies == 1 else 'replies'}"
    out.print(
        f"{replies}, {overview.seconds:.1f} s of audio, {overview.billed_seconds} s billed, {overview.size} bytes"
    )
    if overview.first is not None and overview.last is not None:
        out.print(f"from {_local(overview.first)} to {_local(overview.last)}")
    if entries:
        out.print(_table(entries))


@journal.command()
def export(path: PathArgument) -> None:
    """Write every entry to standard output, a line of JSON each.

    It has number, key, when, language, label, duration, billed_seconds and reply.
    """

    async def write(opened: Journal) -> None:
        async for entry in opened.entries():
            write_out(_line(entry) + "\n")

    _with_journal(path, write, read_only=True)


@journal.command()
def forget(
    path: PathArgument,
    numbers: Annotated[
        list[int] | None, typer.Argument(min=1, help="Numbers of the entries, as `show` gives them.")
    ] = None,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
            help="Forget what was stored before this time, in local time.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget everything.")] = False,
) -> None:
    """Delete entries for good: their text is taken out of the file. Asked for again, they are paid for again."""
    if sum((bool(numbers), before is not None, everything)) != 1:
        fail_usage("say what to forget: numbers, --before TIME or --all")
    try:
        moment = None if before is None else before.astimezone()
    except (ValueError, OverflowError):
        fail_usage(f"--before {before}: that is no time here: give one of the years 2 to 9998")

    async def delete(opened: Journal) -> int:
        return await opened.forget(numbers or None, before=moment)

    if not _is_there(path):
        fail_usage(f"there is no journal {shown(path)}")
    count = _with_journal(path, delete, read_only=False)
    typer.echo(f"{count} forgotten")
    unknown = len(set(numbers or ())) - count if numbers else 0
    if unknown:
        say(f"{unknown} of the numbers {'is' if unknown == 1 else 'are'} of no entry")


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        pass  # opening it tells what is wrong
    return True


def _with_journal(path: Path, use: Callable[[Journal], Coroutine[Any, Any, _T]], *, read_only: bool) -> _T:
    if is_folder(str(path)):
        fail_usage(f"{shown(path)} is a folder; name the journal in it")

    async def main() -> _T:
        async with Journal(path, read_only=read_only) as opened:
            return await use(opened)

    try:
        return run(main)
    except JournalError as error:
        say(f"clova-speech: {error}")
        raise typer.Exit(status_of_journal(error)) from None


def _table(entries: list[JournalEntry]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("number", "when", "lang", "seconds", "billed", "label", "text"):
        right = title in ("number", "seconds", "billed")
        table.add_column(title, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for entry in entries:
        billed = entry.stored.billed_seconds
        table.add_row(
            str(entry.number),
            _local(entry.stored.when),
            entry.lang,
            f"{entry.stored.seconds:.1f}",
            "" if billed is None else str(billed),
            shown(entry.label),
            shown(_text(entry.stored.body))[:60],
        )
    return table


def _line(entry: JournalEntry) -> str:
    try:
        reply: Any = msgspec.Raw(msgspec.json.format(entry.stored.body, indent=-1))
        msgspec.json.decode(reply)
    except (msgspec.DecodeError, UnicodeError):
        reply = entry.stored.body.decode("utf-8", "replace")
    row = {
        "number": entry.number,
        "key": entry.key,
        "when": entry.stored.when.isoformat(),
        "language": entry.lang,
        "label": entry.label,
        "duration": entry.stored.seconds,
        "billed_seconds": entry.stored.billed_seconds,
        "reply": reply,
    }
    return msgspec.json.encode(row).decode()


def _text(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Reply).text
    except (msgspec.DecodeError, UnicodeError):
        return repr(body)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
