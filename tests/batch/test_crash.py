"""Batches that are killed, and batches that share a journal, against a service that writes down what it was sent."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a process is forked and killed")


@dataclass
class Sending:
    """One request as the service saw it: which recording, and from which run."""

    number: int
    run: int


class Recorder:
    """A service in a thread of its own: HTTP by hand, every request written down."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self.sendings: list[Sending] = []
        self.arrival = threading.Condition()
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve)
        self._ready = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    def __enter__(self) -> Recorder:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self._loop.close()

    def wait_for(self, count: int) -> None:
        """Return when so many requests have arrived in all."""
        with self.arrival:
            assert self.arrival.wait_for(lambda: len(self.sendings) >= count, 30)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._main())

    async def _main(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._end.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            while True:
                await self._answer(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the other side was killed, or the test is over
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        run = head.split(b"x-clovaspeech-api-key: run-")[1].split(b"\r\n")[0]
        sending = Sending(struct.unpack("<I", body[44:48])[0], int(run))
        with self.arrival:
            self.sendings.append(sending)
            self.arrival.notify_all()
        await asyncio.sleep(self._delay())
        reply = json.dumps({"text": f"number {sending.number}", "quota": 15}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(reply), reply))
        await writer.drain()


@dataclass
class Run:
    """One process and what it has said."""

    pid: int
    done: set[int] = field(default_factory=set)
    """The recordings whose result the batch has given."""
    status: int | None = None


class Processes:
    """Starts runs of `mortal.py` and hears what they say."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("mortal.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._thread.join(10)
        self._process.stdout.close()

    def start(self, *arguments: object) -> Run:
        assert self._process.stdin is not None
        number = len(self.runs)
        self._process.stdin.write(" ".join(map(str, arguments)) + "\n")
        self._process.stdin.flush()
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.runs) > number, 30)
        return self.runs[number]

    def wait(self, run: Run) -> int:
        with self._changed:
            assert self._changed.wait_for(lambda: run.status is not None, 60)
        assert run.status is not None
        return run.status

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, *numbers = line.split()
            with self._changed:
                if word == "pid":
                    self.runs.append(Run(int(numbers[0])))
                elif word == "done":
                    self.runs[int(numbers[0])].done.add(int(numbers[1]))
                else:
                    self.runs[int(numbers[0])].status = int(numbers[1])
                self._changed.notify_all()


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.close()


CONCURRENCY = 8
KILLS = 10
ITEMS = 300


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 33))])
def test_after_a_kill_nothing_acknowledged_is_lost_and_only_what_was_in_flight_is_sent_again(
    processes: Processes, tmp_path: Path, seed: int
) -> None:
    """Ten kills at random moments, then a run to the end, all with one journal."""
    chance = random.Random(seed)
    with Recorder(lambda: chance.random() * 0.01) as service:
        for kill in [True] * KILLS + [False]:
            before = len(service.sendings)
            run = processes.start(service.url, tmp_path / "run.db", 0, ITEMS, 1, CONCURRENCY)
            if kill:
                service.wait_for(before + chance.randrange(1, 20))
                time.sleep(chance.random() * 0.005)
                os.kill(run.pid, signal.SIGKILL)
            assert processes.wait(run) == (-signal.SIGKILL if kill else 0)
        sent = [[one.number for one in service.sendings if one.run == run] for run in range(KILLS + 1)]
    assert processes.runs[-1].done == set(range(ITEMS)) == {number for numbers in sent for number in numbers}
    for number, run in enumerate(processes.runs):
        assert len(set(sent[number])) == len(sent[number])
        later = {again for numbers in sent[number + 1 :] for again in numbers}
        assert not later & run.done
        assert len(later & set(sent[number])) <= CONCURRENCY


def test_three_processes_share_a_journal_and_send_each_piece_once(processes: Processes, tmp_path: Path) -> None:
    """Two of the same order, and one from the other end: what one of them has under way, the others wait for."""
    chance = random.Random(4)
    journal = tmp_path / "run.db"
    with Recorder(lambda: chance.random() * 0.01) as service:
        runs = [
            processes.start(service.url, journal, 0, 400, 1, CONCURRENCY),
            processes.start(service.url, journal, 399, -1, -1, CONCURRENCY),
            processes.start(service.url, journal, 0, 400, 1, CONCURRENCY),
        ]
        assert [processes.wait(run) for run in runs] == [0, 0, 0]
    assert [run.done for run in runs] == [set(range(400))] * 3
    assert sorted(sending.number for sending in service.sendings) == list(range(400))
