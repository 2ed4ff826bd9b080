"""The programs that stand in the README, taken out of it as they are."""

from __future__ import annotations

import gc
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
_FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block of code."""

    language: str
    text: str
    line: int
    """Of the README, where it begins."""

    @property
    def name(self) -> str:
        """The file that its docstring says it is, or none."""
        named = re.match(r'"""(\w+\.py):', self.text)
        return named.group(1) if named else f"line_{self.line}.py"


def read_blocks() -> list[Block]:
    readme = (ROOT / "README.md").read_text("utf-8")
    return [
        Block(found.group(1), found.group(2), readme.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(readme)
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `python_block` or `sh_block` runs once for each."""
    for language in ("python", "sh"):
        if f"{language}_block" in metafunc.fixturenames:
            blocks = [block for block in read_blocks() if block.language == language]
            ids = [block.name if language == "python" else f"line_{block.line}" for block in blocks]
            metafunc.parametrize(f"{language}_block", blocks, ids=ids)


@pytest.fixture(scope="session")
def blocks() -> list[Block]:
    return read_blocks()


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def drivers() -> Path:
    return Path(__file__).parent / "drivers"


@pytest.fixture
def program(blocks: list[Block], tmp_path: Path) -> Callable[[str], Path]:
    """Write the program of that name to a folder of its own, unchanged, and return its path."""

    def write(name: str) -> Path:
        (block,) = (block for block in blocks if block.name == name)
        path = tmp_path / name
        path.write_text(block.text, "utf-8")
        return path

    return write


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def web(program: Callable[[str], Path], clova_speech_emulator: Any) -> Iterator[ModuleType]:
    yield load(program("web.py"))
    gc.unfreeze()  # or what the other tests leave behind would never be noticed


@pytest.fixture
def speech(data: Path) -> bytes:
    return (data / "umbrella.wav").read_bytes()


@pytest.fixture
def story(data: Path) -> bytes:
    """More than a minute of speech: two pieces."""
    return (data / "story.ogg").read_bytes()
