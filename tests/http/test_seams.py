from __future__ import annotations

import httpcore
import httpx
import pytest

from clova_speech_async.http.seams import _METHODS, _own, patched


@pytest.mark.parametrize(("kind", "name"), _METHODS)
def test_each_method_is_watched(kind: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def other(*_: object) -> None: ...

    assert hasattr(kind, name)  # should httpx rename one of them, this is where it is seen
    assert not patched()
    with monkeypatch.context() as patch:
        patch.setattr(kind, name, other)
        assert patched()
    assert not patched()


def test_a_stranger_that_was_there_first_is_known_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _own(httpx.AsyncClient, "send") is vars(httpx.AsyncClient)["send"]
    # It has no such method of its own; that is the library's way, too.
    assert _own(httpcore.AsyncHTTPProxy, "handle_async_request") is None

    async def stranger(*_: object) -> None: ...

    monkeypatch.setattr(httpx.AsyncClient, "send", stranger)
    assert _own(httpx.AsyncClient, "send") is not stranger
    stranger.__module__ = "httpx._client"
    stranger.__wrapped__ = None  # type: ignore[attr-defined]
    assert _own(httpx.AsyncClient, "send") is not stranger
