"""What is asked for in one call, every argument checked, and who may end it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .audio import Piece, Splitting
from .errors import ClovaSpeechError
from .http.parameters import Parameters
from .http.timeouts import Timeout
from .journal import Journal

__all__ = ["Guard", "Order"]


@dataclass(frozen=True, slots=True)
class Order:
    """What one call asks for."""

    parameters: Parameters
    splitting: Splitting = Splitting()  # noqa: RUF009 - frozen
    """How a recording of any length is cut."""
    timeout: Timeout | None = None
    """Of each request; None where it is the client's."""
    journal: Journal | None = None
    label: str = ""
    """A name for the audio, kept in the journal for people to read."""
    patient: bool = False
    """Whether the time-out of each request runs from its first slot; it does for every piece but the first."""


class Guard(Protocol):
    """Who says whether a call goes on; what it raises ends the call."""

    def may_go_on(self, again: bool) -> None:
        """Hear wherever the call has waited, and when it is to `look_again`; `again`: it has sent a request before."""

    def before_send(self, piece: Piece) -> None:
        """Hear right before each try of a request, with its piece."""

    async def on_setback(self, error: ClovaSpeechError) -> None:
        """Wait before a request is sent anew that failed in all its tries for what is not its audio's fault.

        It was thrown back, the service or the way to it was out of order, or the retry budget had no try left for it.
        """
