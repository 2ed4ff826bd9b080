"""What is said of a recording: an error in the words of a command, named once, and what is missing of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from clova_speech_async.audio import Estimate
from clova_speech_async.errors import AudioReadError
from clova_speech_async.transcript import Transcript

from .inputs import STANDARD_INPUT, is_pattern, shown, url_of
from .remedies import in_words

__all__ = ["about", "what_is_missing", "words_for"]

_FILE_OBJECT = re.compile(r"the file object '[^']*'")


def about(path: Path, error: Exception | str) -> str:
    """An error, or its text, as one about `path`, which is named once."""
    text = words_for(path, error) if isinstance(error, Exception) else error
    named = (repr(str(path)), url_of(path) or repr(str(path)), "standard input")
    is_named = text.startswith(f"{path}: ") or any(name in text for name in named[: 3 if _is_stdin(path) else 2])
    return shown(text if is_named else f"{path}: {text}")


def words_for(path: Path, error: Exception, words: Callable[[Exception], str] = in_words) -> str:
    """The message of an error of the recording at `path`; `words`: how that of one that is not its name's is found."""
    told = _of_the_name(path, error)
    if told is not None:
        return told
    text, name = words(error), repr(str(path))
    if _is_stdin(path):
        return _FILE_OBJECT.sub("standard input", text, count=1)
    return text.replace(f"the file object {name}", name, 1)


def _of_the_name(path: Path, error: Exception) -> str | None:
    """What is wrong with the name of a recording that could not be opened, where that is all that is wrong."""
    if not isinstance(error, AudioReadError):
        return None
    name, url = str(path), url_of(path)
    if url is not None:
        is_file = url[:5].lower() == "file:"
        remedy = "give the path alone, without file://" if is_file else "URLs are not fetched: download it first"
        return f"{url} is a URL, no path: {remedy}" if is_file else f"{url} is a URL, and {remedy}"
    if is_pattern(name):
        return f"{path}: no file has such a name"
    if "\0" in name:
        return f"{path}: no file's name has a zero byte; a list such as find -print0 writes needs --null"
    if not isinstance(error.__cause__, FileNotFoundError):
        return None
    if name.startswith("~"):
        return f"{name!r}: there is no such file; a shell expands ~, here it is not expanded: write the folder"
    if name != name.strip():
        return f"{name!r}: there is no such file; it begins or ends with white space: take that off"
    return None


def _is_stdin(path: Path) -> bool:
    return str(path) == STANDARD_INPUT


def what_is_missing(found: Estimate | Transcript) -> str:
    """What a person must know of a recording that is not whole; empty for one that is."""
    parts = []
    if found.truncated:
        announced = found.announced_duration
        more = announced is not None and announced > found.duration
        parts.append(f"cut off: it has {found.duration:.1f}" + (f" of {announced:.1f} s" if more else " s and no end"))
    if found.lost_seconds:
        parts.append(f"damaged: about {found.lost_seconds:.1f} s in its middle cannot be read, and count as silence")
    return "; ".join(parts)
