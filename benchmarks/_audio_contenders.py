"""The contenders of bench_audio.py, each run as `python _audio_contenders.py NAME FILE`; prints a report as JSON."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RATE = 16_000
Span = tuple[float, float]


def memory() -> float:
    """Largest resident memory of this process so far, MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: Linux counts into it what the parent had when it forked.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


class Ours:
    """This library, as it comes."""

    def __init__(self) -> None:
        from clova_speech_async import audio

        self.cut = audio.cut

    def __call__(self, path: Path) -> Iterator[Span]:
        for piece in self.cut(path):
            yield piece.start, piece.end


class Piped(Ours):
    """The same, from a pipe that cannot be sought in."""

    def __call__(self, path: Path) -> Iterator[Span]:
        with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
            for piece in self.cut(process.stdout):
                yield piece.start, piece.end


def _flac(samples: bytes) -> bytes:
    import numpy as np
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.frombuffer(samples, "<i2"), RATE, format="FLAC")
    return out.getvalue()


class Pydub:
    """split_on_silence with its own defaults, but for a threshold that follows the loudness of the recording."""

    def __init__(self, pause: int = 1000, keep: int = 100) -> None:
        import warnings

        warnings.simplefilter("ignore")
        import pydub
        import pydub.silence

        self.pydub, self.pause, self.keep = pydub, pause, keep

    def __call__(self, path: Path) -> Iterator[Span]:
        whole = self.pydub.AudioSegment.from_wav(str(path))
        # What split_on_silence does, which does not tell the times that the table needs.
        ranges = self.pydub.silence.detect_nonsilent(whole, self.pause, whole.dBFS - 16)
        for start, end in ranges:
            start, end = max(0, start - self.keep), min(len(whole), end + self.keep)
            for at in range(start, end, 60_000):
                until = min(end, at + 60_000)
                whole[at:until].export(io.BytesIO(), format="flac")
                yield at / 1000, until / 1000


class PydubShort(Pydub):
    """The same for shorter pauses, so that fewer pieces are longer than 60 seconds and must be cut anywhere."""

    def __init__(self) -> None:
        super().__init__(300, 200)


class Auditok:
    """split() with its own threshold and pauses, regions of at most 60 seconds."""

    def __init__(self) -> None:
        import auditok
        import soundfile  # noqa: F401

        self.auditok = auditok

    def __call__(self, path: Path) -> Iterator[Span]:
        for region in self.auditok.split(str(path), min_dur=0.2, max_dur=60, max_silence=0.3, energy_threshold=50):
            _flac(bytes(region.data))
            yield region.start, region.end


class Ffmpeg:
    """A hard cut at every 60 seconds."""

    def __call__(self, path: Path) -> Iterator[Span]:
        with tempfile.TemporaryDirectory() as folder:
            command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-threads", "1", "-i", str(path)]
            command += ["-ac", "1", "-ar", str(RATE), "-c:a", "flac", "-f", "segment", "-segment_time", "60"]
            table = Path(folder) / "segments.csv"
            command += ["-segment_list", str(table), str(Path(folder) / "%05d.flac")]
            subprocess.run(command, check=True)
            for line in table.read_text().splitlines():
                _, start, end = line.split(",")
                yield float(start), float(end)


@dataclass(frozen=True)
class Contender:
    make: Callable[[], Callable[[Path], Iterator[Span]]]
    settings: str
    form: str = "wav"
    slow: bool = False


CONTENDERS = {
    "clova-speech-async": Contender(Ours, "cut(path), WAV"),
    "clova-speech-async, FLAC": Contender(Ours, "cut(path), FLAC", "flac"),
    "clova-speech-async, MP3": Contender(Ours, "cut(path), MP3", "mp3"),
    "clova-speech-async, pipe": Contender(Piped, "cut(stdout of cat), WAV"),
    "pydub": Contender(
        Pydub,
        "split_on_silence: min_silence_len=1000, silence_thresh=dBFS-16, keep_silence=100, cut at 60 s, export as FLAC",
        slow=True,
    ),
    "pydub, short pauses": Contender(
        PydubShort,
        "split_on_silence: min_silence_len=300, silence_thresh=dBFS-16, keep_silence=200, cut at 60 s, export as FLAC",
        slow=True,
    ),
    "auditok": Contender(Auditok, "split: min_dur=0.2, max_dur=60, max_silence=0.3, energy_threshold=50"),
    "ffmpeg": Contender(Ffmpeg, "-f segment -segment_time 60 -c:a flac -ac 1 -ar 16000, one thread"),
}


def main() -> None:
    name, path = sys.argv[1], Path(sys.argv[2])
    way = CONTENDERS[name].make()
    imported = memory()
    begin, first, spans = time.perf_counter(), 0.0, []
    for span in way(path):
        first = first or time.perf_counter() - begin
        spans.append(span)
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "first_seconds": first,
        "cpu_seconds": own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime,
        "import_mb": imported,
        "peak_mb": memory(),
        "spans": spans,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
