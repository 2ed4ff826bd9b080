"""Standard error of C code is still while the MP3 decoder runs, and only then."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes, sys
from clova_speech_async.audio.hush import hushed
libc = ctypes.CDLL(None)
def say(word):
    libc.fprintf(ctypes.c_void_p.in_dll(libc, "stderr"), word)
    libc.fflush(None)
say(b"before ")
with hushed(True):
    say(b"within ")
    with hushed(True):
        say(b"deep ")
    say(b"again ")
    print("python", end=" ", file=sys.stderr, flush=True)
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
    assert run.stderr == "before python unwanted after"


_ELSEWHERE = """
import platform, sys
platform.libc_ver = lambda: ("musl", "1.2")
from clova_speech_async.audio.hush import _HUSH, hushed
with hushed(True):
    assert _HUSH._variable is None
"""


def test_nothing_is_touched_where_it_is_not_known_to_be_safe() -> None:
    subprocess.run([sys.executable, "-c", _ELSEWHERE], check=True)
