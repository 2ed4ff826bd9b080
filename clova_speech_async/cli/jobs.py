"""The files of a run, as they are found: each with its place, or with the reason why it is not transcribed.

Law of this file: it runs in a worker thread, file by file, and keeps of those that need nothing only the first names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from clova_speech_async.batch import Item
from clova_speech_async.errors import AudioReadError

from .aside import NAMED, Few, LeftOut
from .audio import audio_of
from .common import say
from .inputs import Source, find_sources, shown
from .lists import listed, read_list
from .outputs import Outputs, OutputTakenError, Place
from .plan import Job, Plan

__all__ = ["Jobs"]

_ASIDE = {
    "unknown": (
        "{there} is there, and no record tells what it was made from: {path} goes to {place} "
        "(--adopt takes such an output for that of the file with its name, --force writes over it)"
    ),
    "changed": "{path} is not any more what {there} was made from: it goes to {place} (--force writes over it)",
}


class Jobs:
    """The files of a plan, as items of a batch.

    `fail`, `pass_over`: called with a file that cannot be begun, and with one whose output is there.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        fail: Callable[[Job, Exception], None],
        pass_over: Callable[[Job], None],
        ended: Callable[[], bool],
    ) -> None:
        self._plan = plan
        self._fail = fail
        self._pass_over = pass_over
        self._ended = ended
        self.outputs: Outputs | None = None
        if plan.output_dir is not None:
            self.outputs = Outputs(plan.output_dir, f".{plan.format}", force=plan.force, adopt=plan.adopt)
        self.found = 0
        self.refused = 0
        """Those that could not be begun."""
        self.complete = False
        """Whether there are no others."""
        self.passed_over = Few()
        self.left_out = LeftOut()
        self._aside = Few()

    def items(self) -> Iterator[Item]:
        """The items of the run, as they are found."""
        for source in find_sources(self._names(), raw=self._plan.raw is not None, left_out=self.left_out):
            self.found += 1
            job = Job(source.path, self.found)
            try:
                place = None if self.outputs is None else self.outputs.assign(source)
                job = Job(source.path, self.found, place)
                if place is not None and self._is_there(job, place):
                    continue
                yield Item(audio_of(source.path, self._plan.raw), id=job)
            except (OutputTakenError, AudioReadError) as error:
                self.refused += 1
                self._fail(job, error)
        self.complete = not self._ended()  # then a list through standard input ends before its end

    @property
    def can_be_counted(self) -> bool:
        """Whether the files can be looked for again: not where a list, or a recording, comes through a pipe."""
        listed_in = self._plan.from_file
        return listed_in is None or (listed_in != "-" and Path(listed_in).is_file())

    def sources(self) -> Iterator[Source]:
        """The same files without anything done about them; where they `can_be_counted`."""
        return find_sources(self._names(), raw=self._plan.raw is not None)

    def not_begun(self, within: float, *, ended: int) -> tuple[int, bool]:
        """How many files the run has not come to, and whether these are all: after `within` seconds it looks no more.

        `ended`: files that the run has a result for. Blocks.
        """
        known = ended + self.refused + self.passed_over.count
        until, found = time.monotonic() + within, 0
        for found, _ in enumerate(self.sources(), 1):
            if time.monotonic() > until:
                return max(0, found - known), False
        return max(0, found - known), True

    def _names(self) -> Iterator[str]:
        yield from self._plan.names
        if self._plan.from_file is not None:
            names = read_list(self._plan.from_file, null=self._plan.null, ended=self._ended)
            yield from map(listed, names)

    def _is_there(self, job: Job, place: Place) -> bool:
        if place.there:
            self.passed_over.add(shown(job.path))
            self._pass_over(job)
        elif place.aside is not None and self._aside.add(""):
            words = _ASIDE[place.aside].format(
                there=shown(place.instead_of), path=shown(job.path), place=shown(place.path)
            )
            say(f"clova-speech: {words}", style="yellow")
        return place.there

    @property
    def more_aside(self) -> int:
        """Outputs that have another name than their first, beyond those that were named."""
        return max(0, self._aside.count - NAMED)
