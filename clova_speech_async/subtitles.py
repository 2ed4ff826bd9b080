"""Segments of up to a minute become subtitles that can be read: pure, and the only file that knows SRT and VTT.

A subtitle holds two lines and stands seven seconds at most. The times of a segment's parts are not known, so each
gets its share of the segment's time by the width of its text. Times are whole milliseconds; within a channel no
subtitle begins before the one before it has ended, and none is shorter than a millisecond.

WebVTT has escapes for its signs. SRT has none: readers take ``<…>`` and ``{…}`` for markup and a backslash for a
command, so these signs are replaced by their nearest likeness (‹ ( ) /), and ``-->`` by an arrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .checks import check_seconds, check_whole
from .errors import InvalidArgumentError
from .linebreak import divide, text_width

__all__ = ["Cue", "SubtitleLayout", "srt", "subtitle_cues", "vtt"]

_COLUMNS = {"Kor": 36, "Jpn": 32, "Chn": 32}
"""18 Korean letters, 16 Japanese or Chinese ones; a Korean line also has spaces, which are narrow."""


@dataclass(frozen=True)
class SubtitleLayout:
    """How large a subtitle may be and how long it stands."""

    columns: int = 42
    """Width of a line; a Korean, Japanese or Chinese letter takes two columns."""
    lines: int = 2
    longest: float = 7.0
    """Seconds."""
    shortest: float = 1.0
    """Seconds; a subtitle stands shorter only where the next one comes sooner."""

    def __post_init__(self) -> None:
        check_whole("columns", self.columns, least=10)
        check_whole("lines", self.lines)
        for name in ("longest", "shortest"):
            check_seconds(name, getattr(self, name), above=True)
        if not 0 < self.shortest <= self.longest < float("inf"):
            raise InvalidArgumentError(
                f"shortest ({self.shortest}) and longest ({self.longest}) must be seconds above 0, shortest not above "
                f"longest",
                argument="shortest",
            )

    @classmethod
    def for_language(cls, language: str) -> SubtitleLayout:
        """42 columns; 36 (18 wide letters) for ``"Kor"``, 32 (16 wide letters) for ``"Jpn"`` and ``"Chn"``."""
        return cls(columns=_COLUMNS.get(language, 42))


class Timed(Protocol):
    """What subtitles are made of: seconds, text, channel."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...
    @property
    def channel(self) -> int | None: ...


@dataclass(frozen=True)
class Cue:
    """One subtitle."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    channel: int | None = None
    """The channel it was said on, where there is more than one; else None."""


def subtitle_cues(segments: Iterable[Timed], layout: SubtitleLayout) -> list[Cue]:
    """The segments as subtitles in the order of their starts; segments without visible text give none."""
    kept = sorted(segments, key=lambda segment: (segment.start, segment.channel or 0))
    channels: dict[int | None, list[Timed]] = {}
    for segment in kept:
        channels.setdefault(segment.channel, []).append(segment)
    cues: list[Cue] = []
    for channel, own in channels.items():
        shown = channel if len(channels) > 1 else None
        narrower = replace(layout, columns=max(10, layout.columns - text_width(_label(shown))))
        cues += _in_order([cue for segment in own for cue in _divided(segment, shown, narrower)], layout)
    return sorted(cues, key=lambda cue: (cue.start_ms, cue.channel or 0))


def _divided(segment: Timed, channel: int | None, layout: SubtitleLayout) -> list[Cue]:
    seconds = segment.end - segment.start
    pieces = divide(
        segment.text,
        columns=layout.columns,
        lines=layout.lines,
        seconds=seconds,
        longest=layout.longest,
        shortest=layout.shortest,
    )
    cues: list[Cue] = []
    for piece in pieces:
        start = segment.start + seconds * piece.begin
        end = min(segment.start + seconds * piece.end, start + layout.longest)
        cues.append(Cue(round(start * 1000), round(end * 1000), piece.lines, channel))
    return cues


def _in_order(cues: Sequence[Cue], layout: SubtitleLayout) -> list[Cue]:
    """The same without overlaps, and each as long as it must be to be read, where there is room behind it."""
    shortest = round(layout.shortest * 1000)
    ordered: list[Cue] = []
    free = 0
    for index, cue in enumerate(cues):
        start = max(cue.start_ms, free)
        end = max(cue.end_ms, start + shortest)
        if index + 1 < len(cues):
            end = min(end, cues[index + 1].start_ms)
        end = max(end, start + 1)
        ordered.append(replace(cue, start_ms=start, end_ms=end))
        free = end
    return ordered


def _label(channel: int | None) -> str:
    return "" if channel is None else f"[{channel}] "


# --- the two formats ------------------------------------------------------------------------------

_SRT_LIKENESS = str.maketrans({"<": "‹", "{": "(", "}": ")", "\\": "/"})


def srt(cues: Iterable[Cue]) -> str:
    """The subtitles as SubRip; with more than one channel a subtitle begins with its channel, ``[1] …``."""
    blocks = []
    for number, cue in enumerate(cues, 1):
        text = "\n".join(line.replace("-->", "→").translate(_SRT_LIKENESS) for line in cue.lines)
        times = f"{_timestamp(cue.start_ms, ',')} --> {_timestamp(cue.end_ms, ',')}"
        blocks.append(f"{number}\n{times}\n{_label(cue.channel)}{text}\n")
    return "\n".join(blocks)


def vtt(cues: Iterable[Cue]) -> str:
    """The subtitles as WebVTT; with more than one channel each has its voice, ``<v Channel 1>``."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        text = "\n".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in cue.lines)
        voice = "" if cue.channel is None else f"<v Channel {cue.channel}>"
        blocks.append(f"{_timestamp(cue.start_ms, '.')} --> {_timestamp(cue.end_ms, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def _timestamp(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"
