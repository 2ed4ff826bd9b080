from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from clova_speech_async import emulator

FOLDER = Path(emulator.__file__).parent


def test_what_it_promises_is_there() -> None:
    assert sorted(emulator.__all__) == sorted(emulator._HOME)
    for name in emulator.__all__:
        assert getattr(emulator, name) is not None
    assert set(emulator.__all__) <= set(dir(emulator))
    with pytest.raises(AttributeError, match="has no attribute 'Emulatr'"):
        emulator.Emulatr  # noqa: B018


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom clova_speech_async.emulator import serve"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert f"ImportError: the emulator needs {missing}: pip install 'clova-speech-async[emulator]'" in done.stderr


def test_another_missing_module_is_not_blamed_on_the_extra() -> None:
    code = "import sys; sys.modules['soxr'] = None\nfrom clova_speech_async.emulator.app import Emulator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "soxr" in done.stderr
    assert "pip install" not in done.stderr.splitlines()[-1] or "soxr" in done.stderr.splitlines()[-1]


def test_it_shares_no_code_with_the_rest() -> None:
    """One misreading of the documents would else pass on both sides. The fixture of a client is the exception."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{path.name} imports from the package above"
                outside = node.level == 0 and (node.module or "").startswith("clova_speech_async")
                assert not outside or path.name == "pytest_plugin.py", f"{path.name} imports {node.module}"
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
                assert not any(n.startswith(("clova_speech_async", "asyncio", "httpx")) for n in names), path.name
