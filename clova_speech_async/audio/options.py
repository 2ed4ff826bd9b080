"""What a person can choose and what comes out: options and results that check themselves. No sound is touched here."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from clova_speech_async.billing import billed
from clova_speech_async.checks import check_seconds
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

__all__ = ["LONGEST_REQUEST", "MOST_BYTES", "Channels", "Estimate", "Flaws", "Hole", "Piece", "Splitting"]

LONGEST_REQUEST = 60.0
"""Seconds of audio that the service takes in one request (its guide)."""
MOST_BYTES = 10_000_000
"""Bytes that the service takes in one request: "10 MB" in its guide, read in the way that is safe for both readings."""

Channels: TypeAlias = Literal["mix", "each"]
"""What becomes of several channels: one voice of all, or each transcribed by itself."""


@dataclass(frozen=True, kw_only=True)
class Splitting:
    """How audio of any length is cut into pieces that the service takes.

    `longest_piece`: seconds, at most 60, which is what the service takes. Shorter pieces give first results earlier.
    `shortest_dropped_silence`: seconds; a silence at least this long between two pieces is not sent.
    `padding`: seconds kept of a dropped silence before and after speech; at most half of `shortest_dropped_silence`.
    `channels`: ``"mix"`` makes one voice of all channels, ``"each"`` transcribes every channel by itself.
    `max_duration`: seconds; longer audio raises `AudioTooLongError` as soon as it is known. None: any length.
    """

    longest_piece: float = 60.0
    shortest_dropped_silence: float = 0.5
    padding: float = 0.2
    channels: Channels = "mix"
    max_duration: float | None = None

    def __post_init__(self) -> None:
        check_seconds(
            "longest_piece",
            self.longest_piece,
            least=5.0,
            most=LONGEST_REQUEST,
            remedy="; the service takes at most 60 s a request",
        )
        check_seconds("padding", self.padding, least=0.0, most=2.0, remedy="; 0.2 suits most recordings")
        check_seconds(
            "shortest_dropped_silence",
            self.shortest_dropped_silence,
            least=0.1,
            most=60.0,
            remedy="; 0.5 suits most recordings",
        )
        if self.shortest_dropped_silence < 2 * self.padding:
            raise InvalidArgumentError(
                f"shortest_dropped_silence={self.shortest_dropped_silence!r} is shorter than two paddings of "
                f"{self.padding!r} s: give at least {2 * self.padding!r}, or a smaller padding",
                argument="shortest_dropped_silence",
            )
        if self.channels not in ("mix", "each"):
            raise InvalidArgumentError(
                f'channels={self.channels!r} is not known: use "mix" or "each"', argument="channels"
            )
        if self.max_duration is not None:
            check_seconds("max_duration", self.max_duration, above=True, endless=True, remedy="; None sets no limit")

    @classmethod
    def of(cls, splitting: Splitting | None, channels: Channels | None, max_duration: float | None) -> Splitting:
        """The options that a call means: `splitting`, or the default, with what is given beside it."""
        options = cls() if splitting is None else splitting
        if not isinstance(options, Splitting):
            raise ArgumentTypeError(
                f"splitting must be a Splitting, not {type(splitting).__name__}", argument="splitting"
            )
        changes: dict[str, Any] = {"channels": channels, "max_duration": max_duration}
        return replace(options, **{name: value for name, value in changes.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Piece:
    """One upload: audio of at most 60 seconds and 10 MB in a format that the service takes."""

    index: int
    """0 for the first piece, in order of time."""
    start: float
    """Seconds on the time line of the recording."""
    end: float
    """Seconds on the time line of the recording."""
    data: bytes = field(repr=False)
    """The body of the request."""
    channel: int | None
    """The channel that was cut out of the recording, 0 for the left one; None where all are in one."""
    seconds: float
    """Length of the audio in `data`; what is billed."""
    original: bool
    """`data` are the recording's own bytes, untouched."""
    sound_digest: bytes | None = field(default=None, repr=False)
    """SHA-256 of the 16-bit samples in `data`, or None where `data` are the recording's own bytes."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of what is heard: of `data` where it is original, else of the 16-bit samples in it.

        An encoder's next version may write other bytes for the same sound; what was paid for is recognised all the
        same. Computed when asked for: a digest costs more than all checks of a short file.
        """
        return hashlib.sha256(self.data).digest() if self.sound_digest is None else self.sound_digest

    @property
    def billed_seconds(self) -> int:
        """What the service bills for this piece: `seconds` rounded up to a multiple of 15."""
        return billed(self.seconds)


@dataclass(frozen=True)
class Hole:
    """A stretch in the middle of a recording that could not be read, and is silence now."""

    at: float
    """Where it begins: seconds on the time line of the recording."""
    seconds: float
    """Its length, about: of what is missing only the bytes are known, or the place of what follows."""


@dataclass
class Flaws:
    """What is wrong with a recording that could be decoded all the same. Final when all of it has been decoded.

    Times are seconds on the time line of the recording.
    """

    announced: float | None = None
    """Seconds by the file's own account; None where it tells nothing."""
    truncated: bool = False
    """It has less than it announces, or its end is not there."""
    broken_off: bool = False
    """Its last frame (MP3, FLAC, AAC, AC3) is not whole, so that there surely was more of it."""
    short: bool = False
    """There surely was more of it, for the file is shorter than the sizes of its chunks or boxes (WAV, AIFF, M4A …)
    say; not set where a header only names a length, which a part that somebody copied still has from the whole."""
    holes: tuple[Hole, ...] = ()
    """What is damaged and was taken as silence, in order of time."""

    def take(self, other: Flaws) -> None:
        """Set every field to that of `other`."""
        self.announced, self.truncated = other.announced, other.truncated
        self.broken_off, self.short, self.holes = other.broken_off, other.short, other.holes

    @property
    def lacks_end(self) -> bool:
        """There surely was more of it, so that it must not be taken for a whole one in silence."""
        return self.broken_off or self.short

    @property
    def lost_seconds(self) -> float:
        """Seconds of all holes."""
        return math.fsum(hole.seconds for hole in self.holes)


@dataclass(frozen=True)
class Estimate:
    """What a recording would cost."""

    duration: float
    """Seconds of the recording."""
    requests: int
    """How many requests it takes."""
    billed_seconds: int
    """What the service would bill for them, a multiple of 15."""
    speech_seconds: float
    """Seconds in which something is heard, pauses left out; over all channels where each is transcribed."""
    announced_duration: float | None = None
    """Seconds by the file's own account; None where it tells nothing, or what cannot be."""
    truncated: bool = False
    """The end is missing: the file has less sound than it announces, or breaks off."""
    lost_seconds: float = 0.0
    """Seconds in the middle that are damaged and could not be read; they are silence now."""

    def to_dict(self) -> dict[str, Any]:
        """The estimate as JSON knows it: its fields."""
        return asdict(self)
