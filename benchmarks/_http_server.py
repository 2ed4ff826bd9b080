"""The server of `bench_client`: answers every POST after a fixed time, and is cheaper than any of its clients.

Run as a process of its own: ``python _http_server.py LATENCY [CERTIFICATE]`` prints the port. Not an HTTP server in
general: it trusts ``Content-Length``, reads nothing else, and keeps every connection open.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
from typing import Any

BODY = b'{"text":"I believe you are just talking nonsense","quota":15}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Answer(asyncio.Protocol):
    """Counts the bytes of a request and answers it."""

    latency = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.head = b""
        self.missing = -1

    def data_received(self, data: bytes) -> None:
        if self.missing < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            at = self.head.lower().find(b"content-length:") + 15
            self.missing = int(self.head[at : self.head.find(b"\r\n", at)]) - (len(self.head) - end - 4)
            self.head = b""
        else:
            self.missing -= len(data)
        if self.missing == 0:
            self.missing = -1
            self.loop.call_later(self.latency, self.transport.write, REPLY)


async def main(latency: float, certificate: str | None) -> None:
    """Serve until the process is ended."""
    Answer.latency = latency
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = await asyncio.get_running_loop().create_server(Answer, sock=listener, ssl=context)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    run = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        run = uvloop.run
    run(main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
