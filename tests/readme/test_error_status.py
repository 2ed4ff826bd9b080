"""The HTTP status of every error: the README's table against the web backend's `status_of`."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import clova_speech_async
from clova_speech_async import ClovaSpeechError, errors


def example(kind: type[ClovaSpeechError]) -> ClovaSpeechError:
    """An error of that class, its data left out."""
    made = kind.__new__(kind)
    Exception.__init__(made, "text")
    return made


def every_error() -> list[type[ClovaSpeechError]]:
    classes = (value for _, value in inspect.getmembers(errors, inspect.isclass))
    return [value for value in classes if issubclass(value, ClovaSpeechError)]


def read_table(root: Path) -> dict[str, int]:
    readme = (root / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", readme[readme.index("\n## Errors") :], re.MULTILINE)
    return {name: int(status) for status, names in rows for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_the_table_in_the_readme_tells_every_status(web: ModuleType, root: Path, kind: type[ClovaSpeechError]) -> None:
    table = read_table(root)
    nearest = next(table[parent.__name__] for parent in kind.__mro__ if parent.__name__ in table)
    assert web.status_of(example(kind)) == nearest


def test_the_table_names_only_what_there_is(root: Path) -> None:
    assert {name for name in read_table(root) if not hasattr(clova_speech_async, name)} == set()
    assert len(set(read_table(root).values())) == 8


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_a_status_says_whose_it_is(web: ModuleType, kind: type[ClovaSpeechError]) -> None:
    """What is found in the audio is the caller's; what a retry may heal is never the caller's."""
    status = web.status_of(example(kind))
    if issubclass(kind, errors.AudioError):
        assert 400 <= status < 500
    if getattr(kind, "retryable", False):
        assert status in (502, 503, 504)
