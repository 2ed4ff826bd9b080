"""A service that answers at once, in a process of its own: HTTP/1.1 by hand, so that it costs little."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import TracebackType

_REPLY = b'{"text":"hello","quota":15}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_REPLY), _REPLY)


class Connection(asyncio.Protocol):
    """Counts the bytes of a request and answers when they are there; `delay` seconds later."""

    def __init__(self, delay: float, count: list[int]) -> None:
        self._delay = delay
        self._count = count
        self._head = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            if head.startswith(b"get"):
                self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n%12d" % self._count[0])
                self._head = b""
                return
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            self._missing = length - (len(self._head) - end - 4)
            self._head = b""
        if self._missing <= 0:
            self._missing = 0
            self._count[0] += 1
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)


class Stub:
    """Starts the service in another process; `url` is its address, `count()` what it was sent."""

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    def __enter__(self) -> Stub:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._delay)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def count(self) -> int:
        """Requests that it was sent in all."""
        import urllib.request

        with urllib.request.urlopen(self.url) as reply:
            return int(reply.read())


async def main(delay: float) -> None:
    count = [0]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(delay, count), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
