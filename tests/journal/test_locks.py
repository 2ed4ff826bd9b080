from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.journal import locks as module
from clova_speech_async.journal.locks import ClaimLocks

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such locks on Windows")
Key = Callable[[int], bytes]


@pytest.fixture(params=["by opening", "by process"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by process":
        monkeypatch.setattr(module, "_BY_OPENING", False)
    elif not module._BY_OPENING:
        pytest.skip("locks belong to processes here")
    return str(request.param)


@pytest.fixture
def locks(path: Path, kind: str) -> Iterator[ClaimLocks]:
    locks = ClaimLocks(path)
    locks.open()
    yield locks
    locks.close()


def taken_by_another_process(path: Path, keys: list[bytes]) -> list[bool]:
    program = (
        "import sys; from pathlib import Path; from clova_speech_async.journal.locks import ClaimLocks\n"
        "locks = ClaimLocks(Path(sys.argv[1])); locks.open()\n"
        "print([locks.take(bytes.fromhex(key)) for key in sys.argv[2:]])"
    )
    command = [sys.executable, "-c", program, str(path), *(key.hex() for key in keys)]
    return eval(subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout)  # type: ignore[no-any-return]


def test_what_one_process_has_another_cannot_have(locks: ClaimLocks, path: Path, key: Key) -> None:
    assert locks.take(key(1))
    assert locks.take(key(2))
    assert taken_by_another_process(path, [key(1), key(2), key(3)]) == [False, False, True]
    locks.release(key(1))
    # The other process has died: what it had is free again.
    assert taken_by_another_process(path, [key(1), key(2), key(3)]) == [True, False, True]


FORKED = """
    import os, signal, sys
    from pathlib import Path
    from clova_speech_async.journal.locks import ClaimLocks
    key = bytes.fromhex(sys.argv[2])
    locks = ClaimLocks(Path(sys.argv[1]))
    locks.open()
    locks.take(key)
    if os.fork() == 0:
        locks.release(key)
        locks.close()
        print("the child has closed what it inherited", flush=True)
        os.read(0, 1)
        os._exit(0)
    signal.pause()
"""


@pytest.mark.skipif(not module._BY_OPENING, reason="locks belong to processes here")
def test_a_process_that_is_forked_neither_takes_nor_keeps_its_parents_locks(path: Path, key: Key) -> None:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKED), str(path), key(1).hex()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert b"closed" in parent.stdout.readline()
        assert path.with_name("run.db-claims").exists()
        assert taken_by_another_process(path, [key(1)]) == [False]
        parent.kill()
        parent.wait(10)
        assert taken_by_another_process(path, [key(1)]) == [True]  # while the child goes on


@pytest.mark.skipif(not module._BY_OPENING, reason="locks belong to processes here")
def test_another_journal_of_the_same_process_cannot_have_it_either(path: Path, key: Key) -> None:
    one, two = ClaimLocks(path), ClaimLocks(path)
    one.open()
    two.open()
    assert one.exclude_all
    assert one.take(key(1))
    assert not two.take(key(1))
    two.close()
    assert path.with_name("run.db-claims").exists()
    assert taken_by_another_process(path, [key(1)]) == [False]
    one.close()
    assert not path.with_name("run.db-claims").exists()


def test_the_file_stays_while_anybody_has_it_open(path: Path, locks: ClaimLocks, key: Key) -> None:
    # Else who comes later would make another one, and the two would not keep each other out.
    assert taken_by_another_process(path, [key(2)]) == [True]
    other = (
        "import sys; from pathlib import Path; from clova_speech_async.journal.locks import ClaimLocks\n"
        "locks = ClaimLocks(Path(sys.argv[1])); locks.open(); locks.close()"
    )
    subprocess.run([sys.executable, "-c", other, str(path)], check=True, timeout=30)
    assert locks.take(key(1))
    assert taken_by_another_process(path, [key(1)]) == [False]


def test_a_file_that_was_taken_away_while_it_was_opened_is_made_again(
    path: Path, kind: str, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims, real, opened = path.with_name("run.db-claims"), os.open, []

    def slowly(*arguments: Any) -> int:
        opened.append(real(*arguments))
        if len(opened) == 1:
            claims.unlink()  # by who closed it last, right between
        return opened[-1]

    monkeypatch.setattr(os, "open", slowly)
    locks = ClaimLocks(path)
    locks.open()
    assert len(opened) == 2
    monkeypatch.setattr(os, "open", real)
    assert locks.take(key(1))
    assert taken_by_another_process(path, [key(1)]) == [False]
    locks.close()
    assert not claims.exists()


def test_locks_of_a_process_are_not_said_to_exclude_all(locks: ClaimLocks, kind: str) -> None:
    assert locks.exclude_all == (kind == "by opening")


def test_without_a_file_everything_is_allowed(tmp_path: Path, key: Key) -> None:
    locks = ClaimLocks(tmp_path / "absent" / "run.db")
    locks.open()
    assert not locks.exclude_all
    assert locks.take(key(1))
    locks.release(key(1))
    locks.close()


def test_where_the_system_has_no_locks_everything_is_allowed(
    locks: ClaimLocks, path: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_set", none)
    assert locks.take(key(1))
    assert not locks.exclude_all


def test_on_windows_everything_is_allowed(path: Path, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fcntl", None)
    locks = ClaimLocks(path)
    locks.open()
    assert locks.take(key(1))
    assert list(path.parent.iterdir()) == []
