"""The options that several commands share, and what is read out of those that a type does not check. No audio here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from clova_speech_async.audio import Channels
from clova_speech_async.errors import InvalidArgumentError
from clova_speech_async.http.control import Adaptive
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.models import Language

from .audio import Raw
from .common import fail_usage, usage_errors
from .inputs import shown
from .lists import read_text

__all__ = [
    "BoostingFileOption",
    "BoostingOption",
    "ChannelsOption",
    "ConcurrencyOption",
    "EmulatorOption",
    "EncodingOption",
    "FilesArgument",
    "FromFileOption",
    "InvokeURLOption",
    "JournalOption",
    "LangOption",
    "MaxDurationOption",
    "NullOption",
    "RateOption",
    "RawChannelsOption",
    "RawOption",
    "RequestsPerSecondOption",
    "TimeoutOption",
    "given_path",
    "parse_above_zero",
    "parse_boostings",
    "parse_concurrency",
    "parse_language",
    "parse_raw",
]

_RAW = "Samples without a header"

FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Speech files of any length and any common format, folders of them, or quoted patterns; '-': the audio "
        "comes through standard input."
    ),
]
FromFileOption = Annotated[
    str | None, typer.Option(help="A list of files, one in a line ('-': standard input), beside FILES.")
]
NullOption = Annotated[
    bool,
    typer.Option("--null", "-z", help="Names in lists end in a zero byte, as find -print0 writes them, not in a line."),
]
RawOption = Annotated[
    bool,
    typer.Option("--raw", help="FILES are samples without a header, of --rate.", rich_help_panel=_RAW),
]
RateOption = Annotated[int | None, typer.Option(help="Samples a second, e.g. 8000 of telephony.", rich_help_panel=_RAW)]
RawChannelsOption = Annotated[
    int, typer.Option("--raw-channels", help="Channels that take turns in them.", rich_help_panel=_RAW)
]
EncodingOption = Annotated[
    str,
    typer.Option(
        help="How a sample is written: u8, s8, s16le, s16be, s24le, s24be, s32le, s32be, f32le, f32be, f64le, f64be, "
        "mulaw or alaw.",
        rich_help_panel=_RAW,
    ),
]
LangOption = Annotated[
    str, typer.Option("--lang", "-l", help="Kor, Eng, Jpn or Chn; ISO codes such as ko-KR are taken, too.")
]
EmulatorOption = Annotated[
    bool,
    typer.Option("--emulator", help="Run against an emulator of the service inside this command: no key, no costs."),
]
ChannelsOption = Annotated[
    Channels,
    typer.Option(help="mix: the channels as one; each: every channel by itself, as in calls with a speaker on each."),
]
InvokeURLOption = Annotated[
    str | None,
    typer.Option("--invoke-url", envvar="CLOVA_SPEECH_INVOKE_URL", help="The domain's Invoke URL, in any form."),
]
ConcurrencyOption = Annotated[
    str,
    typer.Option(
        metavar="N|auto", help="Requests under way at once; auto: as many as the service bears, found out on the way."
    ),
]
RequestsPerSecondOption = Annotated[float | None, typer.Option(help="The most requests that begin in a second.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        help="Seconds for a request, over all its tries and the waits between them; 600 where it is not given."
    ),
]
BoostingOption = Annotated[
    list[str] | None,
    typer.Option("--boosting", metavar="WORD", help="A Korean keyword to favour; may be given several times."),
]


def given_path(text: str) -> Path:
    """A path that was given: an empty one, as of a variable that is not set, would be the folder we are in."""
    if not text:
        raise typer.BadParameter("it is empty: name one, or leave the option out")
    return Path(text)


BoostingFileOption = Annotated[
    Path | None,
    typer.Option(parser=given_path, metavar="FILE", help="Such keywords, one in a line of this file."),
]

MaxDurationOption = Annotated[
    float | None,
    typer.Option(help="Seconds; a longer file fails, as soon as its length is known."),
]
JournalOption = Annotated[
    Path | None,
    typer.Option(
        parser=given_path,
        metavar="FILE",
        help="Keep every reply here: what it holds is not sent, nor paid for, again.",
    ),
]


# --- what is read out of them -------------------------------------------------------------------------


def parse_language(lang: str) -> Language:
    """The language, or exit status 2."""
    with usage_errors():
        return Language.parse(lang)


def parse_raw(raw: bool, rate: int | None, channels: int, encoding: str) -> Raw | None:
    """How samples without a header are written, or exit status 2."""
    if not raw:
        if rate is not None or channels != 1 or encoding != "s16le":
            fail_usage("--rate, --raw-channels and --encoding go with --raw")
        return None
    if rate is None:
        fail_usage("--raw needs --rate: samples without a header do not tell it, e.g. --rate 8000")
    with usage_errors():
        return Raw(rate=rate, channels=channels, encoding=encoding)


def parse_concurrency(text: str) -> int | Adaptive:
    """Requests at once, or exit status 2."""
    if text.strip().lower() == "auto":
        return Adaptive()
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        fail_usage(f"--concurrency {text}: give a whole number from 1 up, or auto")
    return int(text)


def parse_above_zero(option: str, value: float | None, example: str) -> float | None:
    """A number that was given to `option`, or exit status 2 where it is not above 0, or has no end."""
    if value is not None and not 0 < value < math.inf:
        fail_usage(f"{option} {value:g}: give a number above 0, e.g. {example}")
    return value


def parse_boostings(language: Language, words: Iterable[str] | None, file: Path | None) -> tuple[str, ...]:
    """The keywords to favour, as the service takes them, or exit status 2."""
    listed = () if file is None else _keywords(file)
    every = (*(words or ()), *listed)
    _check_keywords(f"--boosting-file {file}", language, listed)
    _check_keywords("--boosting", language, every)
    return every


def _check_keywords(option: str, language: Language, words: tuple[str, ...]) -> None:
    try:
        Parameters.check(lang=language, boostings=words)
    except InvalidArgumentError as error:
        fail_usage(f"{option}{error.problem.removeprefix('boostings')}")


def _keywords(file: Path) -> tuple[str, ...]:
    try:
        lines = read_text(str(file.absolute())).splitlines()
    except (OSError, ValueError) as error:
        fail_usage(f"--boosting-file {shown(file)}: {getattr(error, 'strerror', None) or error}")
    return tuple(line.strip() for line in lines if line.strip())
