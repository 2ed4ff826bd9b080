from __future__ import annotations

import io
import sys

from rich.console import Console

from clova_speech_async.batch import Summary
from clova_speech_async.cli.progress import RunProgress


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
