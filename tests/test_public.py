"""The public face against reality: names, order, docstrings, and what an import costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Iterator

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


def signatures() -> Iterator[str]:
    """Every annotation in the signature of what is public."""
    for name in clova_speech_async.__all__:
        value = getattr(clova_speech_async, name)
        functions = [value] if inspect.isfunction(value) else []
        if inspect.isclass(value):
            members = {key: inspect.unwrap(getattr(it, "fget", it)) for key, it in vars(value).items()}
            functions = [it for key, it in members.items() if inspect.isfunction(it) and is_public(key)]
            yield from (str(it) for key, it in vars(value).get("__annotations__", {}).items() if is_public(key))
        for function in functions:
            yield from map(str, inspect.get_annotations(function).values())


def is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__aenter__", "__anext__")


def test_every_name_in_a_public_signature_is_public() -> None:
    """Who writes a function around one of ours wants to annotate it."""
    homes = [module for name, module in sys.modules.items() if name.startswith("clova_speech_async.")]
    ours = {name for home in homes for name, value in vars(home).items() if is_ours(name, value)}
    assert {"Transcript", "Host", "Channels", "TimeoutInput"} <= ours, "the test knows no names"
    wanted = {word for told in signatures() for word in re.findall(r"[A-Za-z_]\w*", told)}
    assert {"AudioInput", "Channels", "Transcript"} <= wanted, "the test sees no signatures"
    # What the library alone calls: to make a stream and a run, to ask a limiter for a slot, a journal for a reply, a
    # policy what is to be done.
    inner = {"Host", "Run", "Work"} | {"Caller", "Place", "Signal"} | {"Claim", "Stored"} | {"Failure"}
    assert sorted((wanted & ours) - inner - set(clova_speech_async.__all__)) == []


def is_ours(name: str, value: object) -> bool:
    """Whether it is a class or an alias for types of this package."""
    if name.startswith("_") or not name[0].isupper() or name.isupper() or hasattr(typing, name):
        return False
    module = getattr(value, "__module__", "")
    return module.startswith("clova_speech_async") or module in ("typing", "types") or isinstance(value, str)


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
