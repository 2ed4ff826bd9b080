"""What goes into a batch and what comes out of it: frozen records that check themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from os import PathLike, fsdecode
from typing import TYPE_CHECKING, Any

from clova_speech_async.audio.names import described
from clova_speech_async.errors import ArgumentTypeError, ClovaSpeechError
from clova_speech_async.models import Language, Recognition
from clova_speech_async.transcript import Transcript

if TYPE_CHECKING:
    from clova_speech_async.audio import AudioInput, Channels

__all__ = ["Item", "Result"]


@dataclass(frozen=True, slots=True, repr=False)
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
    channels: Channels | None = field(default=None, kw_only=True)
    id: Any = field(default=None, kw_only=True)
    """Whatever tells the caller what this is; handed back in the result, and named in the journal."""

    def __post_init__(self) -> None:
        if isinstance(self.audio, Item):
            raise ArgumentTypeError("Item: audio is an Item itself; give the audio that is in it", argument="audio")
        object.__setattr__(self, "boostings", lasting(self.boostings))

    def __repr__(self) -> str:
        """The audio in a few words, never its bytes, and the options that were given."""
        return f"Item({', '.join([described(self.audio), *_given(self, after='audio')])})"

    @property
    def label(self) -> str:
        """A name for people: the id, else the path, else nothing."""
        if self.id is not None:
            return str(self.id)
        if isinstance(self.audio, (str, PathLike)):
            return fsdecode(self.audio)
        return ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:
        """The source in a few words, never its bytes, and what became of it."""
        source = repr(self.source) if isinstance(self.source, Item) else described(self.source)
        return f"Result(source={source}, index={self.index}, {', '.join(_given(self, after='index'))})"

    @property
    def from_journal(self) -> bool:
        """Whether the journal had all of it, so that nothing was sent."""
        return self.transcript is not None and self.tries == 0 and self.saved_seconds > 0

    def unwrap(self) -> Transcript:
        """The transcript; raises `error` where there is none."""
        if self.transcript is not None:
            return self.transcript
        if self.error is not None:
            raise self.error
        raise ClovaSpeechError("this result has neither a transcript nor an error")

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON knows it: its fields, what is in them by their own `to_dict`, and `from_journal`.

        The source is its path, of other audio what it is in a few words; an id is kept where JSON has such values, and
        is else its text; an error has its class (`type`), its `message` and, where the service answered, `status` and
        `code`.
        """
        audio = self.source.audio if isinstance(self.source, Item) else self.source
        plain = self.id is None or isinstance(self.id, (str, int, float))
        return {
            "source": fsdecode(audio) if isinstance(audio, (str, PathLike)) else described(audio),
            "index": self.index,
            "id": self.id if plain else str(self.id),
            "transcript": None if self.transcript is None else self.transcript.to_dict(),
            "error": None if self.error is None else _error(self.error),
            "partial": None if self.partial is None else self.partial.to_dict(),
            "recognition": None if self.recognition is None else self.recognition.to_dict(),
            "from_journal": self.from_journal,
            "tries": self.tries,
            "seconds": self.seconds,
            "billed_seconds": self.billed_seconds,
            "maybe_billed_seconds": self.maybe_billed_seconds,
            "saved_seconds": self.saved_seconds,
        }


def lasting(keywords: Iterable[str] | None) -> Iterable[str] | None:
    """Keywords that stay what they are, and can be read again, of an iterator, too.

    A set stays one: its order is another one in each process, and is for those to settle who check it.
    """
    if isinstance(keywords, set):
        return frozenset(keywords)
    return tuple(keywords) if isinstance(keywords, (list, Iterator)) else keywords


def _given(record: Item | Result, *, after: str) -> list[str]:
    """The fields behind `after` that are not what they are by default, as a repr shows them."""
    told = fields(record)
    behind = told[[one.name for one in told].index(after) + 1 :]
    values = [(one, getattr(record, one.name)) for one in behind]
    return [
        f"{one.name}={described(value) if one.name == 'id' else repr(value)}"
        for one, value in values
        # Anything may be an id, and an array has no single answer to being compared.
        if not (value is one.default or (isinstance(value, (int, float)) and value == one.default))
    ]


def _error(error: Exception) -> dict[str, Any]:
    found: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    for name in ("status", "code"):
        if hasattr(error, name):
            found[name] = getattr(error, name)
    return found
