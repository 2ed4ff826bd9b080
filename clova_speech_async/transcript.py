"""A transcript: what was said when, and the forms in which people want it. Knows neither audio nor network."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from .checks import check_seconds
from .errors import ArgumentTypeError, InvalidArgumentError
from .subtitles import SubtitleLayout, srt, subtitle_cues, vtt
from .whole_file import path_of, write_whole

__all__ = ["Segment", "Transcript"]

_UNSPACED = ("Jpn", "Chn")
_FORMATS = ("txt", "srt", "vtt", "json", "jsonl")


class Segment(msgspec.Struct, frozen=True):
    """One stretch of speech, recognised by one request."""

    start: float
    """Seconds from the beginning of the audio."""
    end: float
    """Seconds from the beginning of the audio."""
    text: str
    """What was recognised; may be empty."""
    channel: int | None = None
    """The channel it was said on, counted from 0, where each channel was transcribed alone; else None."""
    billed_seconds: int | None = None
    """What the service billed for it in seconds; None where it does not tell."""

    def __post_init__(self) -> None:
        check_seconds("Segment: start", self.start)
        check_seconds("Segment: end", self.end)
        if self.end < self.start:
            raise InvalidArgumentError(
                f"Segment: end ({self.end}) must not be before start ({self.start})", argument="end"
            )

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


class Transcript(msgspec.Struct, frozen=True):
    """What was said in a whole recording."""

    segments: tuple[Segment, ...] = ()
    """In the order of their starts."""
    language: str = "Kor"
    """The service's own name of the language: ``"Kor"``, ``"Eng"``, ``"Jpn"`` or ``"Chn"``."""
    duration: float = 0.0
    """Seconds of the whole recording, silence included."""
    billed_seconds: int = 0
    """What the service billed, in seconds."""
    saved_seconds: int = 0
    """What it would have billed for segments that were taken from a journal instead, in seconds."""
    announced_duration: float | None = None
    """Seconds of the recording by its file's own account; None where it tells nothing."""
    truncated: bool = False
    """The end of the recording is missing: it has less than it announces, or breaks off."""
    lost_seconds: float = 0.0
    """Seconds in its middle that were damaged and could not be read; they are silence on the time line."""

    def __post_init__(self) -> None:
        check_seconds("Transcript: duration", self.duration)
        if isinstance(self.language, Enum):
            msgspec.structs.force_setattr(self, "language", str(self.language.value))

    @property
    def text(self) -> str:
        """The whole text: joined by spaces, and without any in Japanese and Chinese, where words have none between.

        Where there is more than one channel, each turn is a line of its own, ``Channel 1: …``.
        """
        if len({segment.channel for segment in self.segments}) < 2:
            return self._join(self.segments)
        turns = groupby((s for s in self.segments if s.text.strip()), key=lambda segment: segment.channel)
        return "\n".join(f"{_speaker(channel)}: {self._join(turn)}" for channel, turn in turns)

    def _join(self, segments: Iterable[Segment]) -> str:
        joined = ""
        for segment in segments:
            text = segment.text.strip()
            joined += (" " if joined and text and self._is_spaced(joined[-1], text[0]) else "") + text
        return joined

    def _is_spaced(self, last: str, first: str) -> bool:
        # Two Latin words side by side need their space in a Japanese text, too.
        return self.language not in _UNSPACED or not (_is_wide(last) or _is_wide(first))

    # --- forms ------------------------------------------------------------------------------------

    def to_dicts(self) -> list[dict[str, Any]]:
        """A row a segment (start, end, text, channel, billed_seconds), as pandas and Polars take them."""
        return [msgspec.structs.asdict(segment) for segment in self.segments]

    def to_dict(self) -> dict[str, Any]:
        """The transcript as JSON knows it: its fields, and its text."""
        return {
            "language": self.language,
            "duration": self.duration,
            "billed_seconds": self.billed_seconds,
            "saved_seconds": self.saved_seconds,
            "announced_duration": self.announced_duration,
            "truncated": self.truncated,
            "lost_seconds": self.lost_seconds,
            "text": self.text,
            "segments": self.to_dicts(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON, its letters unescaped; on one line unless `indent` spaces are asked for."""
        encoded = msgspec.json.encode(self.to_dict())
        return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()

    @classmethod
    def from_json(cls, data: str | bytes) -> Transcript:
        """The transcript that `to_json` wrote. Raises `InvalidArgumentError` where `data` is none."""
        try:
            found = msgspec.json.decode(data)
            if isinstance(found, dict) and "segments" not in found:
                raise InvalidArgumentError(f"data is not the JSON of a transcript: {_without_segments(found)}")
            return msgspec.convert(found, cls)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InvalidArgumentError(f"data is not the JSON of a transcript: {error}") from None

    def to_jsonl(self) -> str:
        """A line of JSON a segment."""
        return "".join(msgspec.json.encode(row).decode() + "\n" for row in self.to_dicts())

    def to_srt(self, layout: SubtitleLayout | None = None) -> str:
        """The transcript as SubRip subtitles, by default in the layout customary for its language."""
        return srt(subtitle_cues(self.segments, layout or SubtitleLayout.for_language(self.language)))

    def to_vtt(self, layout: SubtitleLayout | None = None) -> str:
        """The transcript as WebVTT subtitles, by default in the layout customary for its language."""
        return vtt(subtitle_cues(self.segments, layout or SubtitleLayout.for_language(self.language)))

    def to_format(self, format: str) -> str:  # noqa: A002 - the word people look for
        """The transcript in one of ``"txt"``, ``"srt"``, ``"vtt"``, ``"json"`` and ``"jsonl"``, as `save` writes it."""
        if not isinstance(format, str):
            raise ArgumentTypeError(
                f"format must be a str, one of {_named(_FORMATS)}, not {format!r}", argument="format"
            )
        match format.lower().removeprefix("."):
            case "txt":
                return self.text + "\n"
            case "srt":
                return self.to_srt()
            case "vtt":
                return self.to_vtt()
            case "json":
                return self.to_json(indent=2) + "\n"
            case "jsonl":
                return self.to_jsonl()
        raise InvalidArgumentError(f"format {format!r} is unknown; use one of {_named(_FORMATS)}")

    def save(self, path: str | os.PathLike[str], format: str | None = None, *, overwrite: bool = True) -> Path:  # noqa: A002
        """Write the transcript as UTF-8 to a file, whole or not at all, and return the file's path.

        The form is `format`, or what the path's suffix says: .txt, .srt, .vtt, .json or .jsonl. The file is written
        beside the path and then gets its name. This blocks: in a coroutine use ``anyio.to_thread.run_sync``.

        Raises `InvalidArgumentError` for another suffix, `FileExistsError` where something is at the path and
        `overwrite` is False, and any other `OSError` where it cannot be written.
        """
        target = path_of(path)
        if format is None and target.suffix.lower().removeprefix(".") not in _FORMATS:
            known = _named(f".{name}" for name in _FORMATS)
            raise InvalidArgumentError(
                f"path {str(target)!r} must end in {known}, or name the format: save(path, 'txt')"
            )
        text = self.to_format(target.suffix if format is None else format)
        write_whole(target, text.encode("utf-8", "replace"), overwrite=overwrite)
        return target


def _without_segments(found: dict[str, Any]) -> str:
    """What an object is that has no segments; its texts are not shown."""
    names = ", ".join(repr(name) for name in list(found)[:5]) + (", …" if len(found) > 5 else "")
    if "error" in found:
        return f"it is an error, with {names} and no 'segments'"
    if "text" in found and {"quota", "assessment"} & set(found):
        return f"it is a reply of recognize(), with {names} and no 'segments'"
    return f"it has {names or 'nothing'}, and no 'segments'"


def _named(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"


def _speaker(channel: int | None) -> str:
    return "Mixed" if channel is None else f"Channel {channel}"


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"
