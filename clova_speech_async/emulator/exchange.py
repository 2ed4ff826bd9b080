"""One request and its reply.

Law of this file: it asks in the order in which the service could know things: key, capacity, content type, parameters,
size, audio, length. What to answer is decided in `contract`, `gate` and `sound`; here it is only awaited and sent.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Send

from .assessment import assess
from .behaviour import Behaviour, Scripted
from .contract import (
    CONTENT_TYPE,
    MAX_BYTES,
    MAX_SECONDS,
    Keys,
    Refusal,
    Row,
    Wanted,
    billed_seconds,
    read_parameters,
    row,
    transcript_body,
)
from .gate import Gate
from .ledger import Ledger
from .recognition import Recognizer, recognise
from .sound import Sound, decode, measure
from .workers import WorkerPool

AudioCheck = Literal["decode", "header", "none"]
ABORT = "clova_speech_async.emulator.abort"
"""The ASGI extension with which a server lets the emulator break a connection."""
_GATEWAY = (401, 403, 404, 413, 429, 503)
"""Statuses of rows that a gateway answers at once, before the recogniser has heard of the request."""
_log = logging.getLogger("clova_speech_async.emulator")


@dataclass(frozen=True)
class Service:
    """What every exchange of an emulator shares."""

    keys: Keys
    gate: Gate
    ledger: Ledger
    pool: WorkerPool
    recognizer: Recognizer | None
    audio_check: AudioCheck


class Exchange:
    """One request to the recognition address, from its arrival to the end of its reply."""

    def __init__(self, service: Service, request: Request, send: Send) -> None:
        self._service = service
        self._request = request
        self._send = send
        self._arrived = anyio.current_time()

    async def run(self) -> None:
        """Answer the request, and keep a record of it whatever becomes of it."""
        request, service = self._request, self._service
        parallel, scripted = service.gate.arrive()
        record = service.ledger.arrive(
            request.method, request.url.path, dict(request.query_params), dict(request.headers), self._arrived
        )
        self._record = replace(record, parallel=parallel)
        response: Response | None = None
        try:
            response = await (self._answer(scripted) if _is_reply(scripted) else self._play(cast("Scripted", scripted)))
        except ClientDisconnect:
            return  # nobody is there to answer; the record says so by having no status
        finally:
            # Before the reply is sent, so that whoever has the reply finds the record.
            service.gate.leave()
            service.ledger.leave(self._record, anyio.current_time())
        if response is not None:
            await response(request.scope, request.receive, self._send)
        elif scripted is not None and scripted.kind == "cut":
            await self._cut(scripted)

    async def _answer(self, scripted: Scripted | None) -> Response:
        try:
            body = await self._recognise(scripted)
        except Refusal as refusal:
            return self._error(refusal.row, _retry_header(refusal))
        except ClientDisconnect:
            raise
        except Exception:  # noqa: BLE001 - a service answers, whatever happened inside; it is logged whole
            _log.exception("the emulator failed; it answers 500/STT999")
            return self._error(row("STT999"), {})
        self._record = replace(self._record, status=200)
        return Response(body, 200, media_type="application/json")

    def _error(self, found: Row, headers: Mapping[str, str]) -> Response:
        self._record = replace(self._record, status=found.status, code=found.code)
        body = found.body(int(time.time() * 1000))
        return Response(body, found.status, dict(headers), media_type="application/json")

    async def _recognise(self, scripted: Scripted | None) -> bytes:
        service, request = self._service, self._request
        is_csr = service.keys.check(request.headers)
        rules, failure = service.gate.admit(anyio.current_time())
        try:
            if failure is not None and failure.status in _GATEWAY:
                raise Refusal(f"{failure.status}/{failure.code}", retry_after=rules.retry_after)
            if request.headers.get("content-type", "").strip() != CONTENT_TYPE:
                raise Refusal("STT002")
            wanted = read_parameters(request.query_params.multi_items())
            body = await self._read_body()
            if not body:
                raise Refusal("STT003")
            sound = await self._hear(body, rules)
            if failure is not None:
                await self._wait(rules.reply_after(sound.seconds))
                raise Refusal(f"{failure.status}/{failure.code}", retry_after=rules.retry_after)
            fields = await self._fields(sound, wanted, rules, scripted)
            await self._wait(rules.reply_after(sound.seconds) + (scripted.delay if scripted else 0.0))
        finally:
            service.gate.finish()
        return transcript_body({"text": fields["text"]} if is_csr else fields)

    async def _fields(
        self, sound: Sound, wanted: Wanted, rules: Behaviour, scripted: Scripted | None
    ) -> dict[str, Any]:
        service = self._service
        billed = billed_seconds(sound.seconds)
        if not service.ledger.bill(billed, rules.quota_seconds):
            raise Refusal("429/400", retry_after=rules.retry_after)
        self._record = replace(self._record, billed_seconds=billed)
        given = scripted.fields if scripted is not None else {}
        try:
            if "text" in given:
                text = given["text"]
            else:
                text = await recognise(service.recognizer, service.pool, sound.pcm, wanted.lang, sound.seconds)
            fields = {"text": text, "quota": billed}
            if wanted.assessment or wanted.graph:
                fields |= await assess(service.pool, sound.pcm, wanted, text)
        except Exception as exc:
            _log.exception("recognition failed; the emulator answers 500/STT998")
            raise Refusal("STT998") from exc
        return fields | dict(given)

    async def _read_body(self, limit: float = MAX_BYTES) -> bytes:
        """The whole body; a longer one is refused by its announced length, or once it is over `limit` (bytes)."""
        announced = self._request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise Refusal("STT000")
        digest, chunks, size = hashlib.sha256(), [], 0
        try:
            async with aclosing(self._request.stream()) as stream:
                async for chunk in stream:
                    digest.update(chunk)
                    size += len(chunk)
                    if size > limit:
                        raise Refusal("STT000")
                    chunks.append(chunk)
        finally:
            self._record = replace(self._record, body_size=size, sha256=digest.hexdigest())
        return b"".join(chunks)

    async def _hear(self, body: bytes, rules: Behaviour) -> Sound:
        check = self._service.audio_check
        if check == "none":
            sound = Sound("", 0.0, body)
        elif check == "header":
            sound = replace(measure(body), pcm=body)
            if sound.seconds > MAX_SECONDS:
                raise Refusal("STT001")
        else:
            sound = await anyio.to_thread.run_sync(lambda: decode(body, max_seconds=MAX_SECONDS))
        self._record = replace(self._record, audio_seconds=sound.seconds)
        if sound.seconds < rules.min_seconds:
            raise Refusal("STT007")
        return sound

    async def _wait(self, seconds: float) -> None:
        await anyio.sleep_until(self._arrived + seconds)

    async def _play(self, scripted: Scripted) -> Response | None:
        """What the script says, whatever was sent; None where it says that no reply is to come."""
        await self._read_body(limit=math.inf)
        await anyio.sleep(scripted.delay)
        if scripted.kind == "hang":
            while (await self._request.receive())["type"] != "http.disconnect":
                pass
            return None
        if scripted.row is not None:
            return self._error(scripted.row, scripted.headers)
        if scripted.kind == "cut":
            return None
        self._record = replace(self._record, status=scripted.status)
        headers = {"Content-Type": "application/json"} | dict(scripted.headers)
        return Response(scripted.body, scripted.status, headers)

    async def _cut(self, scripted: Scripted) -> None:
        abort = self._request.scope.get("extensions", {}).get(ABORT)
        if abort is None:
            raise RuntimeError("only an emulator served over a socket, by `serve` or the command, can cut a connection")
        if scripted.status:
            length = str(len(scripted.body) + 1).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", length)]
            await self._send({"type": "http.response.start", "status": scripted.status, "headers": headers})
            await self._send({"type": "http.response.body", "body": scripted.body, "more_body": True})
        abort()
        while (await self._request.receive())["type"] != "http.disconnect":
            pass


def _is_reply(scripted: Scripted | None) -> bool:
    return scripted is None or scripted.kind == "reply"


def _retry_header(refusal: Refusal) -> dict[str, str]:
    if refusal.retry_after is None or refusal.row.status not in (429, 503):
        return {}
    return {"Retry-After": f"{refusal.retry_after:g}"}
