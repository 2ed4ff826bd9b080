"""Every block of code in the README, run as it stands.

A Python block is a program in a folder of its own, with the files it names; a server is served, a bot runs against a
fake of its network. The lines of a shell block are run where they are this project's command; those that need a network
are held against what they name. An emulator stands where the environment says that the service is.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from clova_speech_async.emulator import error, reply

SECONDS = 60
SPOKEN = re.compile(r"""["'\s]([\w./-]+\.(?:wav|ogg|flac|mp3|m4a))\b""")
SERVERS = {"small_web.py"}
TESTED = {
    "web.py": "test_web_recipe.py",
    "telegram_bot.py": "test_telegram_answers_with_what_was_said",
    "discord_bot.py": "test_discord_writes_what_each_speaker_said",
    "folder.py": "test_a_folder_is_gone_on_with_and_paid_for_once",
    "pronunciation.py": "test_pronunciation_names_the_weak_sounds",
    "frame.py": "test_a_table_has_a_row_a_segment_and_names_what_failed",
    "traced.py": "test_traces_are_printed",
}
SCRIPTS = Path(sys.executable).parent


def copy_speech(text: str, folder: Path, data: Path) -> None:
    """Put speech where `text` names a file of it."""
    for name in SPOKEN.findall(text):
        source = "sentences/01.ogg" if name.endswith(".ogg") else "umbrella.wav"
        if not Path(name).is_absolute() and "*" not in name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data / source, folder / name)


def run(*command: str | Path, folder: Path, status: int = 0, quiet: bool = True) -> str:
    """Run a command to its end and return what it printed; it must end so, and, where `quiet`, complain of nothing."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error::ResourceWarning"}
    environment["PATH"] = f"{SCRIPTS}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS
    )
    assert done.returncode == status, f"{command}: {done.stdout}\n{done.stderr}"
    assert not quiet or done.stderr == "", done.stderr
    return done.stdout


# --- programs ------------------------------------------------------------------------------------------


def test_every_program_runs(
    python_block: Any, tmp_path: Path, data: Path, drivers: Path, clova_speech_emulator: Any
) -> None:
    """Programs that have a test of their own, below or in the test of the web recipe, are left to it."""
    path = tmp_path / python_block.name
    path.write_text(python_block.text, "utf-8")
    if path.name in TESTED:
        assert TESTED[path.name] in globals() or path.name == "web.py"
    elif path.name.startswith("test_"):
        copy_speech(python_block.text, tmp_path, data)
        assert "1 passed" in run(sys.executable, "-m", "pytest", "-q", path.name, folder=tmp_path)
    elif path.name in SERVERS:
        assert serve_and_ask(path, drivers, data)["duration"] == pytest.approx(5.895)
    else:
        copy_speech(python_block.text, tmp_path, data)
        run(sys.executable, path, folder=tmp_path)


def prepare_folder(folder: Path, data: Path) -> None:
    (folder / "recordings").mkdir()
    for name in ("a.wav", "b.wav"):
        shutil.copy(data / "umbrella.wav", folder / "recordings" / name)
    (folder / "calls").mkdir()
    (folder / "calls" / "one.ul").write_bytes(bytes((0x80, 0x00)) * 4_000)


def prepare_frame(folder: Path, data: Path) -> None:
    shutil.copy(data / "umbrella.wav", folder / "a.wav")
    shutil.copy(data / "story.ogg", folder / "b.ogg")
    (folder / "calls.csv").write_text("path,lang\na.wav,Kor\nmissing.wav,Kor\nb.ogg,Jpn\n", "utf-8")


def serve_and_ask(path: Path, drivers: Path, data: Path, *, form: bool = False) -> dict[str, Any]:
    """Serve the program's `app`, upload a recording to it, alone or in a form, and return its answer."""
    with subprocess.Popen(
        [sys.executable, drivers / "serve_web.py", path, "asyncio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = json.loads(process.stdout.readline())["port"]
            audio = (data / "umbrella.wav").read_bytes()
            upload: dict[str, Any] = {"files": {"file": ("umbrella.wav", audio)}} if form else {"content": audio}
            answer = httpx.post(f"http://127.0.0.1:{port}/transcripts", **upload, timeout=30, trust_env=False)
        finally:
            left, errors = process.communicate("stop\n", timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(left) == {"tasks": [], "sockets": 0}
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def test_two_lines_more_take_a_recording_from_a_form(
    blocks: list[Any], program: Callable[[str], Path], drivers: Path, data: Path, clova_speech_emulator: Any
) -> None:
    """Each line of the block below `small_web.py` takes the place of the one that begins as it does."""
    path = program("small_web.py")
    lines = path.read_text("utf-8").replace("import FastAPI, Request", "import FastAPI, UploadFile").splitlines()
    (form,) = (block.text for block in blocks if block.language == "text" and "UploadFile" in block.text)
    for line in form.splitlines():
        (at,) = (at for at, old in enumerate(lines) if old.partition("(")[0] == line.partition("(")[0])
        lines[at] = line
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert serve_and_ask(path, drivers, data, form=True)["duration"] == pytest.approx(5.895)


def test_the_first_program_prints_text_and_times(
    blocks: list[Any], tmp_path: Path, data: Path, clova_speech_emulator: Any
) -> None:
    first = next(block for block in blocks if block.language == "python")
    copy_speech(first.text, tmp_path, data)
    clova_speech_emulator.emulator.script(reply("안녕하세요"))
    (tmp_path / "first.py").write_text(first.text, "utf-8")
    printed = run(sys.executable, "first.py", folder=tmp_path)
    assert printed.splitlines() == ["안녕하세요", "   0.00    5.89  안녕하세요"]


def test_telegram_answers_with_what_was_said(
    program: Callable[[str], Path], drivers: Path, data: Path, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(reply("우산 챙기세요"))
    bot = program("telegram_bot.py")
    voice = data / "sentences" / "01.ogg"
    printed = run(sys.executable, drivers / "drive_telegram.py", bot, voice, folder=bot.parent)
    assert json.loads(printed) == {"chat": 7, "text": "우산 챙기세요"}
    (sent,) = clova_speech_emulator.emulator.requests
    assert sent.body_size == voice.stat().st_size, "OGG Opus goes to the service as it is"


def test_telegram_says_what_did_not_work(
    program: Callable[[str], Path], drivers: Path, tmp_path: Path, clova_speech_emulator: Any
) -> None:
    broken = tmp_path / "broken.ogg"
    broken.write_bytes(b"OggS" + bytes(100))
    printed = run(sys.executable, drivers / "drive_telegram.py", program("telegram_bot.py"), broken, folder=tmp_path)
    assert json.loads(printed)["text"].startswith("Sorry, that did not work: ")


def test_discord_writes_what_each_speaker_said(
    program: Callable[[str], Path], drivers: Path, data: Path, clova_speech_emulator: Any
) -> None:
    clova_speech_emulator.emulator.script(reply("네"), reply("아니요"))
    bot = program("discord_bot.py")
    printed = run(
        sys.executable, drivers / "drive_discord.py", bot, data / "umbrella.wav", folder=bot.parent, quiet=False
    )
    assert list(map(json.loads, printed.splitlines())) == ["Ann: 네", "Ben: 아니요"]
    assert [request.audio_seconds for request in clova_speech_emulator.emulator.requests] == pytest.approx(
        [5.9, 5.9], abs=0.1
    )


def test_a_folder_is_gone_on_with_and_paid_for_once(
    program: Callable[[str], Path], data: Path, clova_speech_emulator: Any
) -> None:
    script = program("folder.py")
    prepare_folder(script.parent, data)
    assert "2 done" in run(sys.executable, script, folder=script.parent)
    subtitles = script.parent / "recordings" / "a.srt"
    assert "00:00:00,000 --> " in subtitles.read_text("utf-8")
    sent = len(clova_speech_emulator.emulator.requests)
    assert sent == 1, "both files hold the same speech"
    subtitles.unlink()
    shutil.copy(data / "sentences" / "01.ogg", script.parent / "recordings" / "c.wav")
    assert "3 done (2 from the journal)" in run(sys.executable, script, folder=script.parent)
    assert len(clova_speech_emulator.emulator.requests) == sent + 1
    assert subtitles.exists()


def test_a_folder_names_each_file_that_failed_once(
    program: Callable[[str], Path], data: Path, clova_speech_emulator: Any
) -> None:
    script = program("folder.py")
    (script.parent / "recordings").mkdir()
    shutil.copy(data / "umbrella.wav", script.parent / "recordings" / "refused.wav")
    (script.parent / "recordings" / "broken.wav").write_bytes(b"RIFF")
    clova_speech_emulator.emulator.script(error("500/STT006"))
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=script.parent, capture_output=True, encoding="utf-8", timeout=SECONDS)
    assert done.returncode == 0
    broken, refused = sorted(done.stderr.splitlines())
    assert broken.count("broken.wav") == refused.count("refused.wav") == 1
    assert "500/STT006" in refused


def test_pronunciation_names_the_weak_sounds(
    program: Callable[[str], Path], data: Path, clova_speech_emulator: Any
) -> None:
    details = "please|{p(p):99, lea(liː):41, se(z):0} umbrella|{um(ʌm):90} "
    clova_speech_emulator.emulator.script(reply("please", assessment_score=63, assessment_details=details))
    script = program("pronunciation.py")
    shutil.copy(data / "umbrella.wav", script.parent / "spoken.wav")
    lines = run(sys.executable, script, folder=script.parent).splitlines()
    assert lines[0] == "63 of 100: please"
    assert [line.split() for line in lines[1:]] == [
        ["Please", "47", "liː", "41,", "z", "0"],
        ["remember", "-"],
        ["to", "-"],
        ["bring", "-"],
        ["your", "-"],
        ["umbrella.", "90"],
    ]
    report = (script.parent / "report.html").read_text("utf-8")
    assert "umbrella" in report
    assert "liː" in report


def test_a_table_has_a_row_a_segment_and_names_what_failed(
    program: Callable[[str], Path], data: Path, clova_speech_emulator: Any
) -> None:
    script = program("frame.py")
    prepare_frame(script.parent, data)
    run(sys.executable, script, folder=script.parent, quiet=False)
    with (script.parent / "segments.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["call"] for row in rows] == ["0", "1", "2", "2"]
    assert "missing.wav" in rows[1]["error"]
    assert all(float(row["end"]) > float(row["start"]) for row in rows if not row["error"])


def test_traces_are_printed(program: Callable[[str], Path], data: Path, clova_speech_emulator: Any) -> None:
    script = program("traced.py")
    copy_speech(script.read_text("utf-8"), script.parent, data)
    span = json.loads(run(sys.executable, script, folder=script.parent))
    assert span["attributes"]["clova_speech.billed_seconds"] == 15.0
    assert span["attributes"]["http.response.status_code"] == 200


# --- commands ------------------------------------------------------------------------------------------


def lines_of(block: Any) -> list[str]:
    joined = block.text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_every_command_runs_or_names_what_there_is(
    sh_block: Any, tmp_path: Path, data: Path, root: Path, clova_speech_emulator: Any
) -> None:
    copy_speech(sh_block.text, tmp_path, data)
    prepare_folder(tmp_path, data)
    ours = []
    for line in lines_of(sh_block):
        kind = kind_of(line)
        if kind == "ours":
            ours.append(line)
        else:
            CHECKS[kind](line, root)
    if ours:
        shell = shutil.which("bash") or "sh"
        run(shell, "-euc", "\n".join(ours), folder=tmp_path, quiet=False)


def kind_of(line: str) -> str:
    words = shlex.split(line, comments=True)
    if "-m" in words and "venv" in words:
        return "set-up"
    if "pip" in [Path(word).name for word in words]:
        return "install"
    if Path(words[0]).name == "nox":
        return "nox"
    if Path(words[0]).name.startswith("python") and words[1].endswith(".py"):
        return "script"
    if words[:2] == ["clova-speech", "emulator"]:
        return "emulator"
    assert words[0] in ("clova-speech", "export"), f"the README has a command that no test knows: {line}"
    return "ours"


def check_setup(line: str, root: Path) -> None:
    """One of the two commands: what it installs, and what it runs then, is there."""
    venv, install, command = (part.strip() for part in line.split("&&"))
    assert venv == "python3 -m venv .venv"
    check_install(install, root)
    program, *words = shlex.split(command)
    assert program in (".venv/bin/clova-speech", ".venv/bin/nox")
    if program.endswith("nox"):
        check_nox(command, root)
        if (root / ".ci" / "run").exists():
            assert line in (root / ".ci" / "run").read_text("utf-8"), "CI runs another command than the README"
    else:
        (speech,) = (word for word in words if word.endswith(".wav"))
        shown = run("clova-speech", *words, folder=root, quiet=False)
        assert shown.strip() == (root / speech).with_suffix(".txt").read_text("utf-8").strip()


def check_install(line: str, root: Path) -> None:
    pyproject = (root / "pyproject.toml").read_text("utf-8")
    for extras in re.findall(r"(?:clova-speech-async|\.)\[([\w,]+)\]", line):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE), f"there is no extra {extra!r}"


def check_nox(line: str, root: Path) -> None:
    words = shlex.split(line, comments=True)
    if (root / "noxfile.py").exists():
        sessions = re.findall(r"^def (\w+)\(session", (root / "noxfile.py").read_text("utf-8"), re.MULTILINE)
        assert words[words.index("-s") + 1] in sessions


def check_script(line: str, root: Path) -> None:
    if (root / "benchmarks").exists():
        path = root / shlex.split(line)[1]
        compile(path.read_text("utf-8"), str(path), "exec")


def check_emulator(line: str, root: Path) -> None:
    """A server runs for ever: so whether it takes its options is asked of it with one more."""
    run(*shlex.split(line, comments=True), "--help", folder=root)


CHECKS: dict[str, Callable[[str, Path], None]] = {
    "set-up": check_setup,
    "install": check_install,
    "nox": check_nox,
    "script": check_script,
    "emulator": check_emulator,
}


# --- the README itself ---------------------------------------------------------------------------------


def test_every_block_is_of_a_kind_that_is_run(blocks: list[Any]) -> None:
    others = [block.text for block in blocks if block.language not in ("python", "sh")]
    assert ["UploadFile" in text for text in others] == [True], "the lines for a form are run within their program"
    names = [block.name for block in blocks if block.language == "python"]
    assert len(set(names)) == len(names)
    assert names
    unfenced = [block for block in blocks if not block.text.strip()]
    assert unfenced == []


def test_links_within_the_readme_lead_somewhere(root: Path) -> None:
    readme = (root / "README.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", readme, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", readme) if link not in anchors} == set()
