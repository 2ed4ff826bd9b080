from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from clova_speech_async.errors import ArgumentTypeError, ClientClosedError, JournalError
from clova_speech_async.journal import Journal
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


async def test_the_callers_own_is_not_closed(tmp_path: Path) -> None:
    async with Journal(tmp_path / "a.db") as own:
        journals = Journals()
        async with journals.use(own):
            await journals.aclose()
        assert own._store.is_open


async def test_a_journal_in_use_is_closed_at_the_end_of_its_last_use(tmp_path: Path) -> None:
    journals = Journals()
    used, unused = await opened(journals, tmp_path / "a.db"), await opened(journals, tmp_path / "b.db")
    async with journals.use(used):
        async with journals.use(used):
            await journals.aclose()
            assert (used._store.is_open, unused._store.is_open) == (True, False)
        assert used._store.is_open
    assert not used._store.is_open


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
    assert not any(journal._store.is_open for journal in all_of_them)


async def test_one_that_cannot_be_closed_keeps_no_other_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journals = Journals()
    first, second = await opened(journals, tmp_path / "a.db"), await opened(journals, tmp_path / "b.db")

    async def broken() -> None:
        raise JournalError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(first, "aclose", broken)
        with pytest.raises(JournalError, match="gone"):
            await journals.aclose()
    assert not second._store.is_open
    await first.aclose()
