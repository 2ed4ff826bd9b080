"""The command against a service on loopback that knows the number in each recording."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clova_speech_async.cli import app

KEY = {"CLOVA_SPEECH_SECRET_KEY": "test-key", "COLUMNS": "200", "TERM": "dumb"}


def wav(number: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(struct.pack("<I", number) + struct.pack("<hh", 8000, -8000) * 799)
    return out.getvalue()


class Service:
    """Says ``number N`` for a recording with N in it; `answer` may say otherwise, after `delay` seconds."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.arrived = threading.Semaphore(0)
        self.go = threading.Event()
        self.go.set()
        self.answer: Callable[[int], tuple[int, Any]] = lambda number: (200, {"text": f"number {number}", "quota": 15})
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                (number,) = struct.unpack("<I", body[44:48]) if body else (-1,)
                service.sent.append(number)
                service.arrived.release()
                service.go.wait(20)
                status, reply = service.answer(number)
                data = json.dumps(reply).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True  # the client has gone

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # type: ignore[method-assign]  # a client that was killed
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.go.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(("a.wav", "b.wav", "sub/c.wav")):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav(number))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(service: Service, folder: Path) -> Callable[..., Result]:
    def run(*arguments: str, input: bytes | None = None) -> Result:  # noqa: A002
        return CliRunner().invoke(
            app, ["transcribe", *arguments, "--invoke-url", service.url], env=KEY, input=input, catch_exceptions=False
        )

    return run


@pytest.fixture
def make_wav() -> Callable[[int], bytes]:
    return wav


@pytest.fixture
def start(service: Service, folder: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """The command in a process."""

    def run(*arguments: str, program: str | None = None, command: str = "transcribe") -> subprocess.Popen[bytes]:
        how = ["-m", "clova_speech_async"] if program is None else ["-c", program]
        return subprocess.Popen(
            [sys.executable, *how, command, *arguments, "--invoke-url", service.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | KEY,
        )

    return run


@pytest.fixture
def shell(service: Service, folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command in a process, to its end."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "clova_speech_async", *arguments]
        environment = os.environ | KEY | {"CLOVA_SPEECH_INVOKE_URL": service.url}
        return subprocess.run(
            command,
            env=options.pop("env", environment),
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=60,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def invoke(service: Service, folder: Path) -> Callable[..., Any]:
    """As `shell`, without a process."""

    def run(*arguments: str) -> Any:
        environment = KEY | {"CLOVA_SPEECH_INVOKE_URL": service.url}
        done = CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)
        return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    return run
