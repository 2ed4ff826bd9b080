"""What a person sees while a run goes on: a bar on a terminal, elsewhere a line a minute; and that requests are tried
again. Reads figures, decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import anyio
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from clova_speech_async.http.events import Event, RetryScheduled, Stats

from .common import say

if TYPE_CHECKING:
    from typing_extensions import Self

    from clova_speech_async.batch import Summary

__all__ = ["Retries", "RunProgress", "line_of", "say_every"]


class Retries:
    """A hook of a client: says once of each kind of failure that such requests are tried again."""

    def __init__(self) -> None:
        self._told: set[tuple[str, int | None, str | None]] = set()

    def __call__(self, event: Event) -> None:
        if not isinstance(event, RetryScheduled) or event.wait == 0:  # at once: nothing was wrong but the connection
            return
        kind = (event.error, event.status, event.code)
        if kind not in self._told:
            self._told.add(kind)
            say(f"clova-speech: {_met(event)}; such requests are tried again (this is said once)")


def _met(event: RetryScheduled) -> str:
    if event.status is None:
        return f"a request met {event.error}"
    return f"the service answered {event.status}{f'/{event.code}' if event.code else ''} ({event.error})"


async def say_every(seconds: float, line: Callable[[float], str]) -> None:
    """Say where a run is, again and again, until it is cancelled; `line` gets the seconds since the beginning."""
    began = anyio.current_time()
    while True:
        await anyio.sleep(seconds)
        say(line(anyio.current_time() - began))


def line_of(summary: Summary, stats: Stats, *, failed: int, skipped: int, found: int | None, seconds: float) -> str:
    """Where a run is, in a line. `found`: the files that there are, where that is known."""
    done = summary.done + skipped
    parts = [f"{done} of {found} files done" if found is not None else f"{done} files done"]
    if failed:
        parts.append(f"{failed} failed")
    parts.append(f"{stats.in_flight} requests under way")
    if stats.retries:
        parts.append(f"{stats.retries} tried again")
    return f"after {seconds / 60:.0f} min: {', '.join(parts)}; {stats.billed_seconds:.0f} s billed"


class _Rate(ProgressColumn):
    """Files a second since the beginning; files a minute where they are slow."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.completed:
            return Text("", style="progress.data.speed")
        rate = task.completed / task.elapsed
        return Text(f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min", style="progress.data.speed")


class RunProgress:
    """A progress bar on `console`, as a context manager; silent where that is no terminal, or not `enabled`."""

    def __init__(self, console: Console, *, enabled: bool = True) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("{task.fields[billed]} s billed"),
            TextColumn("{task.fields[failed]}", style="red"),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            transient=True,
            disable=not (enabled and console.is_terminal),
            redirect_stdout=False,  # it would take the transcripts to where the bar is
        )
        self._task = self._progress.add_task("", total=None, billed=0, failed="")

    def __enter__(self) -> Self:
        if not self._progress.disable:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._progress.disable:  # Rich ends its lines in a pipe, too, where there are none
            self._progress.stop()

    def show(self, summary: Summary, *, failed: int, skipped: int, found: int, complete: bool) -> None:
        """Show where the run is. `found`: files known so far; `complete`: there are no others."""
        self._progress.update(
            self._task,
            completed=summary.total + skipped,
            total=found if complete else None,
            billed=summary.billed_seconds,
            failed=f"{failed} failed" if failed else "",
        )
