"""What has come of one call so far, and what it has cost; filled while it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .audio import Flaws
from .errors import ClovaSpeechError
from .models import Language, Recognition
from .transcript import Segment, Transcript

__all__ = ["Done", "Outcome", "to_segment"]


@dataclass(frozen=True, slots=True)
class Done:
    """One piece that has been recognised."""

    index: int
    start: float
    end: float
    channel: int | None
    recognition: Recognition
    billed_seconds: int
    """What the service billed for it in this call; 0 where the journal had it."""


@dataclass
class Outcome:
    """What one call has come to so far."""

    tries: int = 0
    """Requests sent."""
    billed_seconds: int = 0
    """Seconds that the service billed for it."""
    maybe_billed_seconds: int = 0
    """Seconds that the service may have billed beside those, for tries that it heard and did not answer."""
    saved_seconds: int = 0
    """Seconds that would have been billed, had the journal not held the reply."""
    done: list[Done] | None = None
    """Where it is a list: every piece that was recognised, as replies came."""
    errors: list[ClovaSpeechError] = field(default_factory=list)
    """After a failure in several pieces: what each of them met, in time order; the first is what was raised."""
    flaws: Flaws = field(default_factory=Flaws)
    """What the audio lacks; final when all of it has been read."""

    lang: Language | None = None
    """Of what was recognised."""

    def partial(self) -> Transcript | None:
        """What there is of a recording that is not at its end; None where that is nothing, or was not collected."""
        if not self.done or self.lang is None:
            return None
        return self.transcript(map(to_segment, self.done), self.lang)

    def transcript(self, segments: Iterable[Segment], lang: Language, duration: float | None = None) -> Transcript:
        """The transcript of `segments`, in time order; without `duration` (seconds) it ends with the last of them."""
        ordered = sorted(segments, key=lambda segment: (segment.start, segment.channel or 0))
        return Transcript(
            segments=tuple(ordered),
            language=lang.value,
            duration=max((segment.end for segment in ordered), default=0.0) if duration is None else duration,
            billed_seconds=self.billed_seconds,
            saved_seconds=self.saved_seconds,
            announced_duration=self.flaws.announced,
            truncated=self.flaws.truncated,
            lost_seconds=self.flaws.lost_seconds,
        )


def to_segment(done: Done) -> Segment:
    """What a transcript keeps of a piece."""
    return Segment(
        start=done.start,
        end=done.end,
        text=done.recognition.text,
        channel=done.channel,
        billed_seconds=done.billed_seconds,
    )
