from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from clova_speech_async.cli import app

SPEECH = (Path(__file__).parents[1] / "data" / "umbrella.wav").read_bytes()
COMMAND = [sys.executable, "-m", "clova_speech_async", "emulator"]


@contextmanager
def running(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command in a process of its own, and the address that it prints."""
    process = subprocess.Popen([*COMMAND, "--port", "0", *options], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(4)]
        found = re.search(r"CLOVA_SPEECH_INVOKE_URL=(\S+)", "".join(said))
        assert found is not None, said
        yield found[1], process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def post(url: str, **headers: str) -> httpx.Response:
    given = {"X-CLOVASPEECH-API-KEY": "emulator", "Content-Type": "application/octet-stream"} | headers
    return httpx.post(url, params={"lang": "Eng"}, headers=given, content=SPEECH, trust_env=False)


def test_it_serves_and_ends_with_ctrl_c() -> None:
    with running("--fail", "STT998=1", "--retry-after", "3") as (url, process):
        assert post(url).json()["error"]["errorCode"] == "STT998"
        behaviour = url.removesuffix("/recog/v1/stt") + "/emulator/behaviour"
        changed = httpx.patch(behaviour, content=json.dumps({"failures": {"429/410": 1.0}}), trust_env=False)
        assert changed.status_code == 200
        refused = post(url)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3")
    assert process.returncode in (0, 130)


def test_any_key() -> None:
    with running("--any-key", "--text", "hello") as (url, _):
        assert post(url, **{"X-CLOVASPEECH-API-KEY": "mine"}).status_code != 401


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fail", "STT998"], "CODE=PROBABILITY"),
        (["--fail", "STT123=0.1"], "STT123"),
        (["--fail", "STT998=2"], "over 1"),
        (["--latency", "-1"], "clova-speech: --latency must be at least 0, not -1.0"),
        (["--max-parallel", "0"], "clova-speech: --max-parallel must be a whole number of at least 1, not 0"),
        (["--parallel-error", "418/1"], "418/1"),
        (["--port", "99999"], "--port"),
        (["--certfile", "absent.pem"], "--certfile absent.pem: there is no such file"),
        (["--certfile", __file__, "--keyfile", "."], "--keyfile .: that is a folder"),
        (["--keyfile", __file__], "--keyfile goes with --certfile"),
    ],
)
def test_wrong_options_end_with_2(options: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["emulator", *options], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["emulator", "--port", str(port)])
    assert done.exit_code == 1
    assert f"port {port}" in done.stderr
    assert "try another port" in done.stderr


def test_a_host_that_is_none() -> None:
    done = CliRunner().invoke(app, ["emulator", "--host", "300.1.1.1", "--port", "0"])
    assert done.exit_code == 1
    assert "cannot listen on 300.1.1.1 port 0: " in done.stderr
    assert "another port" not in done.stderr


def test_without_the_extra_the_command_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__("importlib").import_module

    def missing(name: str, *arguments: Any) -> Any:
        if name == "clova_speech_async.emulator":
            raise ImportError("no uvicorn")
        return real(name, *arguments)

    monkeypatch.setattr("importlib.import_module", missing)
    for arguments in (["emulator"], ["transcribe", "a.wav", "--emulator"]):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2
        assert "pip install 'clova-speech-async[emulator]'" in done.stderr


def test_without_the_extra_cli_the_command_says_how_to_get_it() -> None:
    script = (
        "import sys; sys.modules['typer'] = None; sys.argv = ['clova-speech']\n"
        "from clova_speech_async.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "clova-speech needs the extra 'cli': pip install 'clova-speech-async[cli]'"
