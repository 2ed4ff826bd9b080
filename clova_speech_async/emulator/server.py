"""An emulator on a socket: for a test in one line, and for the command.

Law of this file: uvicorn runs in a thread of its own, so that an emulator serves programs of every event loop and of
none, and so that a program that blocks its loop still gets its replies.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TextIO

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import Emulator
from .behaviour import Behaviour, Scripted
from .contract import ADDRESS, SECRET_KEY
from .exchange import ABORT, AudioCheck
from .ledger import EmulatorStats, RequestRecord
from .recognition import Recognizer

_STARTING_SECONDS = 20.0
_Path = str | PathLike[str]


class Running:
    """An emulator that is being served: where it is, and the emulator's own levers."""

    def __init__(self, emulator: Emulator, host: str, port: int, *, tls: bool = False) -> None:
        self.emulator = emulator
        self.host = host
        self.port = port
        self.tls = tls

    def __repr__(self) -> str:
        return f"<clova_speech_async.emulator.Running at {self.url}>"

    @property
    def url(self) -> str:
        """Its Invoke URL; for a client's ``invoke_url=``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def secret_key(self) -> str:
        """A key it accepts; for a client's ``secret_key=``."""
        return self.emulator.accepted_key

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which a client finds it."""
        return {"CLOVA_SPEECH_INVOKE_URL": self.url + ADDRESS, "CLOVA_SPEECH_SECRET_KEY": self.secret_key}

    @property
    def behaviour(self) -> Behaviour:
        """The emulator's `behaviour`; set it to change it."""
        return self.emulator.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self.emulator.behaviour = behaviour

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The emulator's `requests`."""
        return self.emulator.requests

    @property
    def stats(self) -> EmulatorStats:
        """The emulator's `stats`."""
        return self.emulator.stats

    def script(self, *replies: Scripted) -> None:
        """The emulator's `script`."""
        self.emulator.script(*replies)


class _Protocol(H11Protocol):
    """uvicorn's own, which lets the application break the connection."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app: Any = _with_abort(self.app, transport)


def _with_abort(app: ASGIApp, transport: Any) -> ASGIApp:
    async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[ABORT] = transport.abort
        await app(scope, receive, send)

    return with_abort


@contextlib.contextmanager
def serve(
    emulator: Emulator | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    certfile: _Path | None = None,
    keyfile: _Path | None = None,
) -> Iterator[Running]:
    """Serve an emulator from a thread of its own for the time of the block; on a free port where none is named.

    ``with serve() as running:`` gives `Running`, with ``running.url``, ``running.secret_key`` and ``running.emulator``.
    An emulator that was passed in stays its caller's to close. Raises `OSError` where the port is taken.
    """
    mine = emulator is None
    served = Emulator() if emulator is None else emulator
    try:
        with _listening(host, port) as listener:
            server = uvicorn.Server(_config(served, certfile, keyfile))
            thread = threading.Thread(target=server.run, args=([listener],), name="clova-speech-emulator", daemon=True)
            thread.start()
            try:
                _await_start(server, thread)
                yield _running(served, listener, host, tls=certfile is not None)
            finally:
                server.should_exit = True
                thread.join()
    finally:
        if mine:
            served.close()


@contextlib.asynccontextmanager
async def serve_async(emulator: Emulator | None = None, **options: Any) -> AsyncIterator[Running]:
    """The same as `serve`, with its options, without blocking the event loop while it starts and stops."""
    manager = serve(emulator, **options)
    running = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        yield running
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(manager.__exit__, None, None, None)


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Everything the command ``clova-speech emulator`` can be told."""

    host: str = "127.0.0.1"
    port: int = 8080
    secret_key: str | None = SECRET_KEY
    """None: any key is accepted."""
    certfile: _Path | None = None
    keyfile: _Path | None = None
    behaviour: Behaviour = field(default_factory=Behaviour)
    recognizer: Recognizer | None = None
    """A text that every reply has, or a callable; None: PocketSphinx for English."""
    audio_check: AudioCheck = "decode"
    workers: int | None = None
    control: bool = True


def run(options: ServeOptions | None = None, *, out: TextIO | None = None) -> None:
    """Serve an emulator until the process is told to end (Ctrl-C, SIGTERM); what to set for a client goes to ``out``.

    ``out`` is standard error unless given. Raises `OSError` where the address cannot be had.
    """
    opts = options if options is not None else ServeOptions()
    emulator = Emulator(
        secret_key=opts.secret_key,
        behaviour=opts.behaviour,
        recognizer=opts.recognizer,
        audio_check=opts.audio_check,
        workers=opts.workers,
        control=opts.control,
    )
    with emulator, _listening(opts.host, opts.port) as listener:
        emulator.prepare()
        running = _running(emulator, listener, opts.host, tls=opts.certfile is not None)
        stream = sys.stderr if out is None else out
        print(_greeting(running, control=opts.control), file=stream, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(_config(emulator, opts.certfile, opts.keyfile)).run([listener])


def _greeting(running: Running, *, control: bool) -> str:
    lines = [f"CLOVA Speech emulator at {running.url}{ADDRESS}", "Point a client at it with"]
    lines += [f"  export {name}={value}" for name, value in running.environment.items()]
    if control:
        lines.append(f"Its behaviour: GET, PUT or PATCH {running.url}/emulator/behaviour")
    return "\n".join([*lines, "Ctrl-C ends it."])


def _running(emulator: Emulator, listener: socket.socket, host: str, *, tls: bool) -> Running:
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound, only read
    return Running(emulator, shown, listener.getsockname()[1], tls=tls)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        another = "; try another port" if exc.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise OSError(exc.errno, f"cannot listen on {host} port {port}: {exc.strerror or exc}{another}") from exc
    with listener:
        yield listener


def _config(emulator: Emulator, certfile: _Path | None, keyfile: _Path | None) -> uvicorn.Config:
    config = uvicorn.Config(
        emulator,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=60,
        # Requests that are still asleep on purpose must not hold up the end of a test.
        timeout_graceful_shutdown=1,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
    )
    try:
        config.load()  # here and not in the server's thread, where nobody would see it fail
    except OSError as exc:
        raise OSError(f"cannot serve over TLS with certfile {certfile!s} and keyfile {keyfile!s}: {exc}") from exc
    return config


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + _STARTING_SECONDS
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the emulator's server ended while it started; its log says why")
        if time.monotonic() > until:
            raise RuntimeError(f"the emulator's server did not start within {_STARTING_SECONDS:.0f} s")
        time.sleep(0.002)
