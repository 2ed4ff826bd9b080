"""Which way a request goes: the caller's own, the stack of connections, or httpx's client."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from clova_speech_async.checks import check_seconds
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

from .exchange import Outgoing
from .parameters import is_loopback
from .seams import patched
from .through import GivenClient, GivenTransport, OwnClients
from .tls import TLS
from .transport import Connections, Transport

__all__ = ["Routes"]


class Routes:
    """All the ways of one sender; which one is taken is asked anew for every try."""

    def __init__(
        self,
        to: Outgoing,
        *,
        transport: httpx.AsyncBaseTransport | None,
        http_client: httpx.AsyncClient | None,
        proxy: str | httpx.Proxy | None,
        trust_env: bool,
        ssl_context: ssl.SSLContext | None,
        idle_timeout: float,
    ) -> None:
        _check(transport, http_client, proxy, ssl_context, idle_timeout)
        self._given: Transport | None = None
        self._direct: Connections | None = None
        if transport is not None:
            self._given = GivenTransport(to, transport)
        elif http_client is not None:
            self._given = GivenClient(to, http_client)
        tls = TLS(ssl_context, trust_env=trust_env)
        through = _proxy(proxy)
        trust_env = trust_env and (to.scheme == "https" or _is_near(getproxies()))
        # Whether NO_PROXY makes an exception is for httpx to say, so then httpx sends.
        proxied = through is not None or (trust_env and _proxied(to.scheme))
        self._through = OwnClients(
            to, tls, idle_timeout=idle_timeout, proxy=through, trust_env=trust_env, proxied=proxied
        )
        if not proxied:
            self._direct = Connections(to, tls, idle_timeout=idle_timeout)

    def now(self) -> Transport:
        """Return the way that is right at this moment."""
        if self._given is not None:
            return self._given
        if self._direct is None or patched():
            return self._through
        return self._direct

    async def tend(self) -> None:
        """Close what has been idle too long, as its time comes, until this is closed."""
        if self._direct is not None:
            await self._direct.tend()

    async def aclose(self) -> None:
        """Close all that is not the caller's."""
        if self._direct is not None:
            await self._direct.aclose()
        await self._through.aclose()

    @property
    def open_connections(self) -> int:
        """Connections that are open, where that is known."""
        return sum(way.open_connections for way in (self._direct, self._through) if way is not None)

    @property
    def idle_connections(self) -> int:
        """Connections that carry no request, where that is known."""
        return sum(way.idle_connections for way in (self._direct, self._through) if way is not None)


def _proxied(scheme: str) -> bool:
    """Whether the environment names a proxy for a scheme."""
    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all"))


def _is_near(proxies: dict[str, str]) -> bool:
    """Whether the environment's proxies for plain http are on this machine: others would see the key in clear."""
    named = [address for scheme in ("http", "all") if (address := proxies.get(scheme))]
    return all(
        is_loopback(urlsplit(address if "://" in address else f"//{address}").hostname or "") for address in named
    )


def _proxy(proxy: str | httpx.Proxy | None) -> httpx.Proxy | None:
    """The proxy, checked; its address may hold a password, so it is not shown."""
    if proxy is None or isinstance(proxy, httpx.Proxy):
        return proxy
    try:
        return httpx.Proxy(proxy)
    except (ValueError, httpx.InvalidURL):
        raise InvalidArgumentError(
            "proxy is not an address such as http://proxy.example:8080 (http, https, socks5 or socks5h)",
            argument="proxy",
        ) from None


def _check(transport: object, http_client: object, proxy: object, ssl_context: object, idle_timeout: object) -> None:
    """Raise for what cannot be, or cannot be together."""
    own = "http_client" if http_client is not None else "transport"
    if transport is not None and http_client is not None:
        raise InvalidArgumentError("transport and http_client: pass one of them, a client has a transport of its own")
    if transport is not None and not isinstance(transport, httpx.AsyncBaseTransport):
        raise ArgumentTypeError(
            f"transport must be an httpx.AsyncBaseTransport, not {type(transport).__name__}", argument="transport"
        )
    if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
        raise ArgumentTypeError(
            f"http_client must be an httpx.AsyncClient, not {type(http_client).__name__}", argument="http_client"
        )
    for name, value, kinds in (("proxy", proxy, (str, httpx.Proxy)), ("ssl_context", ssl_context, ssl.SSLContext)):
        if value is None:
            continue
        if not isinstance(value, kinds):
            raise ArgumentTypeError(f"{name} is of the wrong type, {type(value).__name__}", argument=name)
        if transport is not None or http_client is not None:
            raise InvalidArgumentError(
                f"{name}: set it on the {own} that you pass, which is used as it is", argument=name
            )
    check_seconds("idle_timeout", idle_timeout, endless=True)
