from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from clova_speech_async.errors import ConfigurationError
from clova_speech_async.http.tls import TLS

pytestmark = pytest.mark.anyio


async def test_the_context_is_made_once_and_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    original = httpx.create_ssl_context

    def create(**options: Any) -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return original(**options)

    monkeypatch.setattr(httpx, "create_ssl_context", create)
    tls = TLS()
    assert threads == []  # not when a client is made
    first = await tls.context()
    assert await tls.context() is first
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname


async def test_the_callers_context_is_used_as_it_is() -> None:
    context = ssl.create_default_context()
    assert await TLS(context).context() is context


async def test_authorities_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Any, tls_server: Any, make_sender: Any, kit: Any
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    sender = make_sender(tls_server.url, trust_env=True)
    assert (await sender.send(kit.kor, b"RIFF", seconds=1)).recognition.text == "hello"
    await sender.aclose()
    (tmp_path / "ca.pem").write_text("no certificate")
    broken = make_sender(tls_server.url, trust_env=True)
    with pytest.raises(ConfigurationError, match="check SSL_CERT_FILE and SSL_CERT_DIR, or pass ssl_context="):
        await broken.send(kit.kor, b"RIFF", seconds=1)


async def test_two_at_once_get_a_context_each_may_use() -> None:
    tls = TLS()
    contexts: list[ssl.SSLContext] = []

    async def one() -> None:
        contexts.append(await tls.context())

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    assert len(contexts) == 2
    assert await tls.context() in contexts
