"""The README's web backend over sockets, in a process of its own: under load, with lost connections, at its end."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest

from clova_speech_async.emulator import Behaviour, Emulator, echo, hang, reply, serve

LOOPS = ["asyncio", pytest.param("uvloop", marks=pytest.mark.skipif(sys.platform == "win32", reason="no uvloop"))]
PATHS = ["/transcripts", "/segments"]


class Served:
    """The program served by uvicorn in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        hello = self._line()
        self.loop: str = hello["loop"]
        self.url = f"http://127.0.0.1:{hello['port']}"

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def look(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write("look\n")
        self._process.stdin.flush()
        return self._line()

    def look_until(self, **wanted: int) -> dict[str, Any]:
        for _ in range(2000):
            seen = self.look()
            if wanted.items() <= seen.items():
                return seen
            time.sleep(0.005)
        raise AssertionError(f"{wanted} never came; the last look was {seen}")

    def stop(self) -> tuple[dict[str, Any], str]:
        """End the server; return what it left, and what it complained of."""
        out, complaints = self._process.communicate("stop\n", timeout=30)
        assert self._process.returncode == 0, complaints
        return json.loads(out), complaints


@contextmanager
def served(path: Path, drivers: Path, loop: str) -> Iterator[Served]:
    command = [sys.executable, "-W", "error::ResourceWarning", drivers / "serve_web.py", path, loop]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, encoding="utf-8", **pipes) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


def recording(seed: int) -> tuple[bytes, str]:
    """A recording unlike all others, and what the `echo` recogniser says of it."""
    samples = (np.random.default_rng(seed).standard_normal(32_000) * 3000).astype("<i2").tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(samples)
    return file.getvalue(), f"Kor {len(samples)} {hashlib.sha256(samples).hexdigest()}"


async def upload_at_once(url: str, recordings: list[tuple[bytes, str]]) -> Counter[str]:
    """How many were answered how: ``right``, ``wrong``, ``refused`` or a status."""
    answers: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def upload(audio: bytes, text: str) -> None:
            answer = await client.post(f"{url}/transcripts", content=audio)
            if answer.status_code == 200:
                answers["right" if answer.json()["text"] == text else "wrong"] += 1
            else:
                refused = answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
                answers["refused" if refused else str(answer.status_code)] += 1

        async with anyio.create_task_group() as group:
            for audio, text in recordings:
                group.start_soon(upload, audio, text)
    return answers


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.soak)])
@pytest.mark.parametrize("loop", LOOPS)
def test_two_hundred_uploads_at_once(
    program: Callable[[str], Path], drivers: Path, loop: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """58 of them find a slot or a place in line; who is slow to connect may come when another is done."""
    recordings = [recording(seed) for seed in range(200)]
    emulator = Emulator(recognizer=echo, behaviour=Behaviour(latency=0.2))
    with emulator, serve(emulator) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        with served(program("web.py"), drivers, loop) as server:
            assert loop in server.loop
            memory = []
            for _ in range(rounds):
                answers = anyio.run(upload_at_once, server.url, recordings)
                assert set(answers) == {"right", "refused"}
                assert 58 <= answers["right"] <= 120
                assert answers.total() == 200
                seen = server.look_until(in_flight=0, waiting=0)
                memory.append(seen["memory"])
            assert seen["attempts"] == seen["succeeded"], "what was refused was refused before any work"
            assert seen["requests"] == 200 * rounds
            assert memory[-1] - memory[0] < 16_000_000, memory
            assert server.stop() == ({"tasks": [], "sockets": 0}, "")
        assert emulator.stats.peak_parallel == 8


@pytest.mark.parametrize("loop", LOOPS)
def test_a_lost_connection_frees_the_slot(
    program: Callable[[str], Path], drivers: Path, speech: bytes, loop: str, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(hang(), hang(), reply("next"))
    with served(program("web.py"), drivers, loop) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            for path in PATHS:
                with pytest.raises(httpx.ReadTimeout):
                    client.post(path, content=speech, timeout=httpx.Timeout(20, read=0.3))
                server.look_until(in_flight=0, open_connections=0)
            assert client.post("/transcripts", content=speech, timeout=20).json()["text"] == "next"
        assert server.stop() == ({"tasks": [], "sockets": 0}, "")


@pytest.mark.parametrize("loop", LOOPS)
def test_segments_leave_before_the_last_is_there(
    program: Callable[[str], Path], drivers: Path, story: bytes, loop: str, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(reply("heard"), hang())
    with served(program("web.py"), drivers, loop) as server:
        sent = httpx.stream("POST", f"{server.url}/segments", content=story, timeout=20, trust_env=False)
        with sent as answer:
            chunks = answer.iter_text()  # kept: to drop it is to hang up
            assert next(chunks).startswith("event: segment\n")
            server.look_until(in_flight=1)
        server.look_until(in_flight=0)
        assert server.stop() == ({"tasks": [], "sockets": 0}, "")


@pytest.mark.parametrize("loop", LOOPS)
def test_a_shutdown_in_the_middle_leaves_nothing(
    program: Callable[[str], Path], drivers: Path, story: bytes, loop: str, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(*[hang()] * 40)

    async def upload(server: Served) -> tuple[dict[str, Any], str]:
        async def one(path: str) -> None:
            with pytest.raises(httpx.HTTPError):
                (await client.post(path, content=story)).raise_for_status()

        async with (
            httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client,
            anyio.create_task_group() as group,
        ):
            for path in PATHS * 10:
                group.start_soon(one, path)
            await anyio.to_thread.run_sync(lambda: server.look_until(in_flight=8))
            return await anyio.to_thread.run_sync(server.stop)

    with served(program("web.py"), drivers, loop) as server:
        left, complaints = anyio.run(upload, server)
    assert left == {"tasks": [], "sockets": 0}
    assert "Warning" not in complaints
    assert "never" not in complaints
