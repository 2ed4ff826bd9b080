"""Where the half of a recording goes: what was recognised of it is paid for, whatever ended the rest.

Law of this file: it never looks like a whole transcript. It goes beside its output under a name that no output has, or
to standard error; into no journal's way, which has it already.
"""

from __future__ import annotations

from pathlib import Path

from clova_speech_async.transcript import Transcript

from .about import about
from .common import say
from .inputs import shown
from .outputs import OutputTakenError, publish_partial

__all__ = ["Unfinished"]


class Unfinished:
    """Gives parts of recordings, in the form that was asked for; blocks."""

    def __init__(self, *, format: str, journal: Path | None) -> None:  # noqa: A002
        self._format = format
        self._journal = journal

    def give(self, part: Transcript, output: Path | None, *, lost: bool = False) -> None:
        """Give a part of the recording that was named last, whose output would have been `output`.

        `lost`: the journal did not take all of it.
        """
        if self._journal is not None and not lost:
            say(f"  what was recognised of it, and paid for, is in {shown(self._journal)}")
            return
        if output is not None:
            try:
                path = publish_partial(output, part.to_format(self._format))
            except (OSError, OutputTakenError) as error:
                say(f"  {about(output, error)}", style="red")
            else:
                say(f"  recognised before that, and paid for: see {shown(path)}")
                return
        self.show(part, "recognised before that, and paid for")

    def show(self, transcript: Transcript, what: str) -> None:
        """Say a text that has no other place; where it was asked for with times, with them: they are paid for, too."""
        text = transcript.to_format(self._format).rstrip("\n")
        say(f"  {what}: {text}" if self._format == "txt" else f"  {what}:\n{text}")
