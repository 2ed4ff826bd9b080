"""Whether somebody stands in httpx's or httpcore's way: a mock of the tests, or an instrumentation.

respx, pytest-httpx and vcrpy in tests, and OpenTelemetry and Sentry in production, put their own functions in the
place of a few methods of httpx and httpcore. A request must pass them, so while one of them is there requests go by
httpx's own client, which calls all of these methods.
"""

from __future__ import annotations

import httpcore
import httpx

__all__ = ["patched"]

_METHODS = (
    (httpcore.AsyncHTTPConnection, "handle_async_request"),
    (httpcore.AsyncHTTP11Connection, "handle_async_request"),
    (httpcore.AsyncConnectionPool, "handle_async_request"),
    (httpcore.AsyncHTTPProxy, "handle_async_request"),
    (httpx.AsyncHTTPTransport, "handle_async_request"),
    (httpx.AsyncClient, "send"),
    (httpx.AsyncClient, "_send_single_request"),
    (httpx.AsyncClient, "_transport_for_url"),
)


def _own(kind: type, name: str) -> object:
    """The library's own method; a stranger's, put there before this module came, counts as one that is no method."""
    found = vars(kind).get(name)
    home = str(getattr(found, "__module__", kind.__module__))
    genuine = home.split(".")[0] in ("httpx", "httpcore") and not hasattr(found, "__wrapped__")
    return found if genuine else object()


_SEAMS = tuple((vars(kind), name, _own(kind, name)) for kind, name in _METHODS)


def patched() -> bool:
    """Return whether one of the methods is not the library's own, now."""
    return any(methods.get(name) is not own for methods, name, own in _SEAMS)
