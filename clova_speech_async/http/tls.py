"""The TLS context of a client: made once, when first needed, in a worker thread (it reads a large file)."""

from __future__ import annotations

import ssl

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx

from clova_speech_async.errors import ConfigurationError

__all__ = ["TLS"]


class TLS:
    """Holds the caller's context, or makes the usual one: certifi's authorities, or SSL_CERT_FILE, SSL_CERT_DIR."""

    def __init__(self, context: ssl.SSLContext | None = None, *, trust_env: bool = True) -> None:
        self._context = context
        self._trust_env = trust_env
        self._making: tuple[object, anyio.Event] | None = None
        """The event loop in which the context is being made, and what tells its end."""

    async def context(self) -> ssl.SSLContext:
        """Return the context.

        Raises `ConfigurationError` when the authorities named in the environment cannot be read.
        """
        while self._context is None:
            loop = anyio.lowlevel.current_token()
            if self._making is not None and self._making[0] == loop:
                # Each context costs a thread some milliseconds in which the event loop has no turn.
                await self._making[1].wait()
                continue
            self._making = (loop, made := anyio.Event())
            try:
                self._context = await anyio.to_thread.run_sync(self._make, limiter=anyio.CapacityLimiter(1))
            finally:
                self._making = None
                made.set()
        return self._context

    def _make(self) -> ssl.SSLContext:
        try:
            context = httpx.create_ssl_context(trust_env=self._trust_env)
        except OSError as error:
            raise ConfigurationError(
                "the certificate authorities cannot be read: check SSL_CERT_FILE and SSL_CERT_DIR, or pass ssl_context="
            ) from error
        context.set_alpn_protocols(["http/1.1"])
        return context
