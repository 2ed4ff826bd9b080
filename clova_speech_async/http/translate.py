"""Where foreign exceptions become ours, once: those of httpx, httpcore, h11, ssl and the operating system.

The law of this file: **no message and no cause may hold a secret**. httpx's errors carry the request with the key in
its headers, and h11's quote header values and replies; so of a chain of exceptions only the operating system's own
error becomes the cause, and only our own words, or the system's, become the text.
"""

from __future__ import annotations

import socket
import ssl

import anyio
import httpcore
import httpx

from clova_speech_async.errors import (
    ClovaSpeechError,
    ConfigurationError,
    ConnectError,
    ConnectionLostError,
    ConnectTimeoutError,
    DeadlineExceededError,
    NetworkError,
    ReplyTimeoutError,
)

from .door import in_line_too_long
from .exchange import Outgoing, Phase, Progress
from .sockets import reason

__all__ = ["FOREIGN", "timed_out", "translate"]

FOREIGN = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpcore.ConnectError,
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.BusyResourceError,
    anyio.EndOfStream,
    OSError,
)
"""What `translate` takes."""

_NOT_SENT = (
    httpx.ConnectError,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpcore.ConnectError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_NOT_SENT_IN_TIME = (httpx.ConnectTimeout, httpx.PoolTimeout, httpcore.ConnectTimeout, httpcore.PoolTimeout)
_TIMEOUTS = (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError)
_PROXY = (httpx.ProxyError, httpcore.ProxyError)
_LOCAL = (httpx.LocalProtocolError, httpcore.LocalProtocolError)
_PROTOCOL = (httpx.ProtocolError, httpcore.ProtocolError)
_NO_TLS = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL", "WRONG_VERSION_NUMBER"})
"""OpenSSL's names for an answer to a handshake that is no TLS at all."""
_NO_TLS_EITHER = "record layer failure"
"""What OpenSSL says for it from 3.2 on; Python has no name for that, or a wrong one, and tells it in the text only."""
_NO_COMMON_VERSION = frozenset(
    {
        "NO_PROTOCOLS_AVAILABLE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "UNSUPPORTED_SSL_VERSION",
        "VERSION_TOO_HIGH",
        "VERSION_TOO_LOW",
        "WRONG_SSL_VERSION",
    }
)
"""OpenSSL's names for a handshake that ended because the two sides have no version of TLS in common."""


def translate(error: Exception, progress: Progress, to: Outgoing) -> ClovaSpeechError:
    """Return our error for a foreign one; its cause is set, and is the system's error or nothing."""
    if isinstance(error, _LOCAL):
        # "Illegal header value b'<the key>'": nothing of it may be shown.
        return ConfigurationError(
            "the request cannot be written as HTTP: a header of the credentials has a character that is not allowed"
        )
    cause = _system_error(error)
    ours: NetworkError
    if isinstance(error, _NOT_SENT_IN_TIME) or (not progress.heard and isinstance(error, _TIMEOUTS)):
        ours = ConnectTimeoutError(f"no connection to {to.place} in time; nothing was sent")
    elif isinstance(error, _NOT_SENT) or not progress.heard:
        ours = ConnectError(_why_not_connected(error, cause, progress, to))
        ours.retryable = not _is_lasting(cause)
    elif isinstance(error, _TIMEOUTS):
        ours = _no_reply(progress, to)
    else:
        ours = ConnectionLostError(_how_lost(error, cause, progress, to))
    ours.__cause__ = cause
    return ours


def timed_out(progress: Progress, to: Outgoing) -> NetworkError:
    """Return the error for a try whose scope was cancelled by its deadline."""
    if progress.phase is Phase.WAITING:
        return in_line_too_long()
    if progress.past_deadline:
        doing = {
            Phase.CONNECTING: f"while connecting to {to.place}",
            Phase.SENDING: "during the upload; it may be billed",
            Phase.RECEIVING: "while waiting for the reply; it may be billed",
        }[progress.phase]
        return DeadlineExceededError(f"the time-out over all tries ran out {doing}")
    if progress.phase <= Phase.CONNECTING:
        return ConnectTimeoutError(f"no connection to {to.place} within {progress.limit():g} s; nothing was sent")
    return _no_reply(progress, to)


def _no_reply(progress: Progress, to: Outgoing) -> ReplyTimeoutError:
    limit = progress.limit()
    if progress.phase is Phase.SENDING:
        return ReplyTimeoutError(f"{to.place} took nothing more of the upload within {limit:g} s; it may be billed")
    what = "the rest of the reply did not come" if progress.reply_begun else "no reply came"
    return ReplyTimeoutError(f"{what} from {to.place} within {limit:g} s of the upload; it may be billed")


def _why_not_connected(error: Exception, cause: OSError | None, progress: Progress, to: Outgoing) -> str:
    if isinstance(error, _PROXY):
        return f"the proxy gave no connection to {to.place}; nothing was sent: check HTTPS_PROXY or proxy="
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{to.place} is not trusted: {reason(cause)}; nothing was sent: set SSL_CERT_FILE or pass ssl_context="
    if isinstance(cause, ssl.SSLError) and _is_no_tls(cause):
        return (
            f"{to.place} does not speak TLS ({reason(cause)}); nothing was sent: use http:// for an emulator on "
            "loopback, else check the host and port of the Invoke URL and the proxy in between (HTTPS_PROXY or proxy=)"
        )
    if isinstance(cause, ssl.SSLError) and _openssl_name(cause) in _NO_COMMON_VERSION:
        return (
            f"{to.place} has no version of TLS in common with this client ({reason(cause)}); nothing was sent: check "
            "the proxy in between, and the versions that ssl_context= or the system's OpenSSL settings allow"
        )
    why = f" ({reason(cause)})" if cause is not None else ""
    if progress.proxied:
        # Which of the two was not reached httpx does not tell.
        no = "no address for the proxy," if isinstance(cause, socket.gaierror) else "no connection to the proxy,"
        return f"{no} or through it to {to.place}{why}; nothing was sent: check HTTPS_PROXY or proxy="
    if isinstance(cause, socket.gaierror):
        return f"the host {to.host!r} has no address{why}; nothing was sent: check the Invoke URL"
    return f"no connection to {to.place}{why}; nothing was sent"


def _is_lasting(cause: OSError | None) -> bool:
    """Whether another try would fail the same way: who is not trusted, or speaks no TLS, will not in a second."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return True
    return isinstance(cause, ssl.SSLError) and (_is_no_tls(cause) or _openssl_name(cause) in _NO_COMMON_VERSION)


def _is_no_tls(cause: ssl.SSLError) -> bool:
    """Whether the other end answered, but not in TLS; a handshake cut off is an `SSLEOFError` of another name."""
    return _openssl_name(cause) in _NO_TLS or _NO_TLS_EITHER in str(cause)


def _openssl_name(cause: ssl.SSLError) -> str | None:
    # Only those of OpenSSL have it: one that a caller's transport made has not.
    return getattr(cause, "reason", None)


def _how_lost(error: Exception, cause: OSError | None, progress: Progress, to: Outgoing) -> str:
    when = "during the upload" if progress.phase is Phase.SENDING else "after the upload"
    if progress.reply_begun and isinstance(error, _PROTOCOL):
        return f"what {to.place} answered is not HTTP; the request may be billed: check the Invoke URL"
    why = f"reported an error ({reason(cause)})" if cause is not None else "was closed by the other end"
    return f"the connection to {to.place} {why} {when}, without a reply; the request may be billed"


def _system_error(error: BaseException | None) -> OSError | None:
    """The operating system's, or OpenSSL's, own error in a chain of exceptions; rather one that has a number."""
    found: OSError | None = None
    for _ in range(10):
        if error is None:
            break
        # A time-out of anyio or trio is an OSError by its class, but nothing that the system said.
        if isinstance(error, OSError) and not isinstance(error, ClovaSpeechError) and error.args:
            if error.errno is not None:
                return error
            found = found or error
        several = getattr(error, "exceptions", None)  # one for each address of a name
        error = several[0] if several else error.__cause__ or error.__context__
    return found
