"""Every program in the README as a type checker sees it: who copies one into a strict project gets no errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
FORGIVEN = {
    # Discord's own types say of nearly everything that it may not be there, and its commands run in a server only.
    "discord_bot.py": ("union-attr", "type-arg"),
}


@pytest.fixture
def check(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[int, str]]:
    """Run mypy, strict, on a file; its cache is kept for the next one."""
    pytest.importorskip("mypy")
    kept = getattr(pytestconfig, "cache", None)  # none where pytest is told to keep nothing
    cache = tmp_path_factory.getbasetemp() / "readme_types" if kept is None else kept.mkdir("readme_types")

    def run(path: Path, *options: str) -> tuple[int, str]:
        # What others did not type is theirs.
        command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--no-error-summary"]
        done = subprocess.run(
            [*command, "--config-file=", f"--cache-dir={cache}", *options, path.name],
            cwd=path.parent,
            capture_output=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_every_program_passes(python_block: Any, tmp_path: Path, check: Callable[..., tuple[int, str]]) -> None:
    path = tmp_path / python_block.name
    path.write_text(python_block.text, "utf-8")
    forgiven = [f"--disable-error-code={code}" for code in FORGIVEN.get(path.name, ())]
    assert check(path, *forgiven) == (0, "")


def test_a_mistake_in_a_program_is_found(program: Callable[[str], Path], check: Callable[..., tuple[int, str]]) -> None:
    path = program("folder.py")
    text = path.read_text("utf-8")
    assert text.count("result.unwrap()") == 1
    path.write_text(text.replace("result.unwrap()", "result.transcript"), "utf-8")
    status, told = check(path)
    assert status == 1
    assert '"None" of "Transcript | None" has no attribute "save"' in told
