"""A file that is there whole or not at all, whatever ends the process, and the paths that name such files.

Law of this file: the content goes into a file beside the place, and that gets its name in one step, once all of it is
on the disk. Where nothing may be written over the step is a hard link, which fails where something is there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ArgumentTypeError, InvalidArgumentError

__all__ = ["path_of", "write_whole"]


def path_of(path: str | os.PathLike[str], *, name: str = "path") -> Path:
    """The path of a file, checked as far as can be without a look at the disk; `name`: of the argument it was.

    Raises `ArgumentTypeError` for what is no path, and `InvalidArgumentError` for one that no file can have.
    """
    given = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if not isinstance(given, str):
        raise ArgumentTypeError(f"{name} must be a str or a path, not {type(path).__name__}", argument=name)
    if not given:
        raise InvalidArgumentError(f"{name} is empty; name a file", argument=name)
    if "\0" in given:
        raise InvalidArgumentError(
            f"{name} {given!r} has a null character in it, and no file can have that name", argument=name
        )
    try:
        os.fsencode(given)
    except UnicodeEncodeError:
        raise InvalidArgumentError(
            f"{name} {given!r} has a character in it that the name of no file can have here", argument=name
        ) from None
    return Path(given)


def write_whole(
    path: Path,
    data: bytes,
    *,
    overwrite: bool = True,
    follow: bool = True,
    before: Callable[[os.stat_result], object] | None = None,
) -> None:
    """Write `data` to `path` so that at every moment all of it is there, or what was there before. Blocks.

    A new file has the mode that the umask leaves it, one that is written over keeps its own. `overwrite`: else what is
    there stays, be it a link that leads nowhere. `follow`: a link stays one, and what it leads to is written; a pipe or
    a device, which has nothing to replace, is written to. Else both are replaced. `before`: called with how the file
    will look, right before it is there; what it raises keeps the file out.

    Raises `FileExistsError` where something is there and `overwrite` is False, and any other `OSError` of the kind that
    was met, which names `path` and not the file beside it.
    """
    if follow and _is_no_plain_file(path):
        with _naming(path):
            path.write_bytes(data)
        return
    if not overwrite and os.path.lexists(path):
        raise _is_there(path)
    target = Path(os.path.realpath(path)) if follow and path.is_symlink() else path
    beside = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with _naming(path):
            _fill(beside, data, _mode(target))
        if before is not None:
            before(beside.stat())
        if overwrite:
            with _naming(path):
                beside.replace(target)
        else:
            _put_in_place(beside, path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _is_no_plain_file(path: Path) -> bool:
    """Whether it leads to a pipe, a device or the like. A folder raises, since nobody can mean that."""
    with _naming(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file in it")
        return path.exists() and not path.is_file()


def _mode(target: Path) -> int | None:
    """The mode of the file that is there; None where there is none, or something else."""
    with contextlib.suppress(OSError):
        found = target.lstat().st_mode
        return stat.S_IMODE(found) if stat.S_ISREG(found) else None
    return None


def _fill(beside: Path, data: bytes, mode: int | None) -> None:
    with beside.open("xb") as file:
        if mode is not None:
            with contextlib.suppress(OSError):  # a file system without modes, or an owner who may not set this one
                beside.chmod(mode)  # before there is anything in it that not everybody may read
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(beside: Path, path: Path) -> None:
    """Give the file its name, unless something has it: a hard link is the one step that does both at once."""
    with contextlib.suppress(OSError, NotImplementedError):
        path.hardlink_to(beside)
        return
    # Something has the name, the file system has no hard links, or it takes nothing: which it is, the next steps tell.
    if os.path.lexists(path):
        raise _is_there(path)
    with _naming(path):
        beside.rename(path)  # Windows itself refuses what is there by now


def _is_there(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an `OSError` name the path that was asked for, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, _reason(error, path.parent), str(path)) from error


def _reason(error: OSError, folder: Path) -> str:
    if isinstance(error, FileNotFoundError) and not folder.exists():
        return f"there is no folder {str(folder)!r} (Path.mkdir makes one)"
    if isinstance(error, PermissionError) and not os.access(folder, os.W_OK | os.X_OK):
        return f"no permission to write in the folder {str(folder)!r}"
    return error.strerror or str(error)
