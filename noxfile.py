"""Everything that is run on this project: `nox -l` lists it. CI calls nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests", "wheel"]
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def _is_there(version: str) -> bool:
    """Whether ``python3.x`` is not only a name on the path but runs (a version manager's shim may not)."""
    found = shutil.which(f"python{version}")
    return found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0


OTHERS = [version for version in PYTHONS if version != HERE and _is_there(version)]
TEST_GROUP = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "test")
LINT_GROUP = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "lint")
BENCH_GROUP = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "bench")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff and mypy."""
    session.install("-e", ".[all]", *LINT_GROUP, *TEST_GROUP, "nox")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=[HERE, *OTHERS])
def tests(session: nox.Session) -> None:
    """All tests on the running Python; on the others that are there all but the long ones."""
    session.install("-e", ".[all]", *TEST_GROUP)
    some = [] if session.python == HERE else ["-m", "not slow and not soak"]
    session.run("pytest", "-n", "2", "--dist", "worksteal", *some, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """All tests, with the branches they take."""
    session.install("-e", ".[all]", *TEST_GROUP)
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and the sdist; run the tests against the installed wheel, away from the source."""
    session.install("build", "twine")
    dist = Path(session.create_tmp()) / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    session.run("twine", "check", "--strict", *map(str, sorted(dist.iterdir())))
    (built,) = dist.glob("*.whl")
    session.install(f"{built}[all]", *TEST_GROUP)
    away = Path(session.create_tmp()) / "away"
    shutil.rmtree(away, ignore_errors=True)
    shutil.copytree("tests", away / "tests")
    for name in ("README.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(name, away)
    session.chdir(away)
    session.run("pytest", "-n", "2", "--dist", "worksteal", "-q", "-m", "not slow and not soak", *session.posargs)


@nox.session(venv_backend="none")
def readme(session: nox.Session) -> None:
    """Run the README's first command, as it stands, in a fresh copy of the project, and look at what it prints."""
    command = next(line for line in Path("README.md").read_text("utf-8").splitlines() if "--emulator" in line)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh"
        session.run("git", "clone", "--quiet", ".", str(fresh), external=True)
        session.chdir(fresh)
        said = session.run("bash", "-c", command, external=True, silent=True, stderr=None) or ""
        expected = (fresh / "tests/data/umbrella.txt").read_text("utf-8").strip()
        if said.strip().splitlines()[-1] != expected:
            session.error(f"the first command printed {said!r}")


@nox.session
def soak(session: nox.Session) -> None:
    """The long runs: thousands of cancellations, hundreds of kills."""
    session.install("-e", ".[all]", *TEST_GROUP)
    session.run("pytest", "-m", "soak", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark, short; `nox -s bench -- --json` for machines."""
    session.install("-e", ".[all]", *BENCH_GROUP)
    for script in sorted(Path("benchmarks").glob("bench_*.py")):
        session.run("python", str(script), "--quick", *session.posargs)
