from __future__ import annotations

import io
import sys

import anyio
import pytest
import trio
import trio.testing
from rich.console import Console

from clova_speech_async.batch import Summary
from clova_speech_async.cli.progress import Retries, RunProgress, line_of, say_every
from clova_speech_async.http.events import LimitChanged, RetryScheduled, Stats


def summary(done: int, billed: int) -> Summary:
    return Summary(
        done=done,
        failed={"ConnectError": 2},
        unfinished=0,
        from_journal=0,
        tries=done,
        billed_seconds=billed,
        saved_seconds=0,
        audio_seconds=1.0,
        wall_seconds=1.0,
    )


def drawn(*, terminal: bool, enabled: bool = True, complete: bool = True) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, color_system=None, legacy_windows=False)
    with RunProgress(console, enabled=enabled) as progress:
        stdout = sys.stdout
        progress.show(summary(7, 105), failed=2, skipped=1, found=20, complete=complete)
        assert sys.stdout is stdout  # transcripts keep going where they went
    return out.getvalue()


def test_shows_count_cost_and_failures_on_a_terminal() -> None:
    text = drawn(terminal=True)
    assert "10/20" in text
    assert "105 s billed" in text
    assert "2 failed" in text
    assert "/s" in text or "/min" in text


def test_knows_no_total_while_files_are_still_being_found() -> None:
    assert "10/?" in drawn(terminal=True, complete=False)


def test_is_silent_where_nobody_looks() -> None:
    assert drawn(terminal=False) == ""
    assert drawn(terminal=True, enabled=False) == ""


def retry(wait: float = 0.5, status: int | None = 500, code: str | None = "STT998") -> RetryScheduled:
    name = "ConnectionLostError" if status is None else "RecognitionFailedError"
    return RetryScheduled(
        request=1, attempt=1, wait=wait, reason="x", error=name, status=status, code=code, ambiguous=False
    )


def test_that_requests_are_tried_again_is_said_once_of_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    hook = Retries()
    hook(LimitChanged(old=1, new=2, in_flight=1, waiting=0))
    hook(retry(wait=0.0))  # at once, on another connection
    for event in (retry(), retry(), retry(status=None, code=None), retry(status=503, code=None)):
        hook(event)
    again = "; such requests are tried again (this is said once)\n"
    assert capsys.readouterr().err == (
        f"clova-speech: the service answered 500/STT998 (RecognitionFailedError){again}"
        f"clova-speech: a request met ConnectionLostError{again}"
        f"clova-speech: the service answered 503 (RecognitionFailedError){again}"
    )


def stats(retries: int) -> Stats:
    zero = dict.fromkeys(Stats.__dataclass_fields__, 0)
    return Stats(**zero | {"in_flight": 3, "retries": retries, "billed_seconds": 120.0})


def test_where_a_run_is_in_a_line() -> None:
    line = line_of(summary(7, 105), stats(4), failed=2, skipped=1, found=20, seconds=120.0)
    assert line == "after 2 min: 8 of 20 files done, 2 failed, 3 requests under way, 4 tried again; 120 s billed"
    line = line_of(summary(7, 105), stats(0), failed=0, skipped=0, found=None, seconds=60.0)
    assert line == "after 1 min: 7 files done, 3 requests under way; 120 s billed"


def test_a_line_comes_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        with anyio.move_on_after(150):
            await say_every(60.0, lambda seconds: f"after {seconds:.0f} s")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert capsys.readouterr().err == "after 60 s\nafter 120 s\n"
