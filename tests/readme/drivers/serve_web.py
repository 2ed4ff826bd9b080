"""Serves the `app` of a program with uvicorn and tells how it is.

Usage: serve_web.py PROGRAM asyncio|uvloop. Prints a line of JSON when it listens, one for each line `look` on its
standard input (memory, the loop's longest stall since the last look by the clock and in processor time, what the client
does), and, after the line `stop`, one with what the program left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn

PROGRAM, LOOP = Path(sys.argv[1]), sys.argv[2]
TICK = 0.002
sys.path.insert(0, str(PROGRAM.parent))


class Stall:
    """How late the loop was at worst, and how long it was at work meanwhile at worst."""

    def __init__(self) -> None:
        self._late = self._busy = 0.0

    async def watch(self) -> None:
        while True:
            clock, work = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK)
            self._late = max(self._late, time.perf_counter() - clock - TICK)
            self._busy = max(self._busy, time.thread_time() - work)

    def take(self) -> tuple[float, float]:
        worst = self._late, self._busy
        self._late = self._busy = 0.0
        return worst


def memory() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def sockets() -> int:
    """How many sockets are open; 0 where the system does not tell."""
    found = 0
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # that of the listing itself is closed by now
            found += os.readlink(link).startswith("socket:")
    return found


def tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


async def main() -> None:
    app = importlib.import_module(PROGRAM.stem).app
    before = sockets()
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(TICK)
    stall = Stall()
    watching = asyncio.create_task(stall.watch())
    port = server.servers[0].sockets[0].getsockname()[1]
    tell(port=port, loop=type(asyncio.get_running_loop()).__module__)

    def look() -> None:
        stats = app.state.client.stats()
        late, busy = stall.take()
        tell(
            memory=memory(),
            stall=late,
            stall_busy=busy,
            in_flight=stats.in_flight,
            waiting=stats.waiting,
            attempts=stats.attempts,
            requests=stats.requests,
            succeeded=stats.succeeded,
            open_connections=stats.open_connections,
        )

    def stop_or_look(loop: asyncio.AbstractEventLoop) -> None:
        for line in iter(sys.stdin.readline, ""):
            if line.strip() == "stop":
                break
            loop.call_soon_threadsafe(look)
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)

    threading.Thread(target=stop_or_look, args=(asyncio.get_running_loop(),), daemon=True).start()
    await serving
    watching.cancel()
    await asyncio.wait([watching])
    await asyncio.sleep(0.05)  # connections that are closed say so on the loop's next rounds
    gc.collect()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    tell(tasks=[repr(task) for task in left], sockets=sockets() - before)


if LOOP == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
