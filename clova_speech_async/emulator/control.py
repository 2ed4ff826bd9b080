"""The emulator's own address, ``/emulator/…``, from which a test in another process drives it.

Law of this file: it only translates JSON; what it sets and shows is the `Emulator`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import behaviour as scripting
from .behaviour import Behaviour, Scripted
from .ledger import EmulatorStats, RequestRecord

__all__ = ["Controlled", "control_routes"]

_MAKERS: dict[str, Callable[..., Scripted]] = {
    "reply": scripting.reply,
    "error": scripting.error,
    "raw": scripting.raw,
    "hang": scripting.hang,
    "cut": scripting.cut,
}


class Controlled(Protocol):
    """What is driven from here: the `Emulator`."""

    behaviour: Behaviour

    @property
    def requests(self) -> tuple[RequestRecord, ...]: ...

    @property
    def stats(self) -> EmulatorStats: ...

    def script(self, *replies: Scripted) -> None: ...

    def reset(self) -> None: ...


def control_routes(emulator: Controlled) -> list[Route]:
    """Routes under ``/emulator/``:

    ``GET behaviour``, ``PUT behaviour`` (all of it: what is not named is as by default), ``PATCH behaviour`` (only what
    is named), ``GET requests``, ``GET stats``, ``POST script`` (a list such as ``[{"error": "STT998"}, {"reply":
    "hello"}, {"raw": {"status": 502, "body": "<html>"}}, {"hang": {}}]``), ``POST reset``.
    A body that is not understood is 400 with the reason as text.
    """

    async def show_behaviour(request: Request) -> Response:
        if request.method in ("PUT", "PATCH"):
            values = await _json(request)
            base = emulator.behaviour if request.method == "PATCH" else None
            emulator.behaviour = Behaviour.from_dict(values, base)
        return JSONResponse(emulator.behaviour.to_dict())

    async def show_requests(request: Request) -> Response:
        return JSONResponse([asdict(record) for record in emulator.requests])

    async def show_stats(request: Request) -> Response:
        return JSONResponse(asdict(emulator.stats))

    async def add_script(request: Request) -> Response:
        emulator.script(*_scripted(await _json(request)))
        return JSONResponse({"scripted_left": emulator.stats.scripted_left})

    async def reset(request: Request) -> Response:
        emulator.reset()
        return JSONResponse(emulator.behaviour.to_dict())

    return [
        Route("/emulator/behaviour", _explaining(show_behaviour), methods=["GET", "PUT", "PATCH"]),
        Route("/emulator/requests", show_requests, methods=["GET"]),
        Route("/emulator/stats", show_stats, methods=["GET"]),
        Route("/emulator/script", _explaining(add_script), methods=["POST"]),
        Route("/emulator/reset", reset, methods=["POST"]),
    ]


def _explaining(endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def explained(request: Request) -> Response:
        try:
            response: Response = await endpoint(request)
        except (TypeError, ValueError) as exc:
            return Response(f"{exc}\n", 400, media_type="text/plain")
        return response

    return explained


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as exc:
        raise ValueError(f"the body must be JSON: {exc}") from exc


def _scripted(values: Any) -> list[Scripted]:
    if not isinstance(values, list):
        raise TypeError(f'a script is a JSON list such as [{{"error": "STT998"}}], not {values!r}')
    made = []
    for value in values:
        if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in _MAKERS:
            raise ValueError(f"one step of a script is an object of one of {', '.join(_MAKERS)}, not {value!r}")
        ((kind, arguments),) = value.items()
        maker = _MAKERS[kind]
        made.append(maker(**arguments) if isinstance(arguments, dict) else maker(arguments))
    return made
