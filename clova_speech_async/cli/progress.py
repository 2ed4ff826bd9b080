"""What a person sees while a run goes on: a bar on a terminal, nothing elsewhere. Reads figures, decides nothing."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from typing_extensions import Self

    from clova_speech_async.batch import Summary

__all__ = ["RunProgress"]


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
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
