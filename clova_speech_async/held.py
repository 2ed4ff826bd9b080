"""The claim of a piece, while it is waited for and held."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import anyio

from .errors import DeadlineExceededError
from .http.door import Place
from .http.sender import Sender
from .journal import Claim

__all__ = ["Held"]


class Held:
    """The claim of a piece, held: with the reply, or with the right to ask the service for it.

    The wait for it ends after `patience` seconds, and looks up when all calls are to `look_again`; `check` raises then
    where the call is to go no further.
    """

    __slots__ = ("_check", "_claim", "_patience", "_place", "_sender")

    def __init__(
        self, claim: Claim, sender: Sender, check: Callable[[], None], place: Place | None, patience: float
    ) -> None:
        self._claim = claim
        self._sender = sender
        self._check = check
        self._place = place
        self._patience = patience

    async def __aenter__(self) -> None:
        began = anyio.current_time()
        while True:
            with self._sender.resting(began + self._patience):
                await self._claim.__aenter__()
                if self._place is not None:
                    self._place.waited += anyio.current_time() - began
                return
            self._check()
            if anyio.current_time() >= began + self._patience:
                raise DeadlineExceededError(
                    "the time-out over all tries ran out while another call was getting the same; nothing was sent"
                )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._claim.__aexit__(kind, error, trace)
