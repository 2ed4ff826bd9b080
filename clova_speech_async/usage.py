"""What one call has cost so far, and what it has for it; filled while it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from .audio import Flaws, Piece
from .errors import ClovaSpeechError
from .http.call import MayGoOn
from .http.door import Place
from .models import Language, Recognition
from .transcript import Segment, Transcript

__all__ = ["Done", "Usage", "to_segment", "to_transcript"]


@dataclass
class Usage:
    """What one call has cost so far; filled while it runs."""

    tries: int = 0
    """Requests sent."""
    billed_seconds: int = 0
    """Seconds that the service billed for it."""
    maybe_billed_seconds: int = 0
    """Seconds that the service may have billed beside those, for tries that it heard and did not answer."""
    saved_seconds: int = 0
    """Seconds that would have been billed, had the journal not held the reply."""
    patient: bool = False
    """Whether the time-out of each request runs from its first slot; it does for every piece but the first."""
    may_go_on: MayGoOn | None = field(default=None, repr=False)
    """Called wherever it has waited, and when it is to `look_again`, with whether the request has been sent before;
    what it raises ends the call."""
    before_send: Callable[[Piece], None] | None = field(default=None, repr=False)
    """Called right before each try of a request, with its piece; what it raises ends the call."""
    on_setback: Callable[[ClovaSpeechError], Awaitable[None]] | None = field(default=None, repr=False)
    """Awaited when a request was thrown back in all its tries, the service or the way to it was out of order, or the
    retry budget had no try left for it, which is not the audio's fault; it is sent anew on return. What it raises ends
    the call."""
    errors: list[ClovaSpeechError] = field(default_factory=list, repr=False)
    """After a failure in several pieces: what each of them met, in time order; the first is what was raised."""
    done: list[Done] | None = field(default=None, repr=False)
    """Where it is a list: every piece that was recognised, as replies came. Who is cut off has paid for them."""
    flaws: Flaws = field(default_factory=Flaws, repr=False)
    """What the audio lacks; final when all of it has been read."""
    lang: Language | None = None
    """Of what was done."""
    label: str = ""
    """A name for the audio, kept in the journal for people to read."""
    place: Place | None = field(default=None, repr=False)
    """Its place, until its first request stands in line: a call that is refused is refused before any work."""

    def take_place(self) -> Place | None:
        """The place, for the first who asks."""
        place, self.place = self.place, None
        return place

    def partial(self) -> Transcript | None:
        """What there is of a recording that is not at its end; None where that is nothing, or was not collected."""
        if not self.done or self.lang is None:
            return None
        return to_transcript(map(to_segment, self.done), self.lang, self)


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


def to_segment(done: Done) -> Segment:
    """What a transcript keeps of a piece."""
    return Segment(
        start=done.start,
        end=done.end,
        text=done.recognition.text,
        channel=done.channel,
        billed_seconds=done.billed_seconds,
    )


def to_transcript(
    segments: Iterable[Segment], lang: Language, usage: Usage, duration: float | None = None
) -> Transcript:
    ordered = sorted(segments, key=lambda segment: (segment.start, segment.channel or 0))
    return Transcript(
        segments=tuple(ordered),
        language=lang.value,
        duration=max((segment.end for segment in ordered), default=0.0) if duration is None else duration,
        billed_seconds=usage.billed_seconds,
        saved_seconds=usage.saved_seconds,
        announced_duration=usage.flaws.announced,
        truncated=usage.flaws.truncated,
        lost_seconds=usage.flaws.lost_seconds,
    )
