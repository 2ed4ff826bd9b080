from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
import soundfile

from clova_speech_async.emulator import worker
from clova_speech_async.emulator.workers import WorkerError, WorkerPool

pytestmark = pytest.mark.anyio
SILENCE = b"\0" * 3200
QUICK = ({"do": "align", "words": [["a", "AH"]]}, SILENCE)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_calls_share_processes_and_closing_ends_them() -> None:
    pool = WorkerPool(2, load=False)
    answers: list[Any] = []

    async def call() -> None:
        answers.append(await pool.call(*QUICK))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(call)
    assert len(answers) == 5
    assert answers[0]["words"]
    assert all(answer == answers[0] for answer in answers)
    pids = pool.processes
    assert 1 <= len(pids) <= 2
    pool.close()
    assert not any(map(alive, pids))
    with pytest.raises(WorkerError, match="was closed"):
        await call()
    pool.start()
    assert pool.processes == ()


async def test_a_cancelled_call_ends_its_process_at_once(speech: bytes) -> None:
    pool = WorkerPool(1, load=True)
    pool.start()
    pool.start()
    (pid,) = pool.processes
    with anyio.move_on_after(0.2) as scope:
        await pool.call({"do": "recognise"}, speech[44:] * 4)
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        while alive(pid):
            await anyio.sleep(0.01)
    # The next call has a process of its own, and waits for no one.
    assert (await pool.call(*QUICK))["words"]
    pool.close()


async def test_a_call_that_is_cancelled_when_its_answer_is_there_leaves_the_process_to_the_next() -> None:
    pool = WorkerPool(1, load=False)
    async with anyio.create_task_group() as group:
        group.start_soon(pool.call, *QUICK)
        await anyio.wait_all_tasks_blocked()
        while not pool._idle:
            time.sleep(0.001)  # no turn for the event loop: the thread has its answer, and nobody knows
        group.cancel_scope.cancel()
    pids = pool.processes
    assert (await pool.call(*QUICK))["words"]
    assert pool.processes == pids
    pool.close()


async def test_a_process_that_dies_is_told_of_and_replaced() -> None:
    pool = WorkerPool(1, load=False)
    pool.start()
    (pid,) = pool.processes
    os.kill(pid, 9)
    with pytest.raises(WorkerError, match="went away|ended before"):
        await pool.call({"do": "recognise"}, SILENCE)
    with pytest.raises(WorkerError, match="PocketSphinx failed: "):
        await pool.call({"do": "align", "words": [["zzyzx", "NO SUCH PHONES"]]}, SILENCE)
    assert (await pool.call(*QUICK))["words"]
    pool.close()


async def test_a_forgotten_pool_leaves_no_process() -> None:
    pool = WorkerPool(1, load=False)
    pool.start()
    (pid,) = pool.processes
    del pool
    gc.collect()
    assert not alive(pid)


def test_a_worker_ends_with_its_input_and_keeps_its_output_clean(data: Path) -> None:
    pcm = soundfile.read(data / "sentences" / "10.ogg", dtype="int16")[0].astype("<i2").tobytes()
    asked = json.dumps({"do": "recognise", "pcm": len(pcm)}).encode() + b"\n" + pcm
    done = subprocess.run(
        [sys.executable, worker.__file__, "--load"], input=asked, capture_output=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == {"text": "the flowers in the garden need more water"}
    assert done.stderr == b""


def test_the_same_audio_gives_the_same_answer_whatever_came_before(data: Path) -> None:
    """In this process, because a worker is only a loop around these two."""
    voices = [
        soundfile.read(data / "sentences" / f"{n:02d}.ogg", dtype="int16")[0].astype("<i2").tobytes() for n in (10, 12)
    ]
    align = worker.Aligner()
    words = [["he", ""], ["forgot", ""], ["the", ""], ["door", ""]]
    first = align(voices[1], words)
    assert first is not None
    align(voices[0], words)
    assert align(voices[1], words) == first
    assert [phone[0] for phone in first[0]] == ["HH", "IY"]


def test_the_loop_answers_what_it_cannot_do(data: Path) -> None:
    def ask(*messages: tuple[dict[str, Any], bytes]) -> list[Any]:
        source = io.BytesIO(b"".join(json.dumps(m | {"pcm": len(p)}).encode() + b"\n" + p for m, p in messages))
        sink = io.BytesIO()
        worker.serve(source, sink, load=False)
        return [json.loads(line) for line in sink.getvalue().splitlines()]

    answers = ask(({"do": "align"}, SILENCE), ({"do": "recognise"}, SILENCE))
    assert answers[0] == {"failed": "KeyError: 'words'"}
    assert isinstance(answers[1]["text"], str)
    assert ask() == []


def test_what_cannot_be_aligned_is_none_and_harms_nothing(data: Path) -> None:
    pcm = soundfile.read(data / "sentences" / "10.ogg", dtype="int16")[0].astype("<i2").tobytes()
    align = worker.Aligner()
    said = [["the", ""], ["flowers", ""], ["in", ""], ["the", ""], ["garden", ""]]
    found = align(pcm, said)
    assert found is not None
    assert align(pcm[:9600], said * 3) is None
    assert align(pcm, [["<sil>", "SIL"]]) is None
    assert align(pcm, [["", "AH"]]) is None
    assert align(pcm, said) == found
    assert align(pcm, [["blorple", "B L AO R P AH L"]]) is not None
