"""One hour of speech to upload-ready pieces: time, memory, what the service would bill, and cuts where somebody speaks.

    python benchmarks/bench_audio.py [--minutes 60] [--rounds 3] [--quick] [--json] [CONTENDER …]

Every run is a process of its own, and its time is that of the whole process, start and imports with it. Each contender
takes turns with this library on the same file; the ratio is the median over the pairs. All end with FLAC, 16 kHz, mono,
in memory or, where the contender can do no other, in files. The settings of each are in `_audio_contenders.py`.

The speech is the sample of the tests, again and again with pauses of 0.15 to 1.5 s in a faint noise; so it has as few
and as short pauses as reading aloud has. `billed` are seconds, each piece rounded up to 15. `loud cuts` are ends of
pieces with more than a hundredth of the recording's mean power (-20 dB) in the 40 ms around them. `--quick`: ten
minutes, one round. pydub and auditok need the whole recording in memory; pydub is given the first ten minutes unless
`--patient`, which take it long enough.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from _audio_contenders import CONTENDERS

RATE = 16_000
SAMPLE = Path(__file__).parent.parent / "tests" / "data" / "umbrella.wav"
OURS = "clova-speech-async"


def speech(minutes: float, path: Path) -> None:
    """The sample again and again, with pauses of many lengths, in faint noise; written in blocks."""
    random = np.random.default_rng(1)
    sample, _ = soundfile.read(SAMPLE, dtype="int16")
    left = int(minutes * 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while left > 0:
            pause = np.zeros(int(random.uniform(0.15, 1.5) * RATE), np.int16)
            part = np.concatenate([sample, pause])[:left]
            file.write(part + random.normal(0, 8, len(part)).astype(np.int16))
            left -= len(part)


def inputs(folder: Path, minutes: float) -> dict[str, Path]:
    """The speech as WAV, FLAC, MP3, and its first ten minutes."""
    wav = folder / f"{minutes:g}.wav"
    speech(minutes, wav)
    out = {"wav": wav}
    for form in ("flac", "mp3"):
        out[form] = wav.with_suffix(f".{form}")
        with soundfile.SoundFile(wav) as source, soundfile.SoundFile(out[form], "w", RATE, 1) as target:
            for block in source.blocks(RATE * 10, dtype="int16"):
                target.write(block)
    return out


def run(name: str, path: Path) -> dict[str, Any]:
    """One run in a process of its own; its report, with the time of the whole process."""
    program = Path(__file__).parent / "_audio_contenders.py"
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, str(program), name, str(path)], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    report["process_seconds"] = seconds
    return report


def compile_ours() -> None:
    """Byte code for this library, too: an installer makes it, a checkout has none at first."""
    found = importlib.util.find_spec("clova_speech_async")
    assert found is not None
    assert found.submodule_search_locations
    for place in found.submodule_search_locations:
        compileall.compile_dir(place, quiet=1)


def loud_cuts(path: Path, spans: list[list[float]]) -> int:
    samples, _ = soundfile.read(path, dtype="float32")
    mean = float((samples**2).mean())
    ends = [at for start, end in spans for at in (start, end) if 0.1 < at < len(samples) / RATE - 0.1]
    around = (samples[int((at - 0.02) * RATE) : int((at + 0.02) * RATE)] for at in set(ends))
    return sum(1 for part in around if float((part**2).mean()) > mean / 100)


def compare(name: str, files: dict[str, Path], minutes: float, rounds: int) -> dict[str, Any]:
    contender = CONTENDERS[name]
    path = files[contender.form]
    seconds = minutes * 60
    own, theirs, ratios = [], [], []
    for _ in range(rounds):
        theirs.append(run(name, path))
        if name != OURS:
            own.append(run(OURS, path))
            ratios.append(theirs[-1]["process_seconds"] / own[-1]["process_seconds"])
    best = min(theirs, key=lambda report: report["process_seconds"])
    return {
        "contender": name,
        "settings": contender.settings,
        "minutes": minutes,
        "times_real_time": seconds / statistics.median(report["process_seconds"] for report in theirs),
        "cpu_times_real_time": seconds / statistics.median(report["cpu_seconds"] for report in theirs),
        "slower_than_ours": statistics.median(ratios) if ratios else 1.0,
        "first_piece_seconds": best["first_seconds"],
        "peak_mb_over_import": best["peak_mb"] - best["import_mb"],
        "pieces": len(best["spans"]),
        "billed": sum(-(-max(round(end - start, 3), 0.001) // 15) * 15 for start, end in best["spans"]),
        "loud_cuts": loud_cuts(files["wav"], best["spans"]),
    }


def show(row: dict[str, Any]) -> None:
    print(
        f"{row['contender']:26s} {row['minutes']:4g} min {row['times_real_time']:8.0f} x"
        f" {row['cpu_times_real_time']:8.0f} x {row['slower_than_ours']:8.1f} {row['first_piece_seconds']:8.2f} s"
        f" {row['peak_mb_over_import']:7.0f} MB"
        f" {row['pieces']:6d} {row['billed']:7.0f} s {row['loud_cuts']:5d}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="ten minutes, one round")
    parser.add_argument("--patient", action="store_true", help="give pydub the whole recording, too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("contenders", nargs="*", metavar="CONTENDER", help="; ".join(CONTENDERS))
    options = parser.parse_args()
    if unknown := set(options.contenders) - set(CONTENDERS):
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(CONTENDERS)}")
    minutes, rounds = (10.0, 1) if options.quick else (options.minutes, options.rounds)
    names = options.contenders or [
        name for name in CONTENDERS if not name.startswith("ffmpeg") or shutil.which("ffmpeg")
    ]
    compile_ours()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        whole = inputs(Path(folder), minutes)
        if not options.json:
            print(f"{'':26s} {'speech':>8s} {'process':>10s} {'cpu':>10s} {'/ ours':>8s} {'first':>10s} {'peak':>10s}"
                  f" {'pieces':>6s} {'billed':>9s} {'loud cuts':>5s}")  # fmt: skip
        for name in names:
            short = CONTENDERS[name].slow and not options.patient and minutes > 10
            files = inputs(Path(folder), 10.0) if short else whole
            rows.append(compare(name, files, 10.0 if short else minutes, 1 if CONTENDERS[name].slow else rounds))
            if not options.json:
                show(rows[-1])
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
