"""The plugin as its users have it: in a pytest of its own, in a project of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = """
import os
import httpx
import pytest
from clova_speech_async.emulator import Behaviour, error, hang, reply

ports = set()

def ask(running, **more):
    headers = {"X-CLOVASPEECH-API-KEY": running.secret_key, "Content-Type": "application/octet-stream"}
    with httpx.Client(headers=headers) as client:
        return client.post(os.environ["CLOVA_SPEECH_INVOKE_URL"] + "?lang=Kor", **more)

def test_first(clova_speech_emulator):
    clova_speech_emulator.script(error("STT998"), error("STT999"))
    clova_speech_emulator.behaviour = Behaviour(retry_after=3)
    assert ask(clova_speech_emulator, content=b"x").json()["error"]["errorCode"] == "STT998"
    assert len(clova_speech_emulator.requests) == 1
    ports.add(clova_speech_emulator.port)

def test_second_finds_it_as_new(clova_speech_emulator):
    assert clova_speech_emulator.requests == ()
    assert clova_speech_emulator.behaviour == Behaviour()
    assert clova_speech_emulator.stats.scripted_left == 0
    ports.add(clova_speech_emulator.port)
    assert len(ports) == 1
    assert clova_speech_emulator.emulator._pool.processes == ()

def test_without_it_nothing_is_set():
    assert "CLOVA_SPEECH_SECRET_KEY" not in os.environ
"""

CLIENT = """
import pytest
from pathlib import Path
from clova_speech_async.emulator import error, reply

pytestmark = pytest.mark.anyio

async def test_bot(clova_speech_emulator, clova_speech_client):
    clova_speech_emulator.script(error("STT998"), reply("안녕하세요", quota=15))
    async with clova_speech_client as client:
        recognition = await client.recognize(Path(AUDIO), lang="Kor")
    assert recognition.text == "안녕하세요"
    assert [record.code for record in clova_speech_emulator.requests] == ["STT998", None]
"""


def run_pytest(project: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-q", *options]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "CLOVA_"))}
    return subprocess.run(
        command, cwd=project, env=kept | env, capture_output=True, text=True, timeout=120, check=False
    )


def test_fixtures_in_a_project_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PROJECT, encoding="utf-8")
    done = run_pytest(tmp_path)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_client_fixture(tmp_path: Path, data: Path) -> None:
    code = CLIENT.replace("AUDIO", repr(str(data / "umbrella.wav")))
    (tmp_path / "test_it.py").write_text(code, encoding="utf-8")
    done = run_pytest(tmp_path, "-p", "anyio")
    assert "passed" in done.stdout, done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_without_the_extra_only_the_fixture_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['uvicorn'] = None\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text(
        "def test_other(): pass\ndef test_it(clova_speech_emulator): pass\n", encoding="utf-8"
    )
    done = run_pytest(tmp_path)
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "pip install 'clova-speech-async[emulator]'" in done.stdout


def test_loading_the_plugin_loads_none_of_the_extra() -> None:
    code = (
        "import sys, clova_speech_async.emulator.pytest_plugin\n"
        "print(sorted({'starlette', 'uvicorn', 'pocketsphinx', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
