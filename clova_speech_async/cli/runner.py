"""A run over many files: sources in, outputs and messages out, and an end that says how to go on.

Law of this file: what a person may lose by Ctrl-C is the requests under way, never more: also the half of a recording
reaches them; and it ends within two seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
from anyio import to_thread

from clova_speech_async.batch import BatchRun, BatchTranscriber, Result, Summary
from clova_speech_async.errors import BatchStoppedError, JournalError
from clova_speech_async.groups import plain_task_group
from clova_speech_async.http.events import Stats
from clova_speech_async.transcript import Transcript

from .about import about, what_is_missing
from .audio import close_audio
from .common import OutputLostError, say, stderr, write_out
from .ending import Ending, say_ending
from .inputs import readable, shown
from .jobs import Jobs
from .outputs import OutputTakenError, remove_partials
from .plan import Job, Plan
from .progress import RunProgress, line_of, say_every
from .remedies import reason_of, stops_the_run
from .reporting import RunReport, row_of
from .signals import GRACE, Signals
from .unfinished import Unfinished

__all__ = ["Runner"]

SILENCE = 60.0
"""Seconds between two lines that tell where a run is, where there is no bar."""


class Runner:
    """Carries out a plan; afterwards `status` is the exit status of the command."""

    def __init__(self, plan: Plan, *, report: RunReport | None = None) -> None:
        self._plan = plan
        self._rows = report
        self._unfinished = Unfinished(format=plan.format, journal=plan.journal)
        self._jobs = Jobs(
            plan,
            fail=lambda job, error: self._fail(job, error, row_of(job, error=error)),
            pass_over=lambda job: self._tell(lambda: row_of(job, "passed_over", output=job.output)),
            ended=lambda: self.signals.number is not None,
        )
        self._met: list[tuple[Job, Exception]] = []
        """What stops a run, by the files that met it: said once, and not as if it were about them."""
        self._failed: list[Path] = []
        self._ended = 0
        self._counted: int | None = None
        self._over = self._reported = self._interrupted = False
        self._run: BatchRun | None = None
        self.signals = Signals()
        self.signals.last_words = self.interrupted
        self._stopped: BatchStoppedError | None = None
        self._summary: Summary | None = None
        """The last one."""
        self._output_lost = self._given = False

    @property
    def status(self) -> int:
        """0; 1 where a file failed or the run had to stop; 128 and the signal's number after Ctrl-C or an end."""
        if self._is_interrupted:
            return self.signals.status
        return 1 if self._failed or self._stopped is not None else 0

    @property
    def _is_interrupted(self) -> bool:
        return self._interrupted or self.signals.number is not None

    # --- the run -----------------------------------------------------------------------------

    async def run(self, batch: BatchTranscriber, stats: Callable[[], Stats]) -> None:
        """Transcribe, write, report. `stats`: of the client that does it."""
        try:
            with anyio.CancelScope() as scope:
                async with self.signals.heeded(lambda count: self._heed(count, scope)), plain_task_group() as group:
                    group.start_soon(self._count)
                    if not self._shows:
                        group.start_soon(say_every, SILENCE, lambda seconds: self._line(stats(), seconds))
                    await self._consume(batch)
                    group.cancel_scope.cancel()
        finally:
            self._over = True
        self._give_unfinished()
        self._report()

    async def _count(self) -> None:
        """Find out how many files there will be, for the bar: the run itself takes them as it goes."""
        if self._shows and self._plan.from_file is None:  # a list may be a pipe, which is read once only
            self._counted = await to_thread.run_sync(self._number_of_sources, abandon_on_cancel=True)

    def _number_of_sources(self) -> int | None:
        number = 0
        for number, _ in enumerate(self._jobs.sources(), 1):  # noqa: B007
            if self._over:
                return None
        return number

    @property
    def _shows(self) -> bool:
        """Whether there is a bar: not for one file, and not between transcripts on the same terminal."""
        return self._plan.many and stderr.is_terminal and (self._plan.output_dir is not None or not sys.stdout.isatty())

    async def _consume(self, batch: BatchTranscriber) -> None:
        with RunProgress(stderr, enabled=self._shows) as progress:
            async with batch.run(self._jobs.items()) as self._run:
                if self._is_interrupted:
                    self._run.stop()
                try:
                    async for result in self._run:
                        await self._take(result)
                        self._summary = self._run.summary
                        self._show(progress, self._summary)
                except anyio.get_cancelled_exc_class():
                    with anyio.CancelScope(shield=True):
                        while results := self._run.unread():  # it is paid for; while it is written others may end
                            for result in results:
                                await self._take(result)
                    raise
                except BatchStoppedError as error:
                    self._stopped = error
                    say(f"clova-speech: the run stopped: {reason_of(error)}", style="red")

    def _line(self, stats: Stats, seconds: float) -> str:
        assert self._run is not None
        found = self._jobs.found if self._jobs.complete else None
        skipped, failed = self._jobs.passed_over.count, len(self._failed)
        return line_of(self._run.summary, stats, failed=failed, skipped=skipped, found=found, seconds=seconds)

    def _show(self, progress: RunProgress, summary: Summary) -> None:
        failed = len(self._failed)
        counted = None if self._jobs.complete else self._counted
        found, complete = (self._jobs.found, self._jobs.complete) if counted is None else (counted, True)
        skipped = self._jobs.passed_over.count
        progress.show(summary, failed=failed, skipped=skipped, found=found, complete=complete)

    async def _take(self, result: Result) -> None:
        if result.transcript is not None and result.id.output is None:
            self._finish(result)  # it may stop the run, which belongs to this thread
        else:
            await to_thread.run_sync(self._finish, result)

    def _finish(self, result: Result) -> None:
        """Put a result where it belongs; blocks."""
        job: Job = result.id
        self._ended += 1
        close_audio(result.source.audio)
        output, error = None, result.error
        if result.transcript is None:
            self._take_error(result)
        else:
            missing = what_is_missing(result.transcript)
            if missing:
                say(f"clova-speech: {shown(job.path)}: {missing}", style="yellow")
            try:
                output = self._put(job, result.transcript)
            except (OSError, OutputTakenError, OutputLostError) as lost:
                error = lost
                self._lose(job, result.transcript, lost)
        self._tell(lambda: row_of(job, result=result, error=error, output=output))

    def _put(self, job: Job, transcript: Transcript) -> Path | None:
        """Write a transcript; returns the file."""
        if job.place is None or self._jobs.outputs is None:
            self._print(job, transcript)
            return None
        path = self._jobs.outputs.publish(job.place, transcript.to_format(self._plan.format))
        remove_partials(path)
        if path != job.place.path:
            taken = f"{shown(job.place.path)} was not there when the run began"
            say(f"clova-speech: {taken}: {shown(job.path)} goes to {shown(path)}", style="yellow")
        return path

    def _lose(self, job: Job, transcript: Transcript, error: Exception) -> None:
        """Give to standard error what is paid for, and was taken by nobody."""
        self._fail(job, error)
        if self._plan.journal is None:
            self._unfinished.show(transcript, "what was recognised, and paid for")
        if isinstance(error, OutputLostError):  # what is not sent yet need not be paid for
            self._output_lost = True
            if self._run is not None:
                self._run.stop()

    def _take_error(self, result: Result) -> None:
        job, error, part = result.id, result.error, result.partial
        assert error is not None
        if part is not None and not part.text:
            part = None
        if stops_the_run(error) or isinstance(error, BatchStoppedError):
            if stops_the_run(error):
                self._met.append((job, error))
            if part is not None:
                say(f"clova-speech: {shown(job.path)}: not finished")
        else:
            self._fail(job, error)
        if part is not None:
            self._given = True
            self._unfinished.give(part, job.output, lost=isinstance(error, JournalError))

    def _give_unfinished(self) -> None:
        """Give what there is of the recordings that were cut off."""
        for result in [] if self._run is None else self._run.unread():
            self._finish(result)

    def _print(self, job: Job, transcript: Transcript) -> None:
        text = transcript.to_format(self._plan.format)
        if self._plan.many and self._plan.format == "jsonl":
            rows = transcript.to_dicts()
            text = "".join(msgspec.json.encode({"source": readable(job.path)} | row).decode() + "\n" for row in rows)
        elif self._plan.many and self._plan.format == "json":  # one behind the other, as jq takes them
            whole = msgspec.json.encode({"source": readable(job.path)} | transcript.to_dict())
            text = msgspec.json.format(whole, indent=2).decode() + "\n"
        elif self._plan.many:
            text = f"==> {shown(job.path)} <==\n{text}"
        if self._output_lost:
            raise OutputLostError("standard output is closed")
        write_out(text)

    def _fail(self, job: Job, error: Exception, row: dict[str, Any] | None = None) -> None:
        self._failed.append(job.path)
        say(f"clova-speech: {about(job.path, error)}", style="red")
        if row is not None:
            self._tell(lambda: row)

    def _tell(self, row: Callable[[], dict[str, Any]]) -> None:
        if self._rows is not None:
            self._rows.write(row())

    # --- the end -----------------------------------------------------------------------------

    def _heed(self, count: int, scope: anyio.CancelScope) -> None:
        if count > 1:
            scope.cancel()
            return
        say("clova-speech: stopping; what is under way has a moment to end (Ctrl-C again: at once)")
        scope.deadline = anyio.current_time() + GRACE
        if self._run is not None:
            self._run.stop()

    def interrupted(self) -> None:
        """The run is over, though it has not come to its end: give what there is, and say how to go on."""
        self._interrupted = True
        if self._shows:
            stderr.show_cursor()  # the bar has hidden it, and may have no time to give it back
        self._give_unfinished()
        self._report()

    def _report(self) -> None:
        if self._reported:
            return
        self._reported = True
        if self._stopped is None:  # the person came first, so the run has not said it
            for job, error in self._met:
                self._fail(job, error)
        say_ending(
            Ending(
                plan=self._plan,
                jobs=self._jobs,
                summary=self._final_summary(),
                ended=self._ended,
                failed=self._failed,
                stopped=self._stopped,
                interrupted=self._is_interrupted,
                output_lost=self._output_lost,
                given=self._given,
            )
        )

    def _final_summary(self) -> Summary | None:
        try:
            return None if self._run is None else self._run.summary
        except RuntimeError:  # asked in another thread than the event loop's, which stands still
            return self._summary
