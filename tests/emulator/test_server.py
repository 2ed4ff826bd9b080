"""Over a real socket, on loopback."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme

from clova_speech_async.emulator import (
    ADDRESS,
    ROWS,
    Behaviour,
    Emulator,
    ServeOptions,
    cut,
    error,
    hang,
    reply,
    run,
    serve,
    serve_async,
)

HEADERS = {"X-CLOVASPEECH-API-KEY": "emulator", "Content-Type": "application/octet-stream"}
ENG = ADDRESS + "?lang=Eng"


_before: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _remember_threads() -> None:
    """Emulators that are other tests' may go on beside these."""
    _before.clear()
    _before.update(threading.enumerate())


def threads() -> list[str]:
    new = set(threading.enumerate()) - _before
    return [thread.name for thread in new if thread.name == "clova-speech-emulator"]


def test_one_line_serves_and_leaves_nothing(tone: Any) -> None:
    with serve(Emulator(recognizer="hello")) as running:
        assert running.url == f"http://127.0.0.1:{running.port}"
        assert threads()
        with httpx.Client(base_url=running.url, headers=HEADERS) as client:
            assert client.post(ENG, content=tone()).json() == {"text": "hello", "quota": 15}
        # The record is there as soon as the reply is.
        assert [record.status for record in running.requests] == [200]
        assert running.stats.requests == 1
        assert str(running.port) in repr(running)
    assert not threads()
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", running.port), timeout=1):
        pass


def test_an_emulator_of_its_own(tone: Any) -> None:
    with serve() as running, httpx.Client(headers=HEADERS) as client:
        assert running.environment == {
            "CLOVA_SPEECH_INVOKE_URL": running.url + ADDRESS,
            "CLOVA_SPEECH_SECRET_KEY": "emulator",
        }
        text = client.post(running.environment["CLOVA_SPEECH_INVOKE_URL"] + "?lang=Chn", content=tone()).json()["text"]
        assert "模拟器" in text
        running.behaviour = Behaviour(max_parallel=7)
        assert running.emulator.behaviour == running.behaviour == Behaviour(max_parallel=7)


@pytest.mark.anyio
async def test_from_within_any_event_loop(tone: Any) -> None:
    async with (
        serve_async(Emulator(recognizer="hello")) as running,
        httpx.AsyncClient(base_url=running.url, headers=HEADERS) as client,
    ):
        assert (await client.post(ENG, content=tone())).json()["text"] == "hello"
    assert not threads()


@pytest.mark.anyio
async def test_it_stops_when_its_block_is_cancelled_and_requests_hang(tone: Any) -> None:
    emulator = Emulator(recognizer="")
    emulator.script(hang())
    with anyio.move_on_after(0.3) as scope:
        async with (
            serve_async(emulator) as running,
            httpx.AsyncClient(base_url=running.url, headers=HEADERS) as client,
        ):
            await client.post(ENG, content=tone())
    assert scope.cancelled_caught
    assert not threads()
    assert [record.status for record in emulator.requests] == [None]


def test_every_row_over_the_wire() -> None:
    with serve(Emulator(recognizer="")) as running, httpx.Client(base_url=running.url, headers=HEADERS) as client:
        running.script(*(error(f"{row.status}/{row.code}") for row in ROWS))
        for row in ROWS:
            answer = client.post(ENG, content=b"x")
            assert answer.status_code == row.status
            assert answer.json()["error"] == {"errorCode": row.code, "message": row.message}


def test_a_body_too_large_is_answered_and_the_connection_lives(tone: Any) -> None:
    with serve(Emulator(recognizer="hi")) as running, httpx.Client(base_url=running.url, headers=HEADERS) as client:
        assert client.post(ENG, content=b"x" * 12_000_000).json()["error"]["errorCode"] == "STT000"
        chunks = (b"x" * 100_000 for _ in range(120))
        assert client.post(ENG, content=chunks).json()["error"]["errorCode"] == "STT000"
        assert client.post(ENG, content=tone()).json()["text"] == "hi"


def test_connections_are_cut(tone: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serve(Emulator(recognizer="hi")) as running, httpx.Client(base_url=running.url, headers=HEADERS) as client:
        running.script(cut(), cut(status=200, body='{"text": "hal'), reply("whole"))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            client.post(ENG, content=tone())
        with client.stream("POST", ENG, content=tone()) as answer:
            assert answer.status_code == 200
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                answer.read()
        assert client.post(ENG, content=tone()).json()["text"] == "whole"
    assert caplog.text == ""


def test_hanging_ends_with_the_client(tone: Any) -> None:
    with serve(Emulator(recognizer="hi")) as running:
        running.script(hang())
        with httpx.Client(base_url=running.url, headers=HEADERS) as client:
            with pytest.raises(httpx.ReadTimeout):
                client.post(ENG, content=tone(), timeout=0.05)
            assert client.post(ENG, content=tone()).json()["text"] == "hi"
    assert sorted(record.status or 0 for record in running.requests) == [0, 200]


def test_over_tls(tone: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = httpx.create_ssl_context()
    authority.configure_trust(context)
    with serve(Emulator(recognizer="hi"), certfile=tmp_path / "both.pem") as running:
        assert running.url.startswith("https://127.0.0.1:")
        with httpx.Client(base_url=running.url, headers=HEADERS, verify=context) as client:
            assert client.post(ENG, content=tone()).json()["text"] == "hi"


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}.*another port"), serve(port=port):
            pass
        with pytest.raises(OSError, match="cannot listen"):
            run(ServeOptions(port=port))
    assert not threads()


def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with (
        pytest.raises(OSError, match=r"cannot serve over TLS with certfile .*empty.pem"),
        serve(Emulator(recognizer=""), certfile=tmp_path / "empty.pem"),
    ):
        pass
    assert not threads()


PROGRAM = """
import sys
from clova_speech_async.emulator import Behaviour, ServeOptions, run
run(ServeOptions(port=0, recognizer="served", behaviour=Behaviour(retry_after=5)))
print("ended", file=sys.stderr)
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_end(tone: Any, end: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(6)]
    exports = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines if "export " in line)
    assert exports["CLOVA_SPEECH_SECRET_KEY"] == "emulator"
    with httpx.Client(headers=HEADERS) as client:
        url = exports["CLOVA_SPEECH_INVOKE_URL"]
        assert client.post(url + "?lang=Kor", content=tone()).json()["text"] == "served"
        rules = client.get(url.removesuffix(ADDRESS) + "/emulator/behaviour").json()
        assert rules["retry_after"] == 5
    process.send_signal(end)
    out, err = process.communicate(timeout=20)
    assert out == ""
    assert "Traceback" not in err
    assert process.returncode in (0, -end)


def test_the_greeting_goes_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    out = io.StringIO()
    run(ServeOptions(port=0, host="0.0.0.0", recognizer="", control=False), out=out)
    assert "http://127.0.0.1:" in out.getvalue()
    assert "emulator/behaviour" not in out.getvalue()


def test_ipv6(tone: Any) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serve(Emulator(recognizer="hi"), host="::1") as running, httpx.Client(headers=HEADERS) as client:
        assert running.url == f"http://[::1]:{running.port}"
        assert client.post(running.url + ENG, content=tone()).json()["text"] == "hi"


def test_a_server_that_ends_or_is_slow_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: None)
    with pytest.raises(RuntimeError, match="ended while it started"), serve(Emulator(recognizer="")):
        pass
    monkeypatch.setattr("clova_speech_async.emulator.server._STARTING_SECONDS", 0.01)
    over = threading.Event()
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: over.wait(5))
    monkeypatch.setattr("threading.Thread.join", lambda self, timeout=None: over.set())
    with pytest.raises(RuntimeError, match="did not start within"), serve(Emulator(recognizer="")):
        pass
