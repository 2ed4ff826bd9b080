"""The emulated service as an ASGI application.

Law of this file: it puts the parts together and owns them; every request to the recognition address is an `Exchange`,
everything else is the control address or not found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from types import TracebackType
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .behaviour import Behaviour, Scripted
from .contract import ADDRESS, CSR_KEY_ID, SECRET_KEY, Keys, row
from .control import control_routes
from .exchange import AudioCheck, Exchange, Service
from .gate import Gate
from .ledger import EmulatorStats, Ledger, RequestRecord
from .recognition import Recognizer, check
from .workers import WorkerPool


class Emulator:
    """CLOVA Speech's short sentence recognition, re-made from its documents as an ASGI application.

    It keeps the documented contract strictly, recognises English with PocketSphinx, and says honestly in the text that
    it is an emulator where it was asked for another language. Give it to an ASGI server, to `serve`, or to
    ``httpx.ASGITransport(app=emulator)``.

    Options:
        secret_key: the key it accepts, or several; None: any key. Default ``"emulator"``.
        csr_keys: pairs of key id and key of the sibling service CSR; None: any pair.
        recognizer: who turns audio into text instead: a callable ``(pcm, lang) -> str``, plain (run in a thread) or
            async, given 16-bit mono 16 kHz PCM; `echo`; or a string, which is then the text of every reply.
        behaviour: latency, capacity and faults; `behaviour` may be set anew at any time.
        audio_check: ``"decode"``: audio is decoded and its samples counted; for load tests ``"header"``, where its
            length is what its header says, or ``"none"``, where any bytes are audio and billed 15 seconds. In both of
            these the recogniser is given the body itself.
        workers: PocketSphinx processes at most; default: one for each processor, up to four.
        keep_requests: how many of the latest requests `requests` remembers.
        control: whether the behaviour can be set over HTTP, under ``/emulator/``.

    Raises `ValueError` or `TypeError` naming the option.
    """

    def __init__(
        self,
        *,
        secret_key: str | Collection[str] | None = SECRET_KEY,
        csr_keys: Collection[tuple[str, str]] | None = ((CSR_KEY_ID, SECRET_KEY),),
        recognizer: Recognizer | None = None,
        behaviour: Behaviour | None = None,
        audio_check: AudioCheck = "decode",
        workers: int | None = None,
        keep_requests: int = 10_000,
        control: bool = True,
    ) -> None:
        check(recognizer)
        if audio_check not in ("decode", "header", "none"):
            raise ValueError(f"audio_check must be 'decode', 'header' or 'none', not {audio_check!r}")
        self._ledger = Ledger(_whole("keep_requests", keep_requests))
        self._gate = Gate(behaviour if behaviour is not None else Behaviour(), self._ledger)
        size = min(4, os.cpu_count() or 1) if workers is None else _whole("workers", workers)
        self._pool = WorkerPool(size, load=recognizer is None)
        self._needs_models = recognizer is None
        accepted = _keys(secret_key)
        self.accepted_key = min(accepted) if accepted else SECRET_KEY
        """A key that it accepts; of several, the first by the alphabet."""
        keys = Keys(accepted, None if csr_keys is None else frozenset(csr_keys))
        self._service = Service(keys, self._gate, self._ledger, self._pool, recognizer, audio_check)
        routes = control_routes(self) if control else []
        self._app = Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; any path that ends in the recognition address is it, as every Invoke URL's does."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith(ADDRESS):
            await Exchange(self._service, Request(scope, receive), send).run()
        else:
            await self._app(scope, receive, send)

    @property
    def behaviour(self) -> Behaviour:
        """Latency, capacity and faults from the next request on; set it to change them."""
        return self._gate.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._gate.behaviour = behaviour

    def script(self, *replies: Scripted) -> None:
        """Answer the next requests with these, one each, in this order; then go on as ever.

        They are made by `reply`, `error`, `raw`, `hang` and `cut`, and wait in line behind those scripted before.
        """
        self._gate.script(*replies)

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The latest requests that were answered, or given up by their sender, in that order."""
        return self._ledger.records()

    @property
    def stats(self) -> EmulatorStats:
        """The sums over all requests, as a snapshot."""
        return self._ledger.stats(self._gate.working, self._gate.scripted_left)

    def reset(self, behaviour: Behaviour | None = None) -> None:
        """Forget requests, sums, bill and script, and take up that behaviour, or the plain one."""
        self._gate.unscript()
        self._gate.behaviour = behaviour if behaviour is not None else Behaviour()
        self._ledger.reset()

    def prepare(self) -> None:
        """Start loading PocketSphinx now, beside whatever else is going on, so that the first request waits less."""
        if self._needs_models:
            self._pool.start()

    def close(self) -> None:
        """End the PocketSphinx processes; recognition with them is over. Ending the program does the same."""
        self._pool.close()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def _keys(given: Any) -> frozenset[str] | None:
    if given is None:
        return None
    keys = frozenset([given] if isinstance(given, str) else given)
    if not keys or not all(isinstance(key, str) and key and key.isascii() and key.isprintable() for key in keys):
        raise ValueError("secret_key must be printable ASCII, a collection of such keys, or None for any key")
    return keys


async def _not_found(request: Request, exc: Exception) -> Response:
    found = row("404/300")
    return Response(found.body(int(time.time() * 1000)), found.status, media_type="application/json")
