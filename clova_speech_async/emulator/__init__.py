"""The service itself, re-made from its documents, for tests, demonstrations and load without a key.

Nothing is imported before it is used, because pytest loads this package's plugin in every project it is installed in.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import Emulator
    from .behaviour import Behaviour, Scripted, cut, error, hang, raw, reply
    from .contract import ADDRESS, ROWS, SECRET_KEY
    from .ledger import EmulatorStats, RequestRecord
    from .recognition import echo
    from .server import Running, ServeOptions, run, serve, serve_async

__all__ = [
    "ADDRESS",
    "ROWS",
    "SECRET_KEY",
    "Behaviour",
    "Emulator",
    "EmulatorStats",
    "RequestRecord",
    "Running",
    "Scripted",
    "ServeOptions",
    "cut",
    "echo",
    "error",
    "hang",
    "raw",
    "reply",
    "run",
    "serve",
    "serve_async",
]

_HOMES = {
    "app": ("Emulator",),
    "behaviour": ("Behaviour", "Scripted", "cut", "error", "hang", "raw", "reply"),
    "contract": ("ADDRESS", "ROWS", "SECRET_KEY"),
    "ledger": ("EmulatorStats", "RequestRecord"),
    "recognition": ("echo",),
    "server": ("Running", "ServeOptions", "run", "serve", "serve_async"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f".{home}", __name__)
    except ModuleNotFoundError as exc:
        package = (exc.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn"):
            raise
        raise ImportError(
            f"the emulator needs {package}: pip install 'clova-speech-async[emulator]'", name=package
        ) from exc
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
