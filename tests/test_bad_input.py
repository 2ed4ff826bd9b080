"""Input that people really pass: a clear typed error, or a right result; never noise, a leak or a vain request."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tempfile
import textwrap
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from clova_speech_async import PCM, ClovaSpeechClient, errors
from clova_speech_async.emulator import Emulator

pytestmark = pytest.mark.anyio


def wav(seconds: float = 2.0, rate: int = 16_000) -> bytes:
    """A WAV of a wavering tone."""
    time = np.arange(int(seconds * rate)) / rate
    samples = (np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * 2 * time) * 8000).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(samples.tobytes())
    return file.getvalue()


def encoded(form: str, seconds: float = 2.0) -> bytes:
    samples, rate = soundfile.read(io.BytesIO(wav(seconds)), dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


def lying_flac(seconds: float, told: float) -> bytes:
    """A FLAC whose header tells another length than it has."""
    data = bytearray(encoded("FLAC", seconds=seconds))
    low = int.from_bytes(data[18:26], "big")
    total = int(told * 16_000)
    data[18:26] = ((low >> 36 << 36) | total).to_bytes(8, "big")
    return bytes(data)


def streamed_wav(size: int) -> bytes:
    """A WAV as ffmpeg writes it to a pipe: its header does not know the sizes."""
    data = bytearray(wav())
    data[4:8] = data[40:44] = struct.pack("<I", size)
    return bytes(data)


def nan_wav() -> bytes:
    samples = np.full(32_000, np.nan, dtype="float32")
    samples[::3] = 0.25
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


async def breaks() -> AsyncIterator[bytes]:
    yield wav()[:1000]
    raise LookupError("the upload broke")


async def nothing() -> AsyncIterator[bytes]:
    for part in ():
        yield part


def read_to_its_end(folder: Path) -> Any:
    file = (folder / "ok.wav").open("rb")
    file.read()
    return file


def closed_file(folder: Path) -> Any:
    file = (folder / "ok.wav").open("rb")
    file.close()
    return file


def text_file(folder: Path) -> Any:
    return (folder / "text.wav").open(encoding="utf-8")


def write(folder: Path) -> None:
    (folder / "ok.wav").write_bytes(wav())
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound at all\n" * 50, "utf-8")
    (folder / "a folder.wav").mkdir()
    (folder / "회의 – 녹음 ☕.wav").write_bytes(wav())


Make = Callable[[Path], Any]
BAD: list[tuple[str, Make, type[Exception], str]] = [
    ("empty bytes", lambda _: b"", errors.EmptyAudioError, "no bytes|empty"),
    ("empty file", lambda d: d / "empty.wav", errors.EmptyAudioError, r"empty\.wav"),
    ("a folder", lambda d: d / "a folder.wav", errors.AudioReadError, "folder"),
    ("a missing file", lambda d: d / "missing.wav", errors.AudioReadError, r"missing\.wav"),
    ("text named .wav", lambda d: d / "text.wav", errors.UnsupportedFormatError, r"text\.wav"),
    ("a WAV cut in its header", lambda _: wav()[:30], errors.CorruptAudioError, "WAV"),
    ("a WAV of zero samples", lambda _: wav(0), errors.EmptyAudioError, "no samples"),
    ("a closed file", closed_file, errors.AudioReadError, "closed"),
    ("a text-mode file", text_file, TypeError, "'rb'"),
    ("an iterator that raises", lambda _: breaks(), errors.AudioReadError, "the upload broke"),
    ("a bare array", lambda _: np.zeros(16_000, "int16"), TypeError, "PCM"),
    ("a number", lambda _: 5, TypeError, "int"),
    ("none", lambda _: None, TypeError, "None"),
    ("a list", lambda _: [b"a"], TypeError, "list"),
    ("html", lambda _: b"<!doctype html><p>404</p>" * 20, errors.UnsupportedFormatError, "format"),
    ("random bytes", lambda _: bytes(range(256)) * 8, errors.UnsupportedFormatError, "format"),
    ("a WAV's content for a path", lambda _: "UklGRiQA" * 100_000, errors.AudioReadError, "^.{,250}: pass bytes"),
    ("a URL", lambda _: "https://example.com/a.wav", errors.AudioReadError, "URLs are not fetched"),
    ("a file open for writing", lambda d: (d / "out.wav").open("wb"), errors.AudioReadError, "'rb'"),
    ("a file that was read", read_to_its_end, errors.EmptyAudioError, r"seek\(0\)"),
    ("NaN in an array", lambda _: PCM(np.full(16_000, np.nan), 16_000), ValueError, "nan at 0.000 s"),
    ("16 bits as float", lambda _: PCM(np.full(16_000, 9e3, "f4"), 16_000), ValueError, "divide by 32768"),
    ("a WAV as PCM", lambda _: PCM(io.BytesIO(wav()), 16_000), ValueError, "without PCM"),
    ("an empty async iterable", lambda _: nothing(), errors.EmptyAudioError, "^the async iterable is empty"),
    ("no samples in PCM", lambda _: PCM(b"", 16_000), errors.EmptyAudioError, "no samples"),
]
GOOD: list[tuple[str, Make, float]] = [
    ("a WAV cut in its data", lambda _: wav()[:-20_000], 2.0 - 20_000 / 32_000),
    ("a WAV with sizes 0", lambda _: streamed_wav(0), 2.0),
    ("a WAV with sizes 0xFFFFFFFF", lambda _: streamed_wav(0xFFFFFFFF), 2.0),
    ("an MP3 behind a large ID3 tag", lambda _: id3(1_000_000) + encoded("MP3"), 2.0),
    ("a FLAC that says 10 s and has 2", lambda _: lying_flac(2, 10), 2.0),
    ("NaN samples", lambda _: nan_wav(), 2.0),
    ("letters that are not ASCII in the path", lambda d: d / "회의 – 녹음 ☕.wav", 2.0),
    ("the path as a string", lambda d: str(d / "ok.wav"), 2.0),
    ("an open file", lambda d: (d / "ok.wav").open("rb"), 2.0),
    ("a bytearray", lambda _: bytearray(wav()), 2.0),
    ("a memoryview", lambda _: memoryview(wav()), 2.0),
    ("MP3 named by nobody", lambda _: io.BytesIO(encoded("MP3")), 2.0),
]


def id3(size: int) -> bytes:
    sizes = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + sizes + bytes(size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(recognizer="hello") as app:
        yield app


@pytest.fixture
def client(emulator: Emulator) -> ClovaSpeechClient:
    transport = httpx.ASGITransport(app=emulator)
    return ClovaSpeechClient("emulator", invoke_url="http://127.0.0.1", transport=transport)


def open_files() -> set[str]:
    """What this process has open on disk."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    found = {os.readlink(link) for link in links if os.path.lexists(link)}
    return {name for name in found if name.startswith("/") and not name.startswith(("/dev", "/proc"))}


@pytest.mark.parametrize("call", ["recognize", "transcribe"])
@pytest.mark.parametrize(("make", "kind", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_bad_input_is_a_clear_error_before_any_request(
    client: ClovaSpeechClient,
    emulator: Emulator,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    make: Make,
    kind: type[Exception],
    words: str,
    call: str,
) -> None:
    before = open_files()
    audio = make(folder)
    with pytest.raises(kind, match=words) as caught:
        await getattr(client, call)(audio, lang="Eng")
    assert isinstance(caught.value, errors.ClovaSpeechError)
    if hasattr(audio, "close"):
        audio.close()
    assert emulator.requests == ()
    assert capfd.readouterr() == ("", "")
    assert open_files() == before


@pytest.mark.parametrize("call", ["recognize", "transcribe"])
@pytest.mark.parametrize(("make", "seconds"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
async def test_odd_input_that_holds_sound_is_transcribed(
    client: ClovaSpeechClient,
    emulator: Emulator,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    make: Make,
    seconds: float,
    call: str,
) -> None:
    before = open_files()
    audio = make(folder)
    result = await getattr(client, call)(audio, lang="Eng")
    assert result.text == "hello"
    if call == "transcribe":
        assert result.duration == pytest.approx(seconds, abs=0.2)
    if hasattr(audio, "close"):
        audio.close()
    (request,) = emulator.requests
    assert request.status == 200
    assert capfd.readouterr() == ("", "")
    assert open_files() == before


async def test_what_was_cut_off_is_refused_by_recognize_and_told_by_transcribe(
    client: ClovaSpeechClient, emulator: Emulator
) -> None:
    cut_off = encoded("FLAC")[:3000]
    with pytest.raises(errors.CorruptAudioError, match=r"was cut off: only 0\.\d s of the 2\.0 s"):
        await client.recognize(cut_off, lang="Eng")
    assert emulator.requests == ()
    transcript = await client.transcribe(cut_off, lang="Eng")
    assert transcript.truncated
    async with client:
        with pytest.raises(errors.CorruptAudioError, match="was cut off"):  # a stream has nowhere to tell it
            assert [segment async for segment in client.stream(cut_off, lang="Eng")]
    assert transcript.announced_duration is not None
    assert transcript.duration < 1 < transcript.announced_duration == pytest.approx(2.0)


def test_no_permission() -> None:
    script = """
        import os, sys, anyio
        from clova_speech_async import AudioReadError, ClovaSpeechClient
        async def main():
            client = ClovaSpeechClient("key")
            await anyio.to_thread.run_sync(int)
            os.getuid() or os.setuid(65534)  # root may read everything
            try:
                await client.recognize(sys.argv[1], lang="Eng")
            except AudioReadError as error:
                print(error)
        anyio.run(main)
    """
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "locked.wav"
        path.write_bytes(wav())
        path.chmod(0)
        command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
        # A measurement of coverage could not write its data as another user.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "locked.wav" in done.stdout
    assert "ermission" in done.stdout
    assert done.stderr == ""


async def test_a_recording_over_60_seconds_is_refused_by_recognize_whatever_its_header_says(
    client: ClovaSpeechClient, emulator: Emulator
) -> None:
    for audio in (wav(61), lying_flac(61, 5), PCM(bytes(16_000 * 2 * 61), 16_000)):
        with pytest.raises(errors.AudioTooLongError, match=r"transcribe\(\)") as caught:
            await client.recognize(audio, lang="Eng")
        assert caught.value.limit == 60
    assert emulator.requests == ()


async def test_60_seconds_of_cd_quality_are_over_10_mb_and_still_fit(
    client: ClovaSpeechClient, emulator: Emulator
) -> None:
    time = np.arange(60 * 44_100) / 44_100
    stereo = (np.sin(2 * np.pi * 300 * time)[:, None] * [9000, 9000]).astype("int16")
    file = io.BytesIO()
    soundfile.write(file, stereo, 44_100, format="WAV")
    assert len(file.getvalue()) > 10_000_000
    assert (await client.recognize(file.getvalue(), lang="Eng")).quota == 60
    assert emulator.requests[0].status == 200
