"""What C code prints is still while a loud decoder runs, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = """
import ctypes, sys
from clova_speech_async.audio.hush import hushed
libc = ctypes.CDLL(None)
def say(word):
    libc.fprintf(ctypes.c_void_p.in_dll(libc, "stderr"), word)
    libc.printf(word)
    libc.fflush(None)
say(b"before ")
with hushed(True):
    say(b"within ")
    with hushed(True):
        say(b"deep ")
    say(b"again ")
    print("python", end=" ", file=sys.stderr, flush=True)
    print("python", end=" ", flush=True)
with hushed(False):
    say(b"unwanted ")
try:
    with hushed(True):
        raise ValueError
except ValueError:
    say(b"after")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the variable is that of glibc")
def test_c_code_is_still_within_and_python_is_not() -> None:
    run = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == 2 * ("before python unwanted after",)


_ELSEWHERE = """
import platform, sys
platform.libc_ver = lambda: ("musl", "1.2")
from clova_speech_async.audio.hush import _HUSH, hushed
with hushed(True):
    assert _HUSH._variables == []
"""


def test_nothing_is_touched_where_it_is_not_known_to_be_safe() -> None:
    subprocess.run([sys.executable, "-c", _ELSEWHERE], check=True)


_DAMAGED = """
import sys
from clova_speech_async.audio import load
from clova_speech_async.errors import AudioError
try:
    load(sys.argv[1])
except AudioError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the variable is that of glibc")
def test_an_alac_with_a_damaged_table_prints_nothing(talk: Any, encoded: Any, tmp_path: Path) -> None:
    data = bytearray(encoded(talk(9).samples, format="CAF", subtype="ALAC_16"))
    at = data.index(b"pakt") + 36
    data[at : data.index(b"data")] = b"\xff" * (data.index(b"data") - at)
    path = tmp_path / "it.caf"
    path.write_bytes(data)
    run = subprocess.run([sys.executable, "-c", _DAMAGED, str(path)], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("EmptyAudioError\n", "")
