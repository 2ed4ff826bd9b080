"""Which files a person means: files, folders, and patterns that the shell left alone. No audio is read here.

Law of this file: lazy, and in the same order every time. What a person names is taken, whatever it is; of what is
found in a folder or by a pattern, only files: it may be that nobody writes to a pipe that lies there, and a night's run
would wait for it.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = [
    "NOTHING_FOUND",
    "NO_SAMPLES_FOUND",
    "STANDARD_INPUT",
    "LeavesOut",
    "Source",
    "as_given",
    "find_sources",
    "is_folder",
    "is_pattern",
    "readable",
    "shown",
    "url_of",
]

STANDARD_INPUT = "-"
"""As a file's name: the audio comes through standard input."""

ENDINGS = {
    "WAV": "wav wave",
    "WAV (big-endian)": "wav",
    "RF64": "rf64 bw64 bwf",
    "W64": "w64",
    "MP3": "mp3 mp2 mp1 mpga mpa",
    "FLAC": "flac fla",
    "OGG": "ogg oga opus spx",
    "AAC": "aac adts",
    "AAC (ADIF)": "aac adif",
    "AC3": "ac3 ec3 eac3",
    "M4A": "m4a m4b m4p m4r f4a",
    "MP4": "mp4 m4v mov qt 3gp 3gpp 3ga 3g2 f4v",
    "AU": "au snd",
    "CAF": "caf",
    "AIFF": "aif aiff aifc",
    "VOC": "voc",
    "NIST": "nist sph",
    "AMR": "amr awb",
    "FLV": "flv",
    "WavPack": "wv",
    "Monkey's Audio": "ape",
    "WMA or ASF": "wma asf wmv",
    "AVI": "avi",
    "WebM": "webm weba",
    "Matroska": "mka mkv",
    "MPEG program stream": "mpg mpeg vob",
    "MPEG transport stream": "ts",
}
"""By the format that the first bytes tell: how its files end."""
_SUFFIXES = frozenset(f".{name}" for names in ENDINGS.values() for name in names.split())
"""What is taken from a folder. A file that is named is taken whatever it is called: its first bytes tell the format."""
_RAW_SUFFIXES = frozenset(f".{name}" for name in "al alaw g711 mulaw pcm raw s16 sln u8 ul ulaw".split())  # noqa: SIM905
"""The same where samples without a header are looked for: whatever has one would be heard as noise."""
NOTHING_FOUND = "no audio files were found: in a folder they are known by their endings, such as .wav, .mp3 or .m4a"
NO_SAMPLES_FOUND = (
    "no samples without a header were found: in a folder they are known by their endings, such as .raw, .pcm or .ulaw"
)
_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_URL = re.compile(r"(?i)((?:https?|ftps?|s3|gs|file):)/(?=[^/])")


class LeavesOut(Protocol):
    """Is told what is left out of folders and patterns."""

    def no_file(self, path: Path, what: str) -> None:
        """`path` is no file, but a named pipe, say: `what`."""

    def not_audio(self, path: Path) -> None:
        """By its ending the file at `path` is no audio."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to transcribe."""

    path: Path
    relative: Path
    """Its name for the output: below the folder it was found in, else the file's name alone."""
    real: str = ""
    """Its absolute path, links followed; empty where that is not known."""


def find_sources(names: Iterable[str], *, raw: bool = False, left_out: LeavesOut | None = None) -> Iterator[Source]:
    """Every file that `names` mean, each once, as they are found.

    A folder means the audio files in it and below it, by their suffix, hidden ones left out. A name with ``*``, ``?``
    or ``[`` that is no file is a pattern; ``**`` goes through folders. What is not there comes out as it is, so that
    the run reports it; so does a folder that cannot be looked into. ``-`` is standard input.

    `raw`: of a folder the files of samples without a header, by their suffix. `left_out` is told what is left out.
    """
    look = _Look(raw=raw, left_out=left_out)
    seen: set[str] = set()
    for name in names:
        for source in look.meant(name):
            real = _real(source.path)
            if real not in seen:
                seen.add(real)
                yield Source(source.path, source.relative, real)


class _Look:
    """Looks into folders and for patterns."""

    def __init__(self, *, raw: bool, left_out: LeavesOut | None) -> None:
        self._suffixes = _RAW_SUFFIXES if raw else _SUFFIXES
        self._left_out = left_out

    def meant(self, name: str) -> Iterator[Source]:
        path = Path(name)
        if name == STANDARD_INPUT:
            yield Source(path, Path("stdin"))
        elif is_folder(name):
            yield from self._below(path)
        elif is_pattern(name):
            found = False
            for match in sorted(glob.iglob(name, recursive=True)):  # noqa: PTH207 - it takes absolute patterns, too
                found = True
                if not Path(match).is_dir() and self._is_file(Path(match)):
                    yield Source(Path(match), Path(Path(match).name))
            if not found:
                yield Source(path, Path(path.name))
        else:
            # A file that is called so, named as ./-, must not be taken for standard input.
            yield Source(path.absolute() if str(path) == STANDARD_INPUT else path, Path(path.name))

    def _below(self, folder: Path) -> Iterator[Source]:
        closed: list[str] = []
        for where, folders, files in os.walk(folder, onerror=lambda error: closed.append(str(error.filename))):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for path in (Path(where, name) for name in sorted(files) if not name.startswith(".")):
                if path.suffix.lower() not in self._suffixes:
                    self._pass_over(path)
                elif self._is_file(path):
                    yield Source(path, path.relative_to(folder))
        for name in closed:
            yield Source(Path(name), Path(name).relative_to(folder))

    def _is_file(self, path: Path) -> bool:
        """Whether it is to be read; what is not there is, so that it is reported."""
        try:
            mode = path.stat().st_mode
        except OSError:
            return True
        if stat.S_ISREG(mode):
            return True
        if self._left_out is not None:
            self._left_out.no_file(path, next((words for is_one, words in _KINDS if is_one(mode)), "no file"))
        return False

    def _pass_over(self, path: Path) -> None:
        if self._left_out is not None:
            self._left_out.not_audio(path)


def is_folder(name: str) -> bool:
    """Whether `name` is a folder that may be looked into."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # a name that is too long, a folder above it that is closed, a zero byte
        return False


def is_pattern(name: str) -> bool:
    """Whether `name` stands for others: it has a wildcard, and no file is called so."""
    try:
        return glob.has_magic(name) and not Path(name).exists()
    except (OSError, ValueError):
        return False


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)  # nothing to be opened: that is for the run to find and to report


def as_given(name: object) -> str:
    """A file's name as it was given: a `Path` makes one of the slashes of a URL."""
    text = str(name)
    scheme = _URL.match(text)
    if scheme is None:
        return text
    return f"{scheme[1]}{'///' if scheme[1].lower() == 'file:' else '//'}{text[scheme.end() :]}"


def url_of(path: Path) -> str | None:
    """The URL that was given for a file's name, without what nobody else may see of it; None where it is a name."""
    if not _URL.match(str(path)):
        return None
    return re.sub(r"(//)[^/@]*@", r"\1", re.split("[?#]", as_given(path))[0])


def shown(name: object) -> str:
    """A file's name for people: no line break and no escape sequence in it reaches the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in readable(name))


def readable(name: object) -> str:
    """A file's name as text that can be written, as JSON for one: bytes in it that are no UTF-8 are replaced."""
    text = as_given(name)
    try:
        return os.fsencode(text).decode("utf-8", "replace")
    except UnicodeEncodeError:  # half a letter, as only JSON can hold it
        return text.encode("utf-8", "replace").decode("utf-8")
