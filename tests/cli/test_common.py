"""What every command shares: how Ctrl-C ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import typer

from clova_speech_async.cli.common import run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="asyncio wakes up by itself")

ASLEEP = """
import signal, threading
import anyio
from clova_speech_async.cli.common import run

def elsewhere():
    # To this thread: the one that runs the event loop is not interrupted in its sleep.
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

async def main():
    timer = threading.Timer(0.3, elsewhere)
    timer.start()
    try:
        await anyio.sleep_forever()
    finally:
        timer.join()

run(main)
"""


def test_a_ctrl_c_that_does_not_interrupt_the_sleep_of_the_event_loop_ends_the_command() -> None:
    done = subprocess.run([sys.executable, "-c", ASLEEP], capture_output=True, text=True, timeout=60, check=False)
    assert "stopped by Ctrl-C" in done.stderr
    assert done.returncode != 0


def test_what_was_there_to_wake_the_program_is_there_again() -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)

    async def main(value: int) -> int:
        inside = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(inside)
        assert inside not in (-1, before)
        return value + 1

    assert run(main, 41) == 42
    after = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(after)
    assert after == before


def test_an_error_comes_out_as_itself() -> None:
    async def main() -> None:
        raise typer.Exit(3)

    with pytest.raises(typer.Exit) as raised:
        run(main)
    assert raised.value.exit_code == 3
