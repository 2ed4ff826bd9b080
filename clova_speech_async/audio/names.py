"""What an input is called in messages, and why its name cannot be opened. This file touches nothing.

The law: no message grows with what it is about. Somebody who gives the content of a file for its name gets one line.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["described", "instead", "name_of_bytes", "name_of_file", "shown", "why_not_opened"]

_LONGEST, _FIRST, _LAST = 120, 60, 40
_LONGEST_PATH = 4096
"""Characters of a path on Linux; no system takes more, but for Windows when it is asked to."""
_URL = re.compile(r"(?i)(https?|ftps?|s3|gs|file):/")
_BASE64 = ("UklGR", "SUQz", "ZkxhQ", "T2dnUw", "data:")
"""How base64 of WAV, MP3, FLAC and OGG begins, and a data URL."""
_CONTENT = "this looks like the content of a file, not its name: pass bytes"


def shown(name: object) -> str:
    """The `repr` of a name, of a long one its first 60 and last 40 characters."""
    if isinstance(name, (str, bytes)) and len(name) > _LONGEST:
        # Cut before it is written out, too: a name may be a file's whole content.
        gap: Any = "…" if isinstance(name, str) else b"..."
        name = name[:_FIRST] + gap + name[-_LAST:]
    text = repr(name)
    return text if len(text) <= _LONGEST else f"{text[:_FIRST]}…{text[-_LAST:]}"


def described(value: object) -> str:
    """The `repr` of anything that may hold audio, without the audio: a recording is somebody's voice, and no log's."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{_counted(memoryview(value).nbytes, 'byte')}>"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"<{type(value).__name__} of {len(value)}>"
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"<{type(value).__name__} of {dtype}, shape {shape}>"
    if hasattr(value, "read") or hasattr(value, "__aiter__"):
        name = next((found for key in ("name", "filename") if (found := getattr(value, key, None))), None)
        told = f" {shown(name)}" if isinstance(name, (str, bytes, os.PathLike)) else ""
        return f"<{type(value).__name__}{told}>"
    return shown(value)


def name_of_bytes(size: int) -> str:
    """What bytes are called."""
    return f"the data given ({_counted(size, 'byte')})"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def name_of_file(file: object) -> str:
    """What a file object is called: by its own name, else by its class."""
    if type(file).__module__.partition(".")[0] == __name__.partition(".")[0]:
        # One of this package's own stands for another, or for an async iterable; nobody knows its class.
        behind = getattr(file, "behind", None)
        if behind is None:
            return "the async iterable"
        return shown(os.fspath(behind)) if isinstance(behind, (str, os.PathLike)) else name_of_file(behind)
    name = getattr(file, "name", None)
    if not isinstance(name, (str, bytes, os.PathLike)) or not name:
        name = type(file).__name__
    return f"the file object {shown(name)}"


def instead(audio: object) -> str:
    """What to do with what is no audio, but not far from it; nothing where that is not known."""
    if inspect.isasyncgenfunction(audio) or inspect.iscoroutinefunction(audio):
        awaited = "" if inspect.isasyncgenfunction(audio) else "await "
        return f"it is a function: call it, {awaited}{getattr(audio, '__name__', 'it')}(…)"
    if inspect.isawaitable(audio):
        return "it is still to come: await it first, and give what that returns"
    if isinstance(audio, (list, tuple, set, frozenset)):
        return 'for many recordings there is BatchTranscriber; samples are PCM(numpy.array(…, "int16"), sample_rate=…)'
    if isinstance(audio, Iterator):
        return 'join what it gives, b"".join(…), or make an async generator of it'
    return "it is a function: call it" if inspect.isroutine(audio) else ""


def why_not_opened(path: str | bytes, error: Exception) -> str:
    """The message for a path that raised `error`, an OSError or ValueError, when it was opened."""
    text, name = os.fsdecode(path), shown(path)
    if _URL.match(text):
        return _url(text)
    reason = str(getattr(error, "strerror", None) or error)
    if isinstance(error, ValueError) or getattr(error, "errno", 0) == errno.ENAMETOOLONG or len(text) > _LONGEST_PATH:
        base64 = " (base64.b64decode makes bytes of it)" if text.startswith(_BASE64) else ""
        # A codec's error shows the whole name.
        reason = "it is no text" if isinstance(error, UnicodeError) else reason
        return f"{name}: it cannot be opened: {reason}: {_CONTENT}{base64}"
    if isinstance(error, FileNotFoundError):
        return _missing(text, name)
    if isinstance(error, IsADirectoryError):
        return f"{name} is a folder, not a file"
    if isinstance(error, PermissionError):
        return f"{name}: no permission to read it"
    return f"{name}: it cannot be opened: {reason}"


def _url(text: str) -> str:
    # What signs a URL stands in its query, and a password before its host: neither belongs into a message.
    bare = re.sub(r"(:/+)[^/@]*@", r"\1", text.partition("?")[0].partition("#")[0])
    if text[:5].lower() == "file:":
        return f"{shown(bare)} is a URL, not a path: pass the path alone, without file://"
    return f"{shown(bare)} is a URL, and URLs are not fetched: download it first and pass the bytes or the path"


def _missing(text: str, name: str) -> str:
    if not text:
        return "the path is empty: give the name of a file, or the bytes of one"
    hint = ""
    if text.startswith("~"):
        hint = ": ~ is not expanded here, os.path.expanduser does it"
    elif text != text.strip():
        hint = ": it begins or ends with white space, strip() takes it off"
    elif text[0] in "'\"" and text[-1] == text[0]:
        hint = ": the quotation marks are part of the name, take them off"
    return f"{name}: there is no such file{hint}"
