"""``clova-speech estimate``: what transcribing would take, without sending anything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from anyio import to_thread
from rich.table import Table

from clova_speech_async.audio import Channels, Estimate
from clova_speech_async.billing import BILLED_UNIT
from clova_speech_async.client import estimate as estimate_audio
from clova_speech_async.errors import ClovaSpeechError
from clova_speech_async.groups import plain_task_group

from .about import about, what_is_missing, words_for
from .aside import LeftOut
from .audio import Raw, audio_of, close_audio
from .common import (
    check_list,
    check_names,
    check_standard_input,
    fail_usage,
    may_be_many,
    run,
    say,
    stderr,
    table_console,
    write_out,
)
from .inputs import NO_SAMPLES_FOUND, NOTHING_FOUND, Source, find_sources, readable, shown
from .lists import listed, read_list
from .options import (
    ChannelsOption,
    EncodingOption,
    FilesArgument,
    FromFileOption,
    NullOption,
    RateOption,
    RawChannelsOption,
    RawOption,
    parse_raw,
)
from .reporting import error_of

__all__ = ["estimate"]

_AT_ONCE = max(1, min(4, os.cpu_count() or 1))


def estimate(
    files: FilesArgument = None,
    from_file: FromFileOption = None,
    null: NullOption = False,
    unit_price: Annotated[
        str | None,
        typer.Option(help="Price of 15 seconds, in any currency, e.g. 0.25: shows what the files would cost."),
    ] = None,
    channels: ChannelsOption = "mix",
    as_json: Annotated[
        bool, typer.Option("--json", help='One line of JSON a file, and one with "total": true.')
    ] = False,
    raw: RawOption = False,
    rate: RateOption = None,
    raw_channels: RawChannelsOption = 1,
    encoding: EncodingOption = "s16le",
    emulator: Annotated[bool, typer.Option("--emulator", hidden=True)] = False,
) -> None:
    """Tell the duration, the requests and the billed seconds of FILES, without sending anything.

    Exit status: 0; 1 where a file cannot be read (the others still come out); 2 for wrong usage; 130 after Ctrl-C, 143
    after SIGTERM.
    """
    if emulator:
        fail_usage("estimate sends nothing, so there is nothing to emulate: leave out --emulator")
    price = _price(unit_price)
    if not files and from_file is None:
        fail_usage("nothing to estimate: name FILES, folders or patterns, or a list with --from-file")
    check_names(files or [])
    check_list(from_file, null=null)
    check_standard_input(files or [], from_file)
    if null and from_file is None:
        fail_usage("--null goes with --from-file")
    shape = parse_raw(raw, rate, raw_channels, encoding)
    survey = _Survey(files or [], from_file, channels, price, as_json=as_json, null=null, raw=shape)
    run(survey.take)
    if survey.failed:
        raise typer.Exit(1)


class _Survey:
    """Measures files, a few at once, and keeps their order."""

    def __init__(
        self,
        names: list[str],
        from_file: str | None,
        channels: Channels,
        price: Decimal | None,
        *,
        as_json: bool,
        null: bool,
        raw: Raw | None,
    ) -> None:
        self._names = names
        self._from_file = from_file
        self._channels = channels
        self._price = price
        self._as_json = as_json
        self._null = null
        self._raw = raw
        self._left_out = LeftOut()
        self._many = may_be_many(names, from_file)
        self._over = False
        self._rows: list[dict[str, Any]] = []
        self.failed = 0

    def _sources(self) -> Iterator[Source]:
        def names() -> Iterator[str]:
            yield from self._names
            if self._from_file is not None:
                yield from map(listed, read_list(self._from_file, null=self._null, ended=lambda: self._over))

        return find_sources(names(), raw=self._raw is not None, left_out=self._left_out)

    async def take(self) -> None:
        """Measure all; each row of JSON is written as soon as all before it are there, the sum at the end."""
        sources = self._sources()
        try:
            with stderr.status("") as status:  # on a terminal only
                while chunk := await to_thread.run_sync(self._next, sources, abandon_on_cancel=True):
                    rows: list[dict[str, Any]] = [{}] * len(chunk)
                    async with plain_task_group() as group:
                        for index, source in enumerate(chunk):
                            group.start_soon(self._measure, source.path, rows, index)
                    for row in rows:
                        self._take(row)
                    status.update(f"{len(self._rows) + self.failed} files")
        finally:
            self._over = True
        self._show()

    def _next(self, sources: Iterator[Source]) -> list[Source]:
        try:
            return list(islice(sources, _AT_ONCE))
        except (OSError, ValueError) as error:
            fail_usage(f"--from-file {self._from_file}: {error}")

    def _take(self, row: dict[str, Any]) -> None:
        if row["error"] is None:
            self._rows.append(row)
        else:
            self.failed += 1
        if self._as_json:
            _print_json(row)

    async def _measure(self, path: Path, rows: list[dict[str, Any]], index: int) -> None:
        audio = None
        try:
            audio = await to_thread.run_sync(audio_of, path, self._raw, abandon_on_cancel=True)
            found = await estimate_audio(audio, channels=self._channels)
        except ClovaSpeechError as error:
            say(f"clova-speech: {about(path, error)}", style="red")
            rows[index] = self._priced(_row(path, None, error))
            return
        finally:
            close_audio(audio)
        told = what_is_missing(found)
        if told:
            say(f"clova-speech: {about(path, told)}", style="yellow")
        rows[index] = self._priced(_row(path, found))

    def _priced(self, row: dict[str, Any]) -> dict[str, Any]:
        if self._price is not None:
            billed = row["billed_seconds"]
            row["cost"] = None if billed is None else str(self._price * (billed // BILLED_UNIT))
        return row

    def _show(self) -> None:
        """Print the table, or the last line of the JSON."""
        total: dict[str, Any] = {"total": True, "files": len(self._rows), "failures": self.failed}
        for name in ("duration", "requests", "billed_seconds"):
            total[name] = round(sum(row[name] for row in self._rows), 3)
        self._priced(total)
        if self._as_json:
            _print_json(total)
        elif self._rows:
            _print_table(self._rows, total, with_total=self._many)
        self._left_out.say()
        if self._many and self.failed:
            say(f"{self.failed} could not be read, and are not in the total")
        if not self._rows and not self.failed:
            say(NOTHING_FOUND if self._raw is None else NO_SAMPLES_FOUND)


def _price(text: str | None) -> Decimal | None:
    """Money is counted in decimals: a float would show 0.30000000000000004."""
    if text is None:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    if not (price.is_finite() and price >= 0):
        fail_usage(f"--unit-price: {text!r} is not a price; give a number such as 0.25")
    return price


def _row(path: Path, found: Estimate | None, error: Exception | None = None) -> dict[str, Any]:
    """A file, under the names that `Estimate.to_dict` and `Result.to_dict` have for what is known of it."""
    return {
        "source": readable(path),
        "duration": None if found is None else round(found.duration, 3),
        "announced_duration": None if found is None else found.announced_duration,
        "truncated": None if found is None else found.truncated,
        "lost_seconds": None if found is None else round(found.lost_seconds, 3),
        "requests": None if found is None else found.requests,
        "billed_seconds": None if found is None else found.billed_seconds,
        "error": None if error is None else error_of(error, words_for(path, error)),
    }


def _print_json(row: dict[str, Any]) -> None:
    write_out(json.dumps(row, ensure_ascii=False) + "\n")


def _print_table(rows: list[dict[str, Any]], total: dict[str, Any], *, with_total: bool) -> None:
    table = Table(show_footer=with_total, box=None, pad_edge=False)
    names = {
        "source": "file",
        "duration": "seconds",
        "requests": "requests",
        "billed_seconds": "billed s",
        "cost": "cost",
    }
    for name, title in names.items():
        if name == "source" or name in total:
            left = name == "source"
            foot = "total" if left else str(total[name])
            table.add_column(title, foot, justify="left" if left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(shown(row[name]) for name in names if name in row))
    table_console().print(table)
