from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest

from clova_speech_async.audio import PCM
from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.errors import ArgumentTypeError, ClientClosedError, InvalidArgumentError, JournalError
from clova_speech_async.journal import Journal
from clova_speech_async.journal.file import JournalFile
from clova_speech_async.journals import Journals

pytestmark = pytest.mark.anyio


async def opened(journals: Journals, path: Path) -> Journal:
    journal = journals.get(path)
    assert journal is not None
    await journal.__aenter__()
    return journal


async def test_one_journal_a_path_and_the_callers_own_as_it_is(tmp_path: Path) -> None:
    journals = Journals()
    assert journals.get(tmp_path / "a.db") is journals.get(str(tmp_path / "a.db"))
    assert journals.get(tmp_path / "b.db") is not journals.get(tmp_path / "a.db")
    own = Journal(tmp_path / "a.db")
    assert journals.get(own) is own
    assert journals.get(None) is None
    with pytest.raises(ArgumentTypeError, match="journal must be a path or a Journal, not int"):
        journals.get(5)  # type: ignore[arg-type]
    for no_file in ("", "a\0b.db"):
        with pytest.raises(InvalidArgumentError, match="journal"):
            journals.get(no_file)


async def test_the_callers_own_is_not_closed(tmp_path: Path) -> None:
    async with Journal(tmp_path / "a.db") as own:
        journals = Journals()
        async with journals.use(own):
            await journals.aclose()
        assert own._file.is_open


async def test_a_journal_in_use_is_closed_at_the_end_of_its_last_use(tmp_path: Path) -> None:
    journals = Journals()
    used, unused = await opened(journals, tmp_path / "a.db"), await opened(journals, tmp_path / "b.db")
    async with journals.use(used):
        async with journals.use(used):
            await journals.aclose()
            assert (used._file.is_open, unused._file.is_open) == (True, False)
        assert used._file.is_open
    assert not used._file.is_open


async def test_nothing_begins_after_the_end(tmp_path: Path) -> None:
    journals = Journals()
    journal = await opened(journals, tmp_path / "a.db")
    await journals.aclose()
    await journals.aclose()
    with pytest.raises(ClientClosedError):
        journals.get(tmp_path / "a.db")
    with pytest.raises(ClientClosedError):
        async with journals.use(journal):
            pass


async def test_a_cancelled_close_closes_all(tmp_path: Path) -> None:
    journals = Journals()
    all_of_them = [await opened(journals, tmp_path / name) for name in ("a.db", "b.db", "c.db")]
    with anyio.CancelScope() as scope:
        scope.cancel()
        await journals.aclose()
    assert scope.cancelled_caught
    assert not any(journal._file.is_open for journal in all_of_them)


@pytest.fixture
def unclosable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are closed with an error; they are closed all the same."""
    close = JournalFile.close

    def broken(self: JournalFile) -> None:
        was_open = self.is_open
        close(self)
        if was_open:
            raise JournalError(f"the journal {self.path} cannot be closed: the disk is gone")

    monkeypatch.setattr(JournalFile, "close", broken)


async def test_one_that_cannot_be_closed_keeps_no_other_open_and_is_said_in_the_log(
    tmp_path: Path, unclosable: None, caplog: pytest.LogCaptureFixture
) -> None:
    journals = Journals()
    both = [await opened(journals, tmp_path / name) for name in ("a.db", "b.db")]
    await journals.aclose()
    assert not any(journal._file.is_open for journal in both)
    assert [record.name for record in caplog.records] == ["clova_speech_async.journal"] * 2
    assert "a.db cannot be closed: the disk is gone" in caplog.text
    assert "b.db cannot be closed: the disk is gone" in caplog.text


async def test_a_journal_that_cannot_be_closed_replaces_neither_a_result_nor_an_error(
    tmp_path: Path, unclosable: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def call(journals: Journals, error: Exception | None) -> str:
        journal = await opened(journals, tmp_path / "a.db")
        async with journals.use(journal):
            await journals.aclose()
            if error is not None:
                raise error
            return "paid for"

    assert await call(Journals(), None) == "paid for"
    with pytest.raises(RuntimeError, match="on its way"):
        await call(Journals(), RuntimeError("on its way"))
    assert caplog.text.count("the disk is gone") == 2


async def test_a_cancellation_is_not_lost_over_one_that_cannot_be_closed(tmp_path: Path, unclosable: None) -> None:
    journals = Journals()
    for name in ("a.db", "b.db"):
        await opened(journals, tmp_path / name)
    first, second = journals._by_path.values()
    close = first.aclose

    async def cancelled() -> None:
        scope.cancel()
        await anyio.lowlevel.checkpoint()

    first.aclose = cancelled  # type: ignore[method-assign]
    with anyio.CancelScope() as scope:
        await journals.aclose()
        raise AssertionError("the cancellation is lost")
    assert not second._file.is_open
    with pytest.raises(JournalError):
        await close()


async def test_what_was_paid_for_reaches_the_caller_of_a_client_that_was_closed_meanwhile(
    tmp_path: Path, unclosable: None, caplog: pytest.LogCaptureFixture
) -> None:
    closing = anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        closing.set()
        await anyio.wait_all_tasks_blocked()
        return httpx.Response(200, json={"text": "paid for", "quota": 15})

    client = ClovaSpeechClient("key", invoke_url="https://example.com", transport=httpx.MockTransport(answer))

    async def close() -> None:
        await closing.wait()
        await client.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(close)
        audio = PCM(b"\1\0" * 16_000, 16_000)
        assert (await client.recognize(audio, lang="Kor", journal=tmp_path / "a.db")).text == "paid for"
    assert "the disk is gone" in caplog.text
    async with Journal(tmp_path / "a.db", read_only=True) as journal:
        assert (await journal.overview()).replies == 1
