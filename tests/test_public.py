"""The public face against reality: names, order, docstrings, and what an import costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import clova_speech_async
from clova_speech_async import errors

CONTRACT = {
    "PCM",
    "Adaptive",
    "BackgroundStream",
    "BatchTranscriber",
    "ClovaSpeechClient",
    "ClovaSpeechError",
    "Language",
    "QueueFullError",
    "Recognition",
    "RetryPolicy",
    "Segment",
    "Transcript",
}


def test_all_is_sorted_and_holds_what_is_there() -> None:
    names = clova_speech_async.__all__
    assert names == sorted(names)
    assert len(set(names)) == len(names)
    public = {
        name
        for name, value in vars(clova_speech_async).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public == set(names)
    assert set(names) >= CONTRACT


def test_every_error_is_public_and_in_one_tree() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert classes <= set(clova_speech_async.__all__)
    assert all(issubclass(getattr(errors, name), errors.ClovaSpeechError) for name in classes)
    drawn = errors.__doc__ or ""
    assert all(name in drawn for name in classes), "the tree at the top of the file is not whole"


def test_every_public_class_and_function_has_a_docstring() -> None:
    missing = []
    for name in clova_speech_async.__all__:
        value = getattr(clova_speech_async, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not (value.__doc__ or "").strip():
            missing.append(name)
        for member, function in vars(value).items() if inspect.isclass(value) else ():
            if inspect.isfunction(function) and not member.startswith("_") and not function.__doc__:
                missing.append(f"{name}.{member}")
    assert missing == []


def test_importing_brings_in_no_extra_and_warns_of_nothing() -> None:
    extras = ["typer", "starlette", "uvicorn", "pocketsphinx", "av", "matplotlib", "opentelemetry", "rich"]
    # httpx brings in Rich where it is there, for a command of its own.
    script = (
        "import sys, anyio, httpx, msgspec, numpy, soundfile, soxr\n"
        "before = set(sys.modules)\n"
        "import clova_speech_async\n"
        f"print(sorted(set({extras!r}) & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
