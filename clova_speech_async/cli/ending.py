"""What is said when a run is over: what was done, what was not, and how to go on. Decides nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clova_speech_async.batch import Summary
from clova_speech_async.errors import BatchStoppedError

from .aside import Few
from .common import say
from .inputs import NO_SAMPLES_FOUND, NOTHING_FOUND, STANDARD_INPUT, as_given, shown, url_of
from .jobs import Jobs
from .lists import fits_a_line, listed
from .plan import Plan
from .remedies import remedy_of

__all__ = ["Ending", "say_ending"]

_COUNTING = 0.2
"""Seconds for counting what was not begun: after a second signal there are few left."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ended."""

    plan: Plan
    jobs: Jobs
    summary: Summary | None
    """None: it was not begun."""
    ended: int
    """Files that it has a result for."""
    failed: list[Path]
    stopped: BatchStoppedError | None
    interrupted: bool
    output_lost: bool
    given: bool
    """Parts of recordings were given that will be paid for again."""

    @property
    def too_early(self) -> bool:
        """Whether files are left that it would have gone on with."""
        return self.interrupted or self.stopped is not None or self.output_lost


def say_ending(end: Ending) -> None:
    """Say it, and write the list of the files that failed."""
    jobs, plan = end.jobs, end.plan
    if jobs.complete and not jobs.found:
        nothing = NOTHING_FOUND if plan.raw is None else NO_SAMPLES_FOUND
        say(f"no file is named in {shown(plan.from_file)}" if plan.from_file and not plan.names else nothing)
    elif end.summary is not None and (plan.many or end.interrupted):
        say(str(end.summary))
    if end.too_early and not jobs.complete:
        _say_not_begun(jobs, end.ended)
    jobs.left_out.say()
    if jobs.passed_over:
        count = jobs.passed_over.count
        say(
            f"{count} passed over: {'its output is' if count == 1 else 'their outputs are'} there already "
            f"(--force writes {'it' if count == 1 else 'them'} again): {jobs.passed_over}"
        )
    if jobs.more_aside:
        say(f"{jobs.more_aside} more go to other names for such a reason")
    _list_failures(end)
    if end.too_early:
        _say_how_to_go_on(end)


def _say_not_begun(jobs: Jobs, ended: int) -> None:
    """The run took its files as it went: what it has not come to is in no figure of its summary."""
    if not jobs.can_be_counted:
        say("what else the list names was not begun")
        return
    number, is_all = jobs.not_begun(_COUNTING, ended=ended)
    if not is_all:
        say(f"more than {number} other files were not begun" if number else "other files were not begun")
    elif number:
        say(f"{number} other {'file was' if number == 1 else 'files were'} not begun")


def _say_how_to_go_on(end: Ending) -> None:
    paid = end.summary is not None and end.summary.billed_seconds > 0
    journal, folder = end.plan.journal, end.plan.output_dir
    remedy = "" if end.stopped is None else remedy_of(end.stopped, journal=journal is not None)
    first = f"{remedy}, and " if remedy else ""
    rest = "."
    if journal is not None:
        rest = f": what {shown(journal)} holds is not sent again."
    elif folder is not None:
        rest = f": what has its output in {shown(folder)} is passed over."
        if paid and end.given:
            rest = f"{rest[:-1]}; with --journal FILE parts that were paid for would not be sent again, either."
    elif paid:
        rest = "; with --journal FILE nothing that was paid for would be sent again."
    say(f"To go on, {first}run the same command again{rest}")


def _list_failures(end: Ending) -> None:
    path = end.plan.failures
    if path is not None and _write_failures(end, path):
        if end.failed:
            null = " --null" if end.plan.null else ""
            rest = " (what is not done is not in it)" if end.too_early else ""
            say(f"{len(end.failed)} failed; to try them again: --from-file {shown(path)}{null}{rest}")
        elif end.too_early:
            say(f"{shown(path)} is empty: no file failed for what is its own, and what is not done is not in it")
    elif end.failed and end.plan.many:
        say(f"{len(end.failed)} failed:")
        for failed in end.failed:
            say(shown(url_of(failed) or failed))


def _write_failures(end: Ending, path: Path) -> bool:
    """Write the list; not over the list of a run that has not come to its end, whose rest would be lost."""
    try:
        if end.too_early and end.plan.from_file not in (None, "-") and path.samefile(str(end.plan.from_file)):
            say(f"{shown(path)} is left as it was: it names what is still to be done, too")
            return False
    except OSError:
        pass  # it is not there yet
    unlisted = Few()
    try:
        path.write_bytes(b"".join(_entries(end, unlisted)))
    except OSError as error:
        say(f"clova-speech: --failures {shown(path)}: {error.strerror or error}", style="red")
        return False
    if unlisted:
        say(
            f"clova-speech: {unlisted.count} of them cannot stand in a list of lines, and are not in {shown(path)} "
            f"(with --null they are): {unlisted}",
            style="red",
        )
    return True


def _entries(end: Ending, unlisted: Few) -> Iterator[bytes]:
    for failed in map(as_given, end.failed):
        if failed == STANDARD_INPUT:
            continue  # it has been read, and cannot be again
        if end.plan.null:
            yield os.fsencode(listed(failed)) + b"\0"
        elif fits_a_line(failed):
            yield os.fsencode(listed(failed)) + b"\n"
        else:
            unlisted.add(shown(failed))
