"""A run over many files: sources in, outputs and messages out, and an end that says how to go on.

Law of this file: what a person may lose by Ctrl-C is the requests under way, never more: also the half of a recording
reaches them; and it ends within two seconds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from clova_speech_async.background import plain_task_group
from clova_speech_async.batch import BatchRun, BatchTranscriber, Item, Result, Summary
from clova_speech_async.errors import BatchStoppedError, JournalError
from clova_speech_async.transcript import Transcript

from .common import NOTHING_FOUND, OutputLostError, about, say, stderr, what_is_missing, write_out
from .inputs import find_sources, read_list, shown
from .outputs import OutputPlan, OutputTakenError, publish
from .progress import RunProgress
from .remedies import reason_of, remedy_of, stops_the_run
from .unfinished import Unfinished

__all__ = ["Job", "Plan", "Runner"]

GRACE = 1.5
"""Seconds that requests under way have to end after Ctrl-C."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a person asked for."""

    names: tuple[str, ...]
    from_file: str | None
    format: str
    output_dir: Path | None
    force: bool
    failures: Path | None
    journal: Path | None
    many: bool
    """Whether it may be more than one file."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file and its output; the `id` of its item."""

    path: Path
    output: Path | None

    def __str__(self) -> str:
        return str(self.path)


class Runner:
    """Carries out a plan; afterwards `status` is the exit status of the command."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._unfinished = Unfinished(format=plan.format, journal=plan.journal)
        self._met: list[tuple[Path, Exception]] = []
        """What stops a run, by the files that met it: said once, and not as if it were about them."""
        self._outputs = None if plan.output_dir is None else OutputPlan(plan.output_dir, f".{plan.format}")
        self._failed: list[Path] = []
        self._found = self._skipped = 0
        self._complete = False
        self._counted: int | None = None
        self._over = False
        self._run: BatchRun | None = None
        self._signal: int | None = None
        self._stopped: BatchStoppedError | None = None
        self._output_lost = self._given = False

    @property
    def status(self) -> int:
        """0; 1 where a file failed or the run had to stop; 128 and the signal's number after Ctrl-C or an end."""
        if self._signal is not None:
            return 128 + self._signal
        return 1 if self._failed or self._stopped is not None else 0

    # --- sources, in a worker thread ---------------------------------------------------------

    def sources(self) -> Iterator[Item]:
        """The items of the run, as they are found."""
        for source in find_sources(self._names()):
            self._found += 1
            try:
                output = None if self._outputs is None else self._outputs.assign(source)
            except OutputTakenError as error:
                self._fail(source.path, error)
                continue
            if output is not None and not self._plan.force and os.path.lexists(output):
                self._skipped += 1
                continue
            job = Job(source.path, output)
            yield Item(source.path, id=job)
        self._complete = True

    def _names(self) -> Iterator[str]:
        yield from self._plan.names
        if self._plan.from_file is not None:
            yield from read_list(self._plan.from_file, ended=lambda: self._signal is not None)

    # --- the run -----------------------------------------------------------------------------

    async def run(self, batch: BatchTranscriber) -> None:
        """Transcribe, write, report."""
        try:
            async with plain_task_group() as group:
                with anyio.CancelScope() as scope:
                    group.start_soon(self._heed_signals, scope)
                    group.start_soon(self._count)
                    await self._consume(batch)
                self._give_unfinished()
                group.cancel_scope.cancel()
        finally:
            self._over = True
        self._report()

    async def _count(self) -> None:
        """How many files there will be, for the bar: the run itself takes them as it goes."""
        if self._shows and self._plan.from_file is None:  # a list may be a pipe, which is read once only
            self._counted = await to_thread.run_sync(self._number_of_sources, abandon_on_cancel=True)

    def _number_of_sources(self) -> int | None:
        number = 0
        for number, _ in enumerate(find_sources(self._plan.names), 1):  # noqa: B007
            if self._over:
                return None
        return number

    @property
    def _shows(self) -> bool:
        """Whether there is a bar: not for one file, and not between transcripts on the same terminal."""
        return self._plan.many and stderr.is_terminal and (self._plan.output_dir is not None or not sys.stdout.isatty())

    async def _consume(self, batch: BatchTranscriber) -> None:
        with RunProgress(stderr, enabled=self._shows) as progress:
            async with batch.run(self.sources()) as self._run:
                if self._signal is not None:
                    self._run.stop()
                try:
                    async for result in self._run:
                        await self._take(result)
                        self._show(progress, self._run.summary)
                except anyio.get_cancelled_exc_class():
                    with anyio.CancelScope(shield=True):
                        while results := self._run.unread():  # it is paid for; while it is written others may end
                            for result in results:
                                await self._take(result)
                    raise
                except BatchStoppedError as error:
                    self._stopped = error
                    say(f"clova-speech: the run stopped: {reason_of(error)}", style="red")

    def _show(self, progress: RunProgress, summary: Summary) -> None:
        failed = len(self._failed)
        counted = None if self._complete else self._counted
        found, complete = (self._found, self._complete) if counted is None else (counted, True)
        progress.show(summary, failed=failed, skipped=self._skipped, found=found, complete=complete)

    async def _take(self, result: Result) -> None:
        if result.transcript is not None and result.id.output is None:
            self._finish(result)  # it may stop the run, which belongs to this thread
        else:
            await to_thread.run_sync(self._finish, result)

    def _finish(self, result: Result) -> None:
        """Put a result where it belongs; blocks."""
        job: Job = result.id
        transcript = result.transcript
        missing = "" if transcript is None else what_is_missing(transcript)
        if missing:
            say(f"clova-speech: {shown(job.path)}: {missing}", style="yellow")
        if transcript is None:
            self._take_error(result)
        elif job.output is None:
            try:
                self._print(job, transcript)
            except OutputLostError as error:
                self._lose_output(job, transcript, error)
        else:
            try:
                publish(job.output, transcript.to_format(self._plan.format), force=self._plan.force)
            except (OSError, OutputTakenError) as error:
                self._fail(job.path, error)
                if self._plan.journal is None:
                    self._unfinished.show(transcript, "what was recognised, and paid for")

    def _take_error(self, result: Result) -> None:
        job, error, part = result.id, result.error, result.partial
        assert error is not None
        if part is not None and not part.text:
            part = None
        if stops_the_run(error) or isinstance(error, BatchStoppedError):
            if stops_the_run(error):
                self._met.append((job.path, error))
            if part is not None:
                say(f"clova-speech: {shown(job.path)}: not finished")
        else:
            self._fail(job.path, error)
        if part is not None:
            self._give(job, part, lost=isinstance(error, JournalError))

    def _give_unfinished(self) -> None:
        """Give what there is of the recordings that were cut off."""
        for result in [] if self._run is None else self._run.unread():
            self._finish(result)

    def _give(self, job: Job, part: Transcript, *, lost: bool = False) -> None:
        self._given = True
        self._unfinished.give(part, job.output, lost=lost)

    def _print(self, job: Job, transcript: Transcript) -> None:
        text = transcript.to_format(self._plan.format)
        if self._plan.many and self._plan.format == "jsonl":
            rows = transcript.to_dicts()
            text = "".join(msgspec.json.encode({"file": shown(job.path)} | row).decode() + "\n" for row in rows)
        elif self._plan.many:
            text = f"==> {shown(job.path)} <==\n{text}"
        if self._output_lost:
            raise OutputLostError("standard output is closed")
        write_out(text)

    def _lose_output(self, job: Job, transcript: Transcript, error: OutputLostError) -> None:
        """Give what nobody takes any more to standard error; what is not sent yet need not be paid for."""
        self._fail(job.path, error)
        if self._plan.journal is None:
            self._unfinished.show(transcript, "what was recognised, and paid for")
        self._output_lost = True
        if self._run is not None:
            self._run.stop()

    def _fail(self, path: Path, error: Exception) -> None:
        self._failed.append(path)
        say(f"clova-speech: {about(path, error)}", style="red")

    # --- the end -----------------------------------------------------------------------------

    async def _heed_signals(self, scope: anyio.CancelScope) -> None:
        try:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    self._heed(number, scope)
        except NotImplementedError:
            return  # Windows: Ctrl-C comes as KeyboardInterrupt

    def _heed(self, number: int, scope: anyio.CancelScope) -> None:
        if self._signal is not None:
            scope.cancel()
            return
        self._signal = int(number)
        say("clova-speech: stopping; what is under way has a moment to end (Ctrl-C again: at once)")
        scope.deadline = anyio.current_time() + GRACE
        if self._run is not None:
            self._run.stop()

    def interrupted(self) -> None:
        """Ctrl-C came as KeyboardInterrupt and has ended the run."""
        self._signal = int(signal.SIGINT)
        self._give_unfinished()
        self._report()

    def _report(self) -> None:
        if self._stopped is None:  # the person came first, so the run has not said it
            for path, error in self._met:
                self._fail(path, error)
        summary = None if self._run is None else self._run.summary
        if self._complete and not self._found:
            say(NOTHING_FOUND)
        elif summary is not None and (self._plan.many or self._signal is not None):
            say(str(summary))
        if self._skipped:
            say(f"{self._skipped} passed over: their output is there already (--force writes it again)")
        self._list_failures()
        if self._signal is not None or self._stopped is not None or self._output_lost:
            self._say_how_to_go_on(summary)

    def _say_how_to_go_on(self, summary: Summary | None) -> None:
        paid = summary is not None and summary.billed_seconds > 0
        journal, folder = self._plan.journal, self._plan.output_dir
        remedy = "" if self._stopped is None else remedy_of(self._stopped, journal=journal is not None)
        first = f"{remedy}, and " if remedy else ""
        rest = "."
        if journal is not None:
            rest = f": what {shown(journal)} holds is not sent again."
        elif folder is not None:
            rest = f": what has its output in {shown(folder)} is passed over."
            if paid and self._given:
                rest = f"{rest[:-1]}; with --journal FILE parts that were paid for would not be sent again, either."
        elif paid:
            rest = "; with --journal FILE nothing that was paid for would be sent again."
        say(f"To go on, {first}run the same command again{rest}")

    def _list_failures(self) -> None:
        if self._plan.failures is not None and self._write_failures(self._plan.failures):
            if self._failed:
                say(f"{len(self._failed)} failed; to try them again: --from-file {shown(self._plan.failures)}")
        elif self._failed and self._plan.many:
            say(f"{len(self._failed)} failed:")
            for path in self._failed:
                say(shown(path))

    def _write_failures(self, path: Path) -> bool:
        """Write the list; not over the list of a run that has not come to its end, whose rest would be lost."""
        try:
            unfinished = self._signal is not None or self._stopped is not None or self._output_lost
            if unfinished and self._plan.from_file not in (None, "-") and path.samefile(str(self._plan.from_file)):
                say(f"{shown(path)} is left as it was: it names what is still to be done, too")
                return False
        except OSError:
            pass  # it is not there yet
        try:
            path.write_bytes(b"".join(os.fsencode(failed) + b"\n" for failed in self._failed))
        except OSError as error:
            say(f"clova-speech: --failures {about(path, error)}", style="red")
            return False
        return True
