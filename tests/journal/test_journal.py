from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError, JournalError
from clova_speech_async.journal import Claim, Journal, Stored
from clova_speech_async.journal.file import JournalFile
from clova_speech_async.journal.store import Store

pytestmark = pytest.mark.anyio
Key = Callable[[int], bytes]
BODY = b'{"text": "hello", "quota": 15}'


@pytest.fixture
async def journal(path: Path, anyio_backend: str) -> AsyncIterator[Journal]:
    async with Journal(path, commit_delay=0, clock=lambda: 1_700_000_000.0, busy_timeout=0.05) as journal:
        yield journal


async def put(journal: Journal, key: bytes, body: bytes = BODY) -> None:
    async with journal.claim(key, lang="Kor", label="talk.wav") as claim:
        assert claim.stored is None
        await claim.put(body, billed_seconds=15, seconds=2.5)


def fill_up(journal: Journal) -> None:
    writer = journal._file._writer
    assert writer is not None
    (pages,) = writer.database.execute("PRAGMA page_count").fetchone()
    writer.database.execute(f"PRAGMA max_page_count = {pages}")


def make_room(journal: Journal) -> None:
    writer = journal._file._writer
    assert writer is not None
    writer.database.execute("PRAGMA max_page_count = 1000000")


BIG = b"x" * 100_000


async def test_a_reply_is_found_by_what_was_sent(journal: Journal, key: Key) -> None:
    await put(journal, key(1))
    async with journal.claim(key(1)) as claim:
        assert claim.stored == Stored(BODY, 15, 2.5, 1_700_000_000.0)
        assert claim.stored.when == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
    async with journal.claim(key(2)) as claim:
        assert claim.stored is None


async def test_a_name_that_is_no_text_keeps_no_reply_out(journal: Journal, key: Key) -> None:
    # A file's name need not be UTF-8; the replies written together with its own are not to be lost either.
    async def put_as(number: int, label: str) -> None:
        async with journal.claim(key(number), label=label) as claim:
            await claim.put(BODY, billed_seconds=15, seconds=1.0)

    async with anyio.create_task_group() as group:
        for number, label in enumerate(("\udcff말.wav", "plain.wav", "말\n\0.wav")):
            group.start_soon(put_as, number, label)
    assert sorted([entry.label async for entry in journal.entries()]) == ["?말.wav", "plain.wav", "말\n\0.wav"]


async def test_opens_at_its_first_use_and_outlives_its_object(path: Path, key: Key) -> None:
    first = Journal(path)
    assert not path.exists()
    await put(first, key(1))
    await first.aclose()
    await first.aclose()
    second = Journal(str(path))
    async with second.claim(key(1)) as claim:
        assert claim.stored is not None
        assert claim.stored.body == BODY
    await second.aclose()


async def test_who_comes_second_waits_and_finds_the_reply(journal: Journal, key: Key) -> None:
    seen: list[bytes] = []

    async def second() -> None:
        async with journal.claim(key(1)) as claim:
            assert claim.stored is not None
            seen.append(claim.stored.body)

    async with anyio.create_task_group() as group, journal.claim(key(1)) as claim:
        for _ in range(3):
            group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        assert seen == []
        await claim.put(BODY, billed_seconds=15, seconds=1.0)
    assert seen == [BODY] * 3
    assert journal._claimed == {}


async def test_where_the_first_fails_the_second_has_the_claim(journal: Journal, key: Key) -> None:
    order: list[str] = []

    async def next_one(name: str) -> None:
        async with journal.claim(key(1)) as claim:
            order.append(f"{name} {claim.stored is None}")
            await anyio.lowlevel.checkpoint()
            if name == "third":
                await claim.put(BODY, billed_seconds=None, seconds=1.0)

    fail_now = anyio.Event()

    async def fail() -> None:
        async with journal.claim(key(1)):
            await fail_now.wait()
            raise RuntimeError

    async def first() -> None:
        with pytest.raises(RuntimeError):
            await fail()

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        for name in ("second", "third", "fourth"):
            group.start_soon(next_one, name)
            await anyio.wait_all_tasks_blocked()
        fail_now.set()
    assert order == ["second True", "third True", "fourth False"]
    assert journal._claimed == {}


async def test_a_cancelled_waiter_leaves_the_others_their_turn(journal: Journal, key: Key) -> None:
    entered: list[int] = []

    async def wait(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            async with journal.claim(key(1)):
                entered.append(number)

    scopes = [anyio.CancelScope() for _ in range(3)]
    async with anyio.create_task_group() as group, journal.claim(key(1)):
        for number, scope in enumerate(scopes):
            group.start_soon(wait, number, scope)
            await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        await anyio.wait_all_tasks_blocked()
        scopes[1].cancel()  # and this one at the very moment at which its turn comes
    assert 0 not in entered
    assert entered[-1] == 2
    assert journal._claimed == {}


async def test_different_requests_do_not_wait_for_each_other(journal: Journal, key: Key) -> None:
    async with anyio.create_task_group() as group, journal.claim(key(1)):
        group.start_soon(put, journal, key(2))
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            while key(2) in journal._claimed:
                await anyio.lowlevel.checkpoint()


async def test_a_cancellation_does_not_lose_the_reply(journal: Journal, key: Key) -> None:
    with anyio.CancelScope() as scope:
        async with journal.claim(key(1)) as claim:
            scope.cancel()
            await claim.put(BODY, billed_seconds=15, seconds=1.0)
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    async with journal.claim(key(1)) as claim:
        assert claim.stored is not None


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_asyncios_own_cancellation_does_not_lose_the_reply(journal: Journal, key: Key) -> None:
    async def work(number: int) -> None:
        async with journal.claim(key(number)) as claim:
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            await claim.put(BODY, billed_seconds=15, seconds=1.0)

    tasks = [asyncio.ensure_future(work(number)) for number in range(10)]
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    assert (await journal.overview()).replies == 10
    assert journal._claimed == {}


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_waiter_finds_the_reply_of_a_first_that_was_cancelled_while_it_was_written(
    journal: Journal, key: Key
) -> None:
    async def first() -> None:
        async with journal.claim(key(1)) as claim:
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            await claim.put(BODY, billed_seconds=15, seconds=1.0)

    task = asyncio.ensure_future(first())
    await asyncio.sleep(0)
    async with journal.claim(key(1)) as claim:
        assert claim.stored is not None
    assert task.cancelled()


async def test_another_journal_of_the_same_file_waits_for_the_reply_too(
    journal: Journal, path: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clova_speech_async.journal.journal._POLL", 0.0)
    seen: list[Stored | None] = []

    async def second(other: Journal) -> None:
        async with other.claim(key(1)) as claim:
            seen.append(claim.stored)

    async with Journal(path) as other, anyio.create_task_group() as group, journal.claim(key(1)) as claim:
        group.start_soon(second, other)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        async with other.claim(key(2)) as free:
            assert free.stored is None
        assert seen == []
        await claim.put(BODY, billed_seconds=15, seconds=1.0)
    assert [stored and stored.body for stored in seen] == [BODY]


async def test_recheck_sees_what_another_has_stored_where_there_are_no_locks(
    journal: Journal, path: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clova_speech_async.journal.locks.ClaimLocks.open", lambda self: None)
    async with Journal(path) as first, Journal(path) as second, first.claim(key(1)) as claim:
        assert await claim.recheck() is None
        await put(second, key(1))
        found = await claim.recheck()
        assert found is not None
        assert claim.stored == found


async def test_a_full_disk_is_an_error_of_each_caller_of_its_own(journal: Journal, key: Key) -> None:
    errors: list[JournalError] = []

    async def work(number: int) -> None:
        async with journal.claim(key(number)) as claim:
            with pytest.raises(JournalError, match="disk is full; there is no room") as caught:
                await claim.put(BIG, billed_seconds=15, seconds=1.0)
            errors.append(caught.value)
            assert claim.stored is None

    await put(journal, key(0))
    fill_up(journal)
    async with anyio.create_task_group() as group:
        for number in range(1, 5):
            group.start_soon(work, number)
    assert len({id(error) for error in errors}) == 4
    assert all(isinstance(error.__cause__, sqlite3.Error) for error in errors)


async def test_after_a_failed_write_nothing_new_is_sent_until_there_is_room(journal: Journal, key: Key) -> None:
    await put(journal, key(0))
    fill_up(journal)
    with pytest.raises(JournalError):
        await put(journal, key(1), BIG)
    holder = sqlite3.connect(journal.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match=r"Nothing was sent\."):
        await put(journal, key(2))
    async with journal.claim(key(0)) as claim:
        assert claim.stored is not None  # what is there is still given
    holder.execute("ROLLBACK")
    holder.close()
    make_room(journal)
    await put(journal, key(2))
    assert journal._broken is None


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_reply_lost_under_a_cancellation_is_said_in_the_log(
    journal: Journal, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    await put(journal, key(0))
    fill_up(journal)

    async def work() -> None:
        async with journal.claim(key(1), label="talk.wav") as claim:
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            await claim.put(BIG, billed_seconds=15, seconds=1.0)

    task = asyncio.ensure_future(work())
    with caplog.at_level(logging.ERROR):
        await asyncio.wait([task])
    assert task.cancelled()
    assert "a reply that was paid for is lost, 'talk.wav'" in caplog.text
    assert "disk is full" in caplog.text


async def test_an_error_that_is_no_journal_error_comes_as_it_is(
    journal: Journal, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(journal._reads, "_work", broken)
    with pytest.raises(ZeroDivisionError):
        await put(journal, key(1))
    assert journal._claimed == {}


async def test_a_journal_that_cannot_be_opened_says_so_before_anything_is_sent(path: Path, key: Key) -> None:
    path.write_text("my notes")
    journal = Journal(path)
    with pytest.raises(JournalError, match="not a journal"):
        await put(journal, key(1))
    with pytest.raises(JournalError, match="not a journal"):
        async with journal:
            pass
    await journal.aclose()
    assert path.read_text() == "my notes"


async def test_read_only_gives_and_takes_nothing(journal: Journal, path: Path, key: Key) -> None:
    await put(journal, key(1))
    async with Journal(path, read_only=True) as reader:
        async with reader.claim(key(1)) as claim:
            assert claim.stored is not None
        with pytest.raises(JournalError, match="read_only=True and has no such reply"):
            await put(reader, key(2))
        assert (await reader.overview()).replies == 1


async def test_closing_waits_for_what_is_being_written(path: Path, key: Key) -> None:
    journal = Journal(path, commit_delay=0.02)

    async with anyio.create_task_group() as group, journal.claim(key(1)) as claim:
        group.start_soon(put, journal, key(2))
        await claim.put(BODY, billed_seconds=15, seconds=1.0)
    await journal.aclose()
    with pytest.raises(JournalError, match="is closed"):
        await put(journal, key(3))
    async with Journal(path) as again:
        assert (await again.overview()).replies == 2


async def test_a_reply_for_which_no_thread_can_be_had_is_said_to_be_lost(
    journal: Journal, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a `JournalError`, with which whoever sent the request hands the reply on."""

    async def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async with journal.claim(key(1)) as claim:
        with monkeypatch.context() as patch:
            patch.setattr("clova_speech_async.journal.grouping.to_thread.run_sync", no_thread)
            with pytest.raises(JournalError, match="cannot be written: no thread: can't start new thread"):
                await claim.put(BODY, billed_seconds=15, seconds=1.0)
        assert claim.stored is None
    await put(journal, key(1))


async def test_entries_come_in_pages_and_in_order(journal: Journal, key: Key) -> None:
    async with anyio.create_task_group() as group:
        for number in range(600):
            group.start_soon(put, journal, key(number))
    entries = [entry async for entry in journal.entries()]
    assert [entry.number for entry in entries] == list(range(1, 601))
    assert {entry.key for entry in entries} == {key(number).hex() for number in range(600)}
    assert [entry.number async for entry in journal.entries(after=598)] == [599, 600]
    assert [entry.number async for entry in journal.entries(last=2)] == [599, 600]
    assert [entry.number async for entry in journal.entries(last=2, after=599)] == [600]
    assert len([entry async for entry in journal.entries(last=5000)]) == 600
    assert [entry async for entry in journal.entries(last=0)] == []
    assert (entries[0].lang, entries[0].label) == ("Kor", "talk.wav")


async def test_forgetting(journal: Journal, key: Key) -> None:
    for number in range(4):
        await put(journal, key(number))
    assert await journal.forget([1, 2]) == 2
    assert await journal.forget(before=datetime(2023, 1, 1, tzinfo=timezone.utc)) == 0
    assert await journal.forget(before=datetime(2024, 1, 1, tzinfo=timezone.utc)) == 2
    await put(journal, key(0))
    assert await journal.forget() == 1
    with pytest.raises(InvalidArgumentError, match="not both"):
        await journal.forget([1], before=datetime(2024, 1, 1, tzinfo=timezone.utc))
    with pytest.raises(InvalidArgumentError, match="no time zone"):
        await journal.forget(before=datetime(2024, 1, 1))


async def test_neither_key_nor_utterance_is_in_the_file(journal: Journal, path: Path) -> None:
    from clova_speech_async.journal import journal_key

    await put(journal, journal_key(b"d" * 32, "https://example.com/", "lang=Eng&utterance=very%20private%20words"))
    everything = b"".join(part.read_bytes() for part in path.parent.iterdir())
    assert b"private" not in everything


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"path": 5}, ArgumentTypeError, "path must be a str or a path, not int"),
        ({"path": b"run.db"}, ArgumentTypeError, "not bytes"),
        ({"path": ""}, InvalidArgumentError, "path is empty"),
        (
            {"path": "a", "commit_delay": 0.06},
            InvalidArgumentError,
            "commit_delay must be from 0 to 0.05 seconds",
        ),
        ({"path": "a", "commit_delay": float("nan")}, InvalidArgumentError, "commit_delay must be .*, not nan"),
        ({"path": "a", "commit_delay": "0"}, ArgumentTypeError, "commit_delay must be a number of seconds, not '0'"),
        ({"path": "a", "commit_delay": None}, ArgumentTypeError, "commit_delay must be a number of seconds, not None"),
        (
            {"path": "a", "busy_timeout": -1},
            InvalidArgumentError,
            "busy_timeout must be from 0 to 3600 seconds",
        ),
        ({"path": "a", "busy_timeout": 10**400}, InvalidArgumentError, "busy_timeout must be .*, not 1000"),
        ({"path": "a", "busy_timeout": True}, ArgumentTypeError, "busy_timeout must be a number of seconds, not True"),
        ({"path": "a\0b.db"}, InvalidArgumentError, "path .* has a null character in it"),
        ({"path": "a", "clock": 5}, ArgumentTypeError, "clock must be callable, not int"),
    ],
)
async def test_wrong_arguments_are_named(arguments: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        Journal(**arguments)


async def test_a_key_of_another_kind_is_refused(journal: Journal) -> None:
    for wrong in ("abc", b"abc"):
        with pytest.raises(ArgumentTypeError, match=r"the 32 bytes of journal_key"):
            journal.claim(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lang": 5}, "lang must be a str, not int"),
        ({"label": b"talk.wav"}, "label must be a str, not bytes"),
        ({"on_wait": "me"}, "on_wait must be callable, not str"),
    ],
)
async def test_a_claim_checks_its_options(journal: Journal, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentTypeError, match=words):
        journal.claim(b"k" * 32, **options)


@pytest.mark.parametrize(
    ("body", "billed", "seconds", "kind", "words"),
    [
        (5, 15, 1.0, ArgumentTypeError, "body must be bytes, not int"),
        ("text", 15, 1.0, ArgumentTypeError, "body must be bytes, not str"),
        (BODY, "15", 1.0, ArgumentTypeError, "billed_seconds must be a whole number, not '15'"),
        (BODY, 10**30, 1.0, InvalidArgumentError, "billed_seconds must be .*, not 1000"),
        (BODY, 15, None, ArgumentTypeError, "seconds must be a number of seconds, not None"),
        (BODY, 15, float("nan"), InvalidArgumentError, "seconds must be .*, not nan"),
    ],
)
async def test_a_reply_that_cannot_be_kept_names_why(
    journal: Journal, key: Key, body: Any, billed: Any, seconds: Any, kind: type[Exception], words: str
) -> None:
    async with journal.claim(key(1)) as claim:
        with pytest.raises(kind, match=words):
            await claim.put(body, billed_seconds=billed, seconds=seconds)
        await claim.put(bytearray(BODY), billed_seconds=None, seconds=2)
    assert [entry.stored.body async for entry in journal.entries()] == [BODY]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"after": 10**30}, InvalidArgumentError, "after must be from 0 to 9223372036854775807, not 1000"),
        ({"after": -1}, InvalidArgumentError, "after must be .*, not -1"),
        ({"after": None}, ArgumentTypeError, "after must be a whole number, not None"),
        ({"last": 10**30}, InvalidArgumentError, "last must be .*, not 1000"),
        ({"last": -5}, InvalidArgumentError, "last must be .*, not -5"),
        ({"last": "5"}, ArgumentTypeError, "last must be a whole number, not '5'"),
    ],
)
async def test_entries_checks_its_options_at_once(
    journal: Journal, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        journal.entries(**options)


async def test_forgetting_checks_what_it_is_given(journal: Journal, key: Key) -> None:
    await put(journal, key(1))
    assert await journal.forget([10**30, -1, 0, 2**63]) == 0  # no entry has such a number
    assert await journal.forget(range(0)) == 0
    for wrong, words in ((5, "an iterable of entries' numbers, not 5"), ("1", "not '1'"), (["1"], "one is '1'")):
        with pytest.raises(ArgumentTypeError, match=words):
            await journal.forget(wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="before must be a datetime, not '2024-01-01'"):
        await journal.forget(before="2024-01-01")  # type: ignore[arg-type]
    assert (await journal.overview()).replies == 1


async def test_a_reply_that_is_refused_keeps_none_out_that_is_written_with_it(path: Path, key: Key) -> None:
    outcomes: dict[str, str] = {}

    async def put_as(number: int, label: str) -> None:
        async with journal.claim(key(number), label=label) as claim:
            try:
                await claim.put(BODY, billed_seconds=15, seconds=1.0)
            except JournalError as error:
                outcomes[label] = str(error)
            else:
                outcomes[label] = "kept"

    async with Journal(path, commit_delay=0.05) as journal:
        with closing(sqlite3.connect(path)) as database:
            database.execute(
                "CREATE TRIGGER no BEFORE INSERT ON replies WHEN NEW.label = 'bad' "
                "BEGIN SELECT RAISE(ABORT, 'no bad ones'); END"
            )
        async with anyio.create_task_group() as group:
            for number, label in enumerate(("one", "bad", "two", "three")):
                group.start_soon(put_as, number, label)
        assert "cannot be written: no bad ones" in outcomes.pop("bad")
        assert outcomes == {"one": "kept", "two": "kept", "three": "kept"}
        assert sorted([entry.label async for entry in journal.entries()]) == ["one", "three", "two"]


async def test_what_is_being_gathered_is_written_before_the_file_is_closed(path: Path, key: Key) -> None:
    journal = Journal(path, commit_delay=0.05)
    await journal.overview()
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(put, journal, key(number))
        while not journal._writes._led:
            await anyio.lowlevel.checkpoint()
        await journal.aclose()
    async with Journal(path) as again:
        assert (await again.overview()).replies == 3


@pytest.mark.parametrize(("of", "step"), [(JournalFile, "open"), (Store, "probe")])
async def test_a_lock_is_waited_for_once_and_not_once_for_each_caller(
    path: Path, key: Key, monkeypatch: pytest.MonkeyPatch, of: type, step: str
) -> None:
    """The longest wait there may be, times the number of callers, is what the last of them would wait."""
    tries = 0
    errors: list[Exception] = []
    released = threading.Event()

    def wait_in_vain(_: object) -> None:
        nonlocal tries
        tries += 1
        released.wait(10)
        raise JournalError("it is locked")

    async def ask(number: int) -> None:
        with pytest.raises(JournalError, match="it is locked") as caught:
            await journal.claim(key(number)).__aenter__()
        errors.append(caught.value)

    monkeypatch.setattr(of, step, wait_in_vain)
    journal = Journal(path)
    journal._broken = JournalError("a write has failed")
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(ask, number)
        while not tries:
            await anyio.sleep(0.001)
        await anyio.wait_all_tasks_blocked()
        released.set()
    assert tries <= 3
    assert len({id(error) for error in errors}) == 20
    await journal.aclose()


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_who_is_cancelled_while_it_opens_leaves_nothing_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = JournalFile.open
    opening, cancelled = anyio.Event(), threading.Event()

    def slow(self: JournalFile) -> None:
        anyio.from_thread.run_sync(opening.set)
        cancelled.wait(10)
        opened(self)

    async def use() -> None:
        async with Journal(path):
            raise AssertionError("never begun")

    monkeypatch.setattr(JournalFile, "open", slow)
    task = asyncio.create_task(use())
    await opening.wait()
    task.cancel()
    await anyio.lowlevel.checkpoint()
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


async def test_a_cancelled_close_closes(path: Path) -> None:
    journal = Journal(path)
    await journal.overview()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await journal.aclose()
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert not journal._file.is_open


async def test_a_file_that_cannot_be_closed_replaces_neither_a_result_nor_an_error(
    path: Path, key: Key, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    close = JournalFile.close

    def broken(self: JournalFile) -> None:
        close(self)
        raise JournalError("the disk is gone")

    monkeypatch.setattr(JournalFile, "close", broken)

    async def use(error: Exception | None) -> str:
        async with Journal(path) as journal:
            if error is not None:
                raise error
            await put(journal, key(1))
            return "paid for"

    assert await use(None) == "paid for"
    with pytest.raises(RuntimeError, match="on its way"):
        await use(RuntimeError("on its way"))
    assert caplog.text.count("the replies that were acknowledged are safe, but: the disk is gone") == 2
    with pytest.raises(JournalError, match="gone"):  # who asks for it hears of it
        await Journal(path).aclose()


async def test_repr_and_path(journal: Journal, path: Path) -> None:
    assert repr(journal) == f"Journal({str(path)!r})"
    assert journal.path == str(path)
    assert isinstance(journal.claim(b"k" * 32), Claim)


def test_one_journal_serves_one_event_loop_after_the_other(path: Path, key: Key) -> None:
    journal = Journal(path)
    anyio.run(put, journal, key(1), backend="asyncio")
    anyio.run(put, journal, key(2), backend="trio")
    anyio.run(put, journal, key(3), backend="asyncio")
    assert anyio.run(journal.overview).replies == 3
    anyio.run(journal.aclose)
