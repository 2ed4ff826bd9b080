"""What goes into a batch and what comes out of it: frozen records that check themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal

from clova_speech_async.errors import ArgumentTypeError
from clova_speech_async.models import Language, Recognition
from clova_speech_async.transcript import Transcript

if TYPE_CHECKING:
    from clova_speech_async.audio import AudioInput

__all__ = ["Item", "Result"]


@dataclass(frozen=True, slots=True)
class Item:
    """A source with options of its own; what is None is the batch's.

    With `assessment`, `utterance` or `graph` the audio goes out in one request, as `recognize` sends it, and must
    therefore be of at most 60 seconds; the reply is then in the result's `recognition`, too.
    """

    audio: AudioInput
    lang: str | Language | None = field(default=None, kw_only=True)
    assessment: bool | None = field(default=None, kw_only=True)
    utterance: str | None = field(default=None, kw_only=True)
    """The text that was to be said; with `assessment`."""
    graph: bool | None = field(default=None, kw_only=True)
    boostings: Iterable[str] | None = field(default=None, kw_only=True)
    channels: Literal["mix", "each"] | None = field(default=None, kw_only=True)
    id: Any = field(default=None, kw_only=True)
    """Whatever tells the caller what this is; handed back in the result, and named in the journal."""

    def __post_init__(self) -> None:
        if isinstance(self.audio, Item):
            raise ArgumentTypeError("Item: audio is an Item itself; give the audio that is in it")

    @property
    def label(self) -> str:
        """A name for people: the id, else the path, else nothing."""
        if self.id is not None:
            return str(self.id)
        if isinstance(self.audio, (str, PathLike)):
            return str(fspath(self.audio))
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one source. Exactly one of `transcript` and `error` is not None."""

    source: Any
    """What the sources gave, an `Item` or audio."""
    index: int
    """Its place among the sources, counted from 0."""
    id: Any = None
    """The `id` of an `Item`."""
    transcript: Transcript | None = None
    error: Exception | None = None
    """What came instead."""
    partial: Transcript | None = None
    """After an error in the middle of a recording: what had been recognised of it, and paid for, before."""
    recognition: Recognition | None = None
    """The reply itself, where assessment, an utterance or graphs were asked for."""
    tries: int = 0
    """Requests sent."""
    seconds: float = 0.0
    """Seconds it took, waiting for a slot included."""
    billed_seconds: int = 0
    """Seconds of audio that the service billed for it."""
    maybe_billed_seconds: int = 0
    """Seconds that it may have billed beside those, for tries that it heard and that got no readable reply."""
    saved_seconds: int = 0
    """Seconds that it would have billed, had the journal not had the reply."""

    @property
    def from_journal(self) -> bool:
        """Whether the journal had all of it, so that nothing was sent."""
        return self.transcript is not None and self.tries == 0 and self.saved_seconds > 0
