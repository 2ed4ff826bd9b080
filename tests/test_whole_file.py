from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.whole_file import path_of, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="links, modes and signals of POSIX")
both = pytest.mark.parametrize("overwrite", [True, False])


def left_in(folder: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


# --- whole or not at all ------------------------------------------------------------------------------


@both
def test_what_was_written_is_all_there_is(tmp_path: Path, overwrite: bool) -> None:
    write_whole(tmp_path / "a.txt", b"all", overwrite=overwrite)
    assert left_in(tmp_path) == {"a.txt": b"all"}


@posix
@both
@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_a_kill_leaves_the_old_file_or_none_and_never_an_empty_one(tmp_path: Path, step: str, overwrite: bool) -> None:
    path = tmp_path / "a.txt"
    if overwrite:
        path.write_bytes(b"before")
    program = """
        import os, signal, sys
        def die(*arguments, **options):
            os.kill(os.getpid(), signal.SIGKILL)
        setattr(os, sys.argv[2], die)
        from pathlib import Path  # before Python 3.11 it keeps the functions that it finds
        from clova_speech_async.whole_file import write_whole
        write_whole(Path(sys.argv[1]), b"after", overwrite=sys.argv[3] == "True")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(path), step, str(overwrite)]
    done = subprocess.run(command, timeout=30)
    if step == ("link" if overwrite else "replace"):  # not a step of this way
        assert (done.returncode, path.read_bytes()) == (0, b"after")
        return
    assert done.returncode == -signal.SIGKILL
    assert path.exists() == overwrite
    assert not overwrite or path.read_bytes() == b"before"
    # And what it left behind is in nobody's way.
    write_whole(path, b"later", overwrite=overwrite)
    assert path.read_bytes() == b"later"


@both
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool) -> None:
    path = tmp_path / "a.txt"
    if overwrite:
        path.write_bytes(b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, b"after", overwrite=overwrite)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert left_in(tmp_path) == ({"a.txt": b"before"} if overwrite else {})


def test_what_is_called_before_can_keep_the_file_out(tmp_path: Path) -> None:
    seen: list[int] = []

    def refuse(found: os.stat_result) -> None:
        seen.append(found.st_size)
        raise PermissionError(errno.EACCES, "no", "elsewhere")

    with pytest.raises(PermissionError) as caught:
        write_whole(tmp_path / "a.txt", b"12345", before=refuse)
    assert caught.value.filename == "elsewhere"  # it is not the path's
    assert seen == [5]
    assert left_in(tmp_path) == {}


# --- what is there already ----------------------------------------------------------------------------


def test_what_is_there_stays_unless_it_is_to_be_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")
    with pytest.raises(FileExistsError) as caught:
        write_whole(path, b"after", overwrite=False)
    assert (caught.value.errno, caught.value.filename, caught.value.filename2) == (errno.EEXIST, str(path), None)
    assert left_in(tmp_path) == {"a.txt": b"before"}
    write_whole(path, b"after")
    assert left_in(tmp_path) == {"a.txt": b"after"}


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
def test_of_two_who_write_at_once_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    path = tmp_path / "a.txt"
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", without_links)

    def another(_: os.stat_result) -> None:
        write_whole(path, b"another's", overwrite=False)

    with pytest.raises(FileExistsError):
        write_whole(path, b"mine", overwrite=False, before=another)
    assert left_in(tmp_path) == {"a.txt": b"another's"}


def without_links(self: Path, target: Any) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("kind", [OSError(errno.EPERM, "no"), NotImplementedError("no")], ids=["refused", "absent"])
def test_without_hard_links_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Exception) -> None:
    def none(self: Path, target: Path) -> None:
        raise kind

    monkeypatch.setattr(Path, "hardlink_to", none)
    path = tmp_path / "a.txt"
    write_whole(path, b"one", overwrite=False)
    with pytest.raises(FileExistsError):
        write_whole(path, b"two", overwrite=False)
    assert left_in(tmp_path) == {"a.txt": b"one"}


# --- links, modes, devices ----------------------------------------------------------------------------


@posix
def test_a_link_is_followed_or_replaced_as_is_asked(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    write_whole(link, b"followed")
    assert (link.is_symlink(), left_in(tmp_path / "real")) == (True, {"a.txt": b"followed"})
    write_whole(link, b"replaced", follow=False)
    assert (link.is_symlink(), link.read_bytes(), target.read_bytes()) == (False, b"replaced", b"followed")


@posix
@pytest.mark.parametrize("follow", [True, False])
def test_a_link_that_leads_nowhere_is_something_that_is_there(tmp_path: Path, follow: bool) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(FileExistsError):
        write_whole(link, b"x", overwrite=False, follow=follow)
    assert [entry.name for entry in tmp_path.iterdir()] == ["link.txt"]


@posix
def test_a_link_to_itself_is_an_error_of_the_system_or_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to(link)
    write_whole(link, b"x")
    assert link.read_bytes() == b"x"


@posix
def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    umask = os.umask(0o027)
    try:
        write_whole(path, b"new")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o600)
        write_whole(path, b"the owner's only")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        write_whole(tmp_path / "b.txt", b"new", overwrite=False)
        assert stat.S_IMODE((tmp_path / "b.txt").stat().st_mode) == 0o640
    finally:
        os.umask(umask)


@posix
def test_a_file_of_its_owner_is_never_open_to_others_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")
    path.chmod(0o600)
    modes: list[int] = []
    fsync = os.fsync

    def look(number: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(number).st_mode))
        fsync(number)

    monkeypatch.setattr(os, "fsync", look)
    write_whole(path, b"after")
    assert modes == [0o600]


@posix
def test_a_device_and_a_pipe_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    write_whole(Path("/dev/null"), b"x")
    assert not Path("/dev/null").is_file()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"through it", overwrite=False)
    reader.join(10)
    assert (read, pipe.is_fifo()) == ([b"through it"], True)


# --- where nothing can be written ---------------------------------------------------------------------


@both
def test_a_folder_says_so(tmp_path: Path, overwrite: bool) -> None:
    folder = tmp_path / "a.txt"
    folder.mkdir()
    with pytest.raises(IsADirectoryError, match="it is a folder; name a file in it") as caught:
        write_whole(folder, b"x", overwrite=overwrite)
    assert caught.value.filename == str(folder)
    assert left_in(folder) == {}


def test_a_folder_is_not_replaced_either(tmp_path: Path) -> None:
    folder = tmp_path / "a.txt"
    folder.mkdir()
    with pytest.raises(OSError) as caught:
        write_whole(folder, b"x", follow=False)
    assert caught.value.filename == str(folder)
    with pytest.raises(FileExistsError):
        write_whole(folder, b"x", follow=False, overwrite=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@posix
@both
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path, overwrite: bool) -> None:
    """In a process of its own, since the tests may run as a user whom no mode stops."""
    folder = tmp_path / "closed"
    folder.mkdir()
    for outer in folder.parents:
        if outer.stat().st_uid == os.getuid() and outer.name.startswith(("pytest-", "popen-", "test_")):
            outer.chmod(0o755)
    folder.chmod(0o555)
    program = """
        import os, sys
        from pathlib import Path
        from clova_speech_async.whole_file import write_whole
        if os.getuid() == 0:
            os.setgid(65534), os.setuid(65534)
        try:
            write_whole(Path(sys.argv[1]), b"x", overwrite=sys.argv[2] == "True")
        except PermissionError as error:
            print(error)
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-c", textwrap.dedent(program), str(folder / "a.txt"), str(overwrite)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"no permission to write in the folder {str(folder)!r}: {str(folder / 'a.txt')!r}" in done.stdout
    assert left_in(folder) == {}


@both
def test_a_missing_folder_is_named(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "nodir" / "a.txt"
    with pytest.raises(FileNotFoundError, match="there is no folder") as caught:
        write_whole(path, b"x", overwrite=overwrite)
    assert caught.value.filename == str(path)


# --- paths --------------------------------------------------------------------------------------------


def test_a_path_is_any_str_or_path() -> None:
    assert path_of("a/b.txt") == path_of(Path("a/b.txt")) == Path("a/b.txt")


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        (5, ArgumentTypeError, "journal must be a str or a path, not int"),
        (None, ArgumentTypeError, "journal must be a str or a path, not NoneType"),
        (b"a.txt", ArgumentTypeError, "journal must be a str or a path, not bytes"),
        ("", InvalidArgumentError, "journal is empty"),
        ("a\0b.txt", InvalidArgumentError, r"journal 'a\\x00b\.txt' has a null character in it"),
    ],
)
def test_what_no_file_can_be_called_is_named(path: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        path_of(path, name="journal")
    assert caught.value.argument == "journal"  # type: ignore[attr-defined]


@posix
def test_half_a_character_is_in_no_name_but_any_byte_may_be() -> None:
    with pytest.raises(InvalidArgumentError, match=r"path 'a\\ud800\.txt' has a character in it that"):
        path_of("a\ud800.txt")
    assert path_of(os.fsdecode(b"\xff.txt")) == Path("\udcff.txt")


def test_a_path_of_bytes_is_refused() -> None:
    class Odd:
        def __fspath__(self) -> bytes:
            return b"a"

    with pytest.raises(ArgumentTypeError, match="path must be a str or a path, not Odd"):
        path_of(Odd())  # type: ignore[arg-type]
