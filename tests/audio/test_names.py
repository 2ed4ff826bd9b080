"""Names in messages are short, and a name that cannot be one says what it is."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clova_speech_async.audio import PCM, load
from clova_speech_async.audio.names import name_of_bytes, name_of_file, shown
from clova_speech_async.errors import ArgumentTypeError, AudioReadError, CorruptAudioError, EmptyAudioError


def message(audio: Any) -> str:
    with pytest.raises(AudioReadError) as caught:
        load(audio)
    assert len(str(caught.value)) < 320
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "a" * 300,
        "UklGRiQA" * 100_000,
        "UklGRiQA/" * 1000,
        "RIFF\0\0\0\0WAVEfmt ",
        "x" * 5000 + "/",
        "가" * 300,
        b"RIFF\xff\xfe".decode("latin-1") * 50_000,
        "\ud800RIFF",
    ],
)
def test_content_given_for_a_name_says_so(content: str) -> None:
    told = message(content)
    assert "cannot be opened" in told
    assert "this looks like the content of a file, not its name: pass bytes" in told
    assert ("base64.b64decode" in told) is content.startswith("UklGR")


@pytest.mark.parametrize("wrap", [str, Path])
@pytest.mark.parametrize("scheme", ["http", "https", "HTTPS", "s3"])
def test_urls_are_not_fetched_and_their_secrets_not_shown(wrap: Any, scheme: str) -> None:
    told = message(wrap(f"{scheme}://somebody:secret@example.com/a.wav?signature=secret#secret"))
    assert "URLs are not fetched: download it first and pass the bytes or the path" in told
    assert "example.com/a.wav" in told
    assert "secret" not in told
    assert "without file://" in message("file:///tmp/a.wav")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "the path is empty"),
        ("~/no-such.wav", "expanduser"),
        ("no-such.wav\n", r"strip\(\)"),
        ('"no-such.wav"', "quotation marks"),
        ("no-such.wav", "there is no such file$"),
    ],
)
def test_a_missing_file_says_what_may_be_wrong_with_its_name(path: str, words: str) -> None:
    with pytest.raises(AudioReadError, match=words):
        load(path)


def test_a_file_taken_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    assert message(tmp_path / "a.wav" / "b").endswith("it cannot be opened: Not a directory")


def test_a_long_name_is_shortened_wherever_it_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 200)
    folder.mkdir()
    path = folder / ("n" * 200 + " the end.wav")
    assert "…" in message(path)
    for content, kind in ((b"", EmptyAudioError), (b"fLaC" + bytes(200), CorruptAudioError)):
        path.write_bytes(content)
        with pytest.raises(kind, match=r"…n+ the end\.wav'") as caught:
            load(path)
        assert len(str(caught.value)) < 250
        with path.open("rb") as file, pytest.raises(kind) as caught:
            load(file)
        assert len(str(caught.value)) < 250


def test_short_names_are_shown_whole_and_long_ones_in_part() -> None:
    assert shown("a.wav") == "'a.wav'"
    assert shown("x" * 118) == repr("x" * 118)
    assert shown("a" * 70 + "b" * 100 + "c" * 50) == repr("a" * 60 + "…" + "c" * 40)
    assert len(shown("\0" * 100)) == len(shown(b"\0" * 10**6)) == 101


def test_what_inputs_are_called(tmp_path: Path) -> None:
    assert name_of_bytes(0) == "the data given (0 bytes)"
    assert name_of_bytes(1) == "the data given (1 byte)"
    assert name_of_file(io.BytesIO()) == "the file object 'BytesIO'"
    with (tmp_path / "a.wav").open("wb") as file, open(file.fileno(), "wb", closefd=False) as numbered:
        assert "a.wav" in name_of_file(file)
        assert name_of_file(numbered) == "the file object 'BufferedWriter'"


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_file_open_for_writing_says_rb(tmp_path: Path, mode: str) -> None:
    with (tmp_path / "a.wav").open(mode) as file:
        assert message(file).endswith("was not opened for reading: open it with 'rb'")
        with pytest.raises(AudioReadError, match="'rb'"):
            load(PCM(file, 16_000))


def test_a_file_that_is_read_with_await_says_so() -> None:
    class Upload:
        async def read(self, size: int = -1) -> bytes:
            return b""

    class Hidden:
        def read(self, size: int = -1) -> Any:
            return Upload().read(size)

    for upload in (Upload(), Hidden()):
        name = type(upload).__name__
        with pytest.raises(ArgumentTypeError, match=rf"'{name}' is read with await.*await file\.read\(\)"):
            load(upload)
    with pytest.raises(ArgumentTypeError, match="audio of type type is not accepted"):
        load(io.BytesIO)


def test_a_file_at_its_end_says_seek(talk: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(talk(1).samples)
    file = io.BytesIO(data)
    file.read()
    for audio in (file, PCM(file, 16_000)):
        with pytest.raises(EmptyAudioError, match=rf"stands at its end, at byte {len(data)}: seek\(0\)"):
            load(audio)
    with pytest.raises(EmptyAudioError, match="is empty: it has no bytes"):
        load(io.BytesIO())
    for nothing in (PCM(b"", 16_000), PCM(io.BytesIO(), 16_000), PCM(pipe(b""), 16_000), encoded(talk(1).samples[:0])):
        with pytest.raises(EmptyAudioError, match="there are no samples in the"):
            load(nothing)


async def to_come() -> bytes:
    return b""


async def chunks() -> AsyncIterator[bytes]:
    yield b""


def read() -> bytes:
    return b""


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (to_come, r"call it, await to_come\(…\)"),
        (chunks, r"call it, chunks\(…\)"),
        (read, "it is a function: call it"),
        (["a.wav"], r'BatchTranscriber; samples are PCM\(numpy.array\(…, "int16"\), sample_rate=…\)'),
        ((0, 1), "BatchTranscriber"),
        (iter([b"RIFF"]), r'b""\.join\(…\)'),
        (5, "int is not accepted: give a path"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_nearly_audio_is_told_what_to_do(audio: Any, words: str) -> None:
    with pytest.raises(ArgumentTypeError, match=words):
        load(audio)


def test_what_is_still_to_come_is_to_be_awaited() -> None:
    coroutine: Any = to_come()
    with pytest.raises(
        ArgumentTypeError, match="audio of type coroutine is not accepted: .*await it first.*Accepted are"
    ):
        load(coroutine)
    coroutine.close()
