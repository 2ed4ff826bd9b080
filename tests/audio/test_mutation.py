"""Thousands of damaged files: a result or an error of ours; never a hang, a crash, or a word on standard error.

Run in a process of its own, for a crash in C code or a line printed by it must be seen, not suffered.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_PROGRAM = """
import random, sys, time
from pathlib import Path
from clova_speech_async.audio import Splitting, cut, load
from clova_speech_async.errors import ClovaSpeechError

def damage(random, data, others):
    data = bytearray(data)
    how = random.randrange(7)
    at, other = random.randrange(len(data)), random.choice(others)
    if how == 0:
        for _ in range(random.choice([1, 2, 5, 20, 200])):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    elif how == 1:
        for _ in range(random.choice([1, 2, 5])):
            data[random.randrange(min(200, len(data)))] = random.randrange(256)
    elif how == 2:
        del data[at:]
    elif how == 3:
        del data[at : at + random.choice([1, 4, 100, 3000])]
    elif how == 4:
        start = random.randrange(len(data))
        data[at:at] = data[start : start + random.choice([1, 10, 1000, 9000])]
    elif how == 5:
        data[at:] = other[random.randrange(len(other)) :]
    else:
        data[at : at + 4] = random.choice([b"\\xff" * 4, bytes(4), b"\\x7f\\xff\\xff\\xff", b"\\xff\\xff\\xff\\x7f"])
    return bytes(data)

folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
files = [path.read_bytes() for path in sorted(folder.iterdir())]
results = errors = 0
for number in range(count):
    chance = random.Random(seed * 1_000_003 + number)
    data = damage(chance, files[number % len(files)], files)
    began = time.monotonic()
    for way in (load, lambda audio: list(cut(audio, Splitting(max_duration=300)))):
        try:
            way(data)
            results += 1
        except ClovaSpeechError as error:
            assert str(error), number
            errors += 1
        except Exception as error:
            raise SystemExit(f"file {number}: {error!r}")
    assert time.monotonic() - began < 20, f"file {number} takes for ever"
print(results, errors)
"""

FORMS = [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", None), ("MP3", None), ("OGG", "VORBIS")]
FORMS += [("OGG", "OPUS"), ("AIFF", None), ("AU", None), ("CAF", None), ("W64", None), ("RF64", None)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: Any, talk: Any, encoded: Any) -> Path:
    folder = Path(tmp_path_factory.mktemp("whole"))
    samples = talk(2).samples
    for form, subtype in FORMS:
        (folder / f"{form}-{subtype}").write_bytes(encoded(samples, format=form, subtype=subtype))
    return folder


def run(folder: Path, seed: int, count: int) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", _PROGRAM, str(folder), str(seed), str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout
    if sys.platform == "linux":
        assert done.stderr == ""
    results, errors = done.stdout.split()
    return int(results), int(errors)


def test_a_thousand_damaged_files(folder: Path) -> None:
    results, errors = run(folder, 1, 1000)
    assert results + errors == 2000
    assert results > 200, "damage that ends in nothing but errors tests little"
    assert errors > 200


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_thousand_damaged_files(seed: int, folder: Path) -> None:
    results, errors = run(folder, seed, 5000)
    assert results + errors == 10_000
