"""A program for tests: batches in processes of their own, which may be killed at any moment.

Reads a line for each: ``URL JOURNAL FIRST LAST STEP CONCURRENCY``. Forks, so that a run begins without its imports;
each run has a key of its own, which tells the service whose request it is. Answers ``pid N``, then ``done RUN INDEX``
for each result that the batch has given, and ``ended RUN STATUS``.
"""

from __future__ import annotations

import io
import os
import select
import struct
import traceback
import wave

import anyio

from clova_speech_async.batch import BatchTranscriber, Item
from clova_speech_async.client import ClovaSpeechClient


def make_wav(number: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(struct.pack("<I", number) + bytes(3194) + b"\1\0")
    return out.getvalue()


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def transcribe(run: str, url: str, journal: str, first: str, last: str, step: str, concurrency: str) -> None:
    async with ClovaSpeechClient(f"run-{run}", invoke_url=url, concurrency=int(concurrency)) as client:
        batch = BatchTranscriber(client, lang="Kor", journal=journal, max_concurrency=int(concurrency))
        numbers = range(int(first), int(last), int(step))
        async for result in batch.run(Item(make_wav(number), id=number) for number in numbers):
            if result.error is not None:
                raise result.error
            assert result.transcript is not None
            assert result.transcript.text == f"number {result.id}"
            say(f"done {run} {result.id}")


def start(run: int, line: str) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            anyio.run(transcribe, str(run), *line.split())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    say(f"pid {pid}")
    return pid


def main() -> None:
    """One thread only, since it forks."""
    runs: dict[int, int] = {}
    begun = 0
    rest = b""
    while True:
        if select.select([0], [], [], 0.005)[0]:
            data = os.read(0, 4096)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                runs[start(begun, line.decode())] = begun
                begun += 1
        for pid, run in list(runs.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                say(f"ended {run} {os.waitstatus_to_exitcode(status)}")
                del runs[pid]


main()
