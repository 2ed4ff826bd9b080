"""The rooms of the house: imports go one way, foreign libraries stay at their borders."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import clova_speech_async

ROOT = Path(clova_speech_async.__file__).parent
NAME = ROOT.name

ROOMS = (
    "errors",
    "checks",
    "billing",
    # what the service says
    "details",
    "alignment",
    "assessment",
    "models",
    # transcripts
    "whole_file",
    "linebreak",
    "subtitles",
    "transcript",
    # audio in, requests out, replies kept
    "audio",
    "http",
    "journal",
    # calls
    "groups",
    "background",
    "pump",
    "threads",
    "reading",
    "pipeline",
    "journals",
    "order",
    "outcome",
    "held",
    "job",
    "engine",
    "client",
    "batch",
    # assessments for people
    "marks",
    "fonts",
    "picture",
    "report",
    "terminal",
    "plot",
    "otel",
    # the package and its command
    "__init__",
    "cli",
    "__main__",
)
"""Each may use those before it. The emulator is not among them: it uses nothing of the rest."""
TOLD_TO_TYPE_CHECKERS = {(f"{NAME}.errors", f"{NAME}.transcript")}
"""What an error has in `partial` is made far above it; who reads it wants to be told what it is."""


@dataclass(frozen=True)
class Import:
    """One import: `who` has `what`, a module of this package or a foreign one."""

    who: str
    what: str
    in_function: bool

    @property
    def is_ours(self) -> bool:
        return self.what.split(".")[0] == NAME

    def __str__(self) -> str:
        return f"{self.who} imports {self.what}"


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(module: str) -> Iterator[Import]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(module, alias.name, in_function) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
                base = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    inner = f"{base}.{alias.name}"
                    yield Import(module, inner if inner in MODULES else base, in_function)
            yield from walk(child, in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    return walk(ast.parse(path.read_text("utf-8")), in_function=False)


IMPORTS = [found for module in MODULES for found in imports_of(module)]


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room_of(module) for module in MODULES} == {*ROOMS, "emulator"}
    assert len(IMPORTS) > 500


def test_a_room_uses_only_rooms_before_it() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.is_ours
        and "emulator" not in (room_of(found.who), room_of(found.what))
        and (found.who, found.what) not in TOLD_TO_TYPE_CHECKERS
        and room_of(found.who) != room_of(found.what)
        and ROOMS.index(room_of(found.what)) >= ROOMS.index(room_of(found.who))
    ]
    assert not wrong


def test_the_emulator_shares_no_code_with_the_rest() -> None:
    """One misreading of the service would else pass on both sides. Only what pytest loads gives a client, too."""
    plugin = f"{NAME}.emulator.pytest_plugin"
    inside = [it for it in IMPORTS if it.is_ours and room_of(it.who) == "emulator" and room_of(it.what) != "emulator"]
    assert {found.who for found in inside} == {plugin}
    outside = {room_of(it.who) for it in IMPORTS if room_of(it.who) != "emulator" and room_of(it.what) == "emulator"}
    assert outside <= {"cli"}


@pytest.mark.parametrize("room", [*sorted({room_of(module) for module in MODULES})])
def test_no_modules_of_a_room_import_each_other_in_a_circle(room: str) -> None:
    graph = {module: set[str]() for module in MODULES if room_of(module) == room}
    for found in IMPORTS:
        if found.who in graph and found.what in graph and found.who != found.what:
            graph[found.who].add(found.what)
    assert set(TopologicalSorter(graph).static_order()) == set(graph)  # raises where there is one


def test_imports_stand_at_the_top_but_for_what_may_be_missing_or_is_dear() -> None:
    late = {(room_of(found.who), found.what) for found in IMPORTS if found.in_function}
    assert late == {
        ("audio", "av"),
        ("audio", "ctypes"),
        ("emulator", "av"),
        ("emulator", "pocketsphinx"),
        ("emulator", f"{NAME}.emulator.server"),
        ("emulator", NAME),
        ("report", f"{NAME}.picture"),
        ("__main__", f"{NAME}.cli"),
    }


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("asyncio", set()),
        ("trio", set()),
        ("httpx", {"http", "client", "cli"}),
        ("httpcore", {"http"}),
        ("soundfile", {"audio", "emulator"}),
        ("soxr", {"audio", "emulator"}),
        ("av", {"audio", "emulator"}),
        ("sqlite3", {"journal"}),
        ("matplotlib", {"picture", "fonts"}),
        ("starlette", {"emulator"}),
        ("uvicorn", {"emulator"}),
        ("typer", {"cli"}),
        ("rich", {"cli", "terminal"}),
        ("opentelemetry", {"otel"}),
    ],
)
def test_a_foreign_library_stays_in_its_rooms(library: str, rooms: set[str]) -> None:
    users = {room_of(found.who) for found in IMPORTS if found.what.split(".")[0] == library}
    assert users <= rooms
