"""Reading a reply to its end, whichever way it comes.

The law of this file: **a status that is known is not forgotten**. A reply of success whose body breaks off is no reply;
of one that says why a request failed, the status and the header fields say enough, so its body may be late, cut short
or too large.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence

import anyio

from .exchange import Progress, check_announced, make_reply, too_large
from .sockets import ReplyTooLarge
from .translate import FOREIGN
from .wire import REPLY_LIMIT, Reply

__all__ = ["HEAD_ROOM", "receive"]

HEAD_ROOM = 256 * 1024
"""Bytes of status line, header fields and framing that a reply may have beside its body."""
_CLOSING = 1.0
"""Seconds that a body may take to close after it has been left early."""
_PATIENCE = 5.0
"""Seconds that the body of an error may take."""


class _End(enum.Enum):
    """How a body ended."""

    WHOLE = enum.auto()
    BROKEN_OFF = enum.auto()
    TOO_LARGE = enum.auto()


async def receive(
    status: int, headers: Sequence[tuple[bytes, bytes]], body: AsyncIterable[bytes], progress: Progress
) -> Reply:
    """Return the whole reply; one that breaks off is returned as such.

    Raises `ReplyTooLargeError` for one of success that is over the cap.
    """
    progress.status = status
    progress.reply_begun = True
    parts: list[bytes] = []
    if 200 <= status < 300:
        check_announced(status, headers)
        end = await _collect(body, parts)
        if end is _End.TOO_LARGE:
            raise too_large(status)
    else:
        # Less than what the time-out leaves: it would else be all that is told.
        patience = min(_PATIENCE, 0.9 * (progress.scope.deadline - anyio.current_time()))
        end = _End.BROKEN_OFF
        with anyio.move_on_after(patience):
            end = await _collect(body, parts)
    joined = parts[0] if len(parts) == 1 else b"".join(parts)
    return make_reply(status, headers, joined, truncated=end is not _End.WHOLE)


async def _collect(body: AsyncIterable[bytes], parts: list[bytes]) -> _End:
    """Put the body into `parts`, none of one that is over the cap; return how it ended."""
    size = 0
    coming = body.__aiter__()
    try:
        async for part in coming:
            size += len(part)
            if size <= REPLY_LIMIT:
                parts.append(part)
                continue
            parts.clear()
            # Not before: a connection of ours ends such a reply itself, by an error, which closes what it passes.
            if size > REPLY_LIMIT + HEAD_ROOM:
                await _close(coming)
                break
    except ReplyTooLarge:
        return _End.TOO_LARGE
    except FOREIGN:
        return _End.BROKEN_OFF
    return _End.TOO_LARGE if size > REPLY_LIMIT else _End.WHOLE


async def _close(body: AsyncIterator[bytes]) -> None:
    """Close what is left in its middle; a generator would else end some time later."""
    if isinstance(body, AsyncGenerator):
        with anyio.move_on_after(_CLOSING, shield=True):
            await body.aclose()
