"""The ways to the service that somebody else provides: the caller's transport or client, a proxy, a mock.

Each is used as it is, by httpx's public interface. What is the caller's stays the caller's to close. For proxies and
where httpx is instrumented (see `seams`) there is an `httpx.AsyncClient` of one connection for each slot, for the
reason that there is one connection for each slot in `transport`.

httpx logs the whole URL at INFO, with the user's texts in it; `_HideQuery` takes the query out for our requests.
"""

from __future__ import annotations

import contextvars
import logging
import time
from collections import deque

import anyio
import anyio.lowlevel
import httpx

from clova_speech_async.errors import (
    ClovaSpeechError,
    ConfigurationError,
    ConnectionLostError,
    MissingDependencyError,
)

from .exchange import Outgoing, Phase, Progress
from .receive import receive
from .timeouts import Timeout
from .tls import TLS
from .translate import FOREIGN, translate
from .wire import Reply

__all__ = ["GivenClient", "GivenTransport", "OwnClients"]

logger = logging.getLogger("clova_speech_async.http")

_CLOSING = 1.0
"""Seconds that closing a connection may take, also when its request was cancelled."""
_ours: contextvars.ContextVar[bool] = contextvars.ContextVar("clova_speech_async_request", default=False)


class _HideQuery(logging.Filter):
    """Takes the query out of the URLs that httpx logs, for requests of this library only."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _ours.get() and isinstance(record.args, tuple):
            record.args = tuple(_without_query(value) for value in record.args)
        return True


def _without_query(value: object) -> object:
    return value.copy_with(query=None) if isinstance(value, httpx.URL) else value


_hide_query = _HideQuery()


async def _receive(response: httpx.Response, progress: Progress) -> Reply:
    """The reply, its connection given back."""
    try:
        read = _as_read(response, progress) if response.is_closed else None
        if read is not None:
            return read
        # Not `aiter_raw`: a response that a mock made has been read already, and that refuses to be read again.
        return await receive(response.status_code, response.headers.raw, response.stream, progress)  # type: ignore[arg-type]
    finally:
        with anyio.move_on_after(_CLOSING, shield=True):
            await response.aclose()


def _is_another(asked: httpx.Request, request: httpx.Request) -> bool:
    """Whether a request is none of ours, but one that a hook or an auth flow sends beside it."""
    mine, its = request.url, asked.url
    return (asked.method, its.host, its.port, its.path) != (request.method, mine.host, mine.port, mine.path)


def _asked(error: BaseException) -> httpx.Request | None:
    """The request that an error of httpx is about, where it knows of one."""
    try:
        return error.request if isinstance(error, httpx.RequestError) else None
    except RuntimeError:
        return None


def _as_read(response: httpx.Response, progress: Progress) -> Reply | None:
    """The reply as a hook or an auth flow of the caller's client has read it, decoded; None where nobody has."""
    try:
        body = response.content
    except httpx.ResponseNotRead:
        return None
    _begun(response, progress)
    headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    return Reply(response.status_code, headers, body)


def _heard_by_hook(response: httpx.Response, progress: Progress) -> Reply:
    """The reply over which a hook of the caller's client raised; of its body what that hook has read."""
    read = _as_read(response, progress)
    if read is not None:
        return read
    _begun(response, progress)
    return Reply(response.status_code, response.headers.raw, truncated=True)


def _begun(response: httpx.Response, progress: Progress) -> None:
    progress.status = response.status_code
    progress.reply_begun = True


class GivenTransport:
    """The caller's `httpx.AsyncBaseTransport`."""

    open_connections = 0
    idle_connections = 0

    def __init__(self, to: Outgoing, transport: httpx.AsyncBaseTransport) -> None:
        self._to = to
        self._transport = transport

    async def exchange(
        self, query: str, body: bytes, progress: Progress, timeout: Timeout, *, fresh: bool = False
    ) -> Reply:
        """Send a request and return the reply; whether the connection is new is the transport's affair."""
        progress.enter(Phase.CONNECTING)
        request = self._to.httpx_request(query, body, progress, timeout)
        try:
            response = await self._transport.handle_async_request(request)
        except FOREIGN as error:
            failure = translate(error, progress, self._to)
        else:
            return await _receive(response, progress)
        raise failure

    async def warm(self, count: int, timeout: Timeout) -> int:
        """Do nothing: httpx has no way to open a connection without a request."""
        return 0

    async def aclose(self) -> None:
        """Do nothing: it is the caller's."""


async def _send(client: httpx.AsyncClient, to: Outgoing, request: httpx.Request, progress: Progress) -> Reply:
    """Send a request by a client; redirects are never followed."""
    token = _ours.set(True)
    try:
        response = await client.send(request, stream=True, follow_redirects=False)
    except FOREIGN as error:
        if isinstance(error, httpx.HTTPStatusError) and not _is_another(error.response.request, request):
            return _heard_by_hook(error.response, progress)
        asked = _asked(error)
        if progress.heard and asked is not None and _is_another(asked, request):
            # Nothing is known of ours then, but that it may have been heard.
            failure: ClovaSpeechError = ConnectionLostError(f"a hook of the http_client raised {error!r}")
        else:
            failure = translate(error, progress, to)
    else:
        return await _receive(response, progress)
    finally:
        _ours.reset(token)
    raise failure


class GivenClient:
    """The caller's `httpx.AsyncClient`, with its headers, cookies, hooks, proxies and limits."""

    open_connections = 0
    idle_connections = 0

    def __init__(self, to: Outgoing, client: httpx.AsyncClient) -> None:
        self._to = to
        self._client = client
        logging.getLogger("httpx").addFilter(_hide_query)

    async def exchange(
        self, query: str, body: bytes, progress: Progress, timeout: Timeout, *, fresh: bool = False
    ) -> Reply:
        """Send a request and return the reply; whether the connection is new is the client's affair.

        Raises `ConfigurationError` when the client has been closed.
        """
        if self._client.is_closed:
            raise ConfigurationError("the http_client= has been closed: keep it open as long as it is in use here")
        progress.enter(Phase.CONNECTING)
        ours = self._to.httpx_request(query, body, progress, timeout)
        # Parameters of its own would stand in the place of ours.
        params = ours.url.params if self._client.params else None
        request = self._client.build_request(
            "POST", ours.url, params=params, headers=ours.headers, content=ours.stream, extensions=ours.extensions
        )
        request.stream = ours.stream
        return await _send(self._client, self._to, request, progress)

    async def warm(self, count: int, timeout: Timeout) -> int:
        """Do nothing: httpx has no way to open a connection without a request."""
        return 0

    async def aclose(self) -> None:
        """Do nothing: it is the caller's."""


class OwnClients:
    """A stack of httpx clients of one connection each: for proxies, and where httpx is mocked or instrumented."""

    def __init__(
        self,
        to: Outgoing,
        tls: TLS,
        *,
        idle_timeout: float,
        proxy: httpx.Proxy | None = None,
        trust_env: bool = True,
        proxied: bool = False,
    ) -> None:
        self._to = to
        self._tls = tls
        self._idle_timeout = idle_timeout
        self._proxy = proxy
        self._trust_env = trust_env
        self._proxied = proxied
        self._idle: deque[tuple[httpx.AsyncClient, float]] = deque()
        """With the times from which they are idle, the warmest on top."""
        self._open = 0
        self._closed = False
        self._loop: object = None
        logging.getLogger("httpx").addFilter(_hide_query)

    async def exchange(
        self, query: str, body: bytes, progress: Progress, timeout: Timeout, *, fresh: bool = False
    ) -> Reply:
        """Send a request by an idle client, or a new one, and return the reply."""
        progress.enter(Phase.CONNECTING)
        progress.proxied = self._proxied
        self._check_loop()
        await self._close_expired()
        client = self._idle.pop()[0] if self._idle and not fresh else None
        progress.reused = client is not None
        if client is None:
            client = await self._make()
        keep = False
        try:
            request = self._to.httpx_request(query, body, progress, timeout)
            reply = await _send(client, self._to, request, progress)
            keep = not reply.truncated
        finally:
            if keep and not self._closed:
                self._idle.append((client, time.monotonic()))
            else:
                await self._close(client)
        return reply

    async def _close_expired(self) -> None:
        while self._idle and self._idle[0][1] < time.monotonic() - self._idle_timeout:
            await self._close(self._idle.popleft()[0])

    def _check_loop(self) -> None:
        """Forget the clients of an event loop that has ended: their connections cannot be closed any more."""
        loop = anyio.lowlevel.current_token()
        if loop != self._loop:
            self._loop = loop
            self._open -= len(self._idle)
            self._idle.clear()

    async def _make(self) -> httpx.AsyncClient:
        context = await self._tls.context()
        limits = httpx.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=min(self._idle_timeout, 1e9)
        )
        try:
            client = httpx.AsyncClient(
                verify=context, limits=limits, proxy=self._proxy, trust_env=self._trust_env, follow_redirects=False
            )
        except ImportError:
            raise MissingDependencyError(
                "a SOCKS proxy is set, and that needs an extra of httpx: pip install 'httpx[socks]'"
            ) from None
        except (ValueError, httpx.InvalidURL):
            # No `from error`: a proxy's address may hold a password.
            raise ConfigurationError(
                "the proxy's address cannot be used: check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY"
            ) from None
        self._open += 1
        return client

    async def _close(self, client: httpx.AsyncClient) -> None:
        """Close a client; what that raises changes nothing for a request that has ended already."""
        self._open -= 1
        with anyio.move_on_after(_CLOSING, shield=True):
            try:
                await client.aclose()
            except Exception as error:  # noqa: BLE001 - of httpx, of the backend, of whatever is patched in
                logger.debug("closing a connection raised %s", type(error).__name__)

    async def warm(self, count: int, timeout: Timeout) -> int:
        """Do nothing: httpx has no way to open a connection without a request."""
        return 0

    async def aclose(self) -> None:
        """Close every idle client, side by side, and those in use as they come back."""
        self._closed = True
        self._check_loop()
        clients = [client for client, _ in self._idle]
        self._idle.clear()
        async with anyio.create_task_group() as group:
            for client in clients:
                group.start_soon(self._close, client)

    @property
    def open_connections(self) -> int:
        """Clients in use and idle; each has at most one connection."""
        return self._open

    @property
    def idle_connections(self) -> int:
        """Clients that carry no request."""
        return len(self._idle)
