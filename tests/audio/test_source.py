"""Every accepted input, and every wrong one with a message that says what to do."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio import PCM, cut, load, measure
from clova_speech_async.audio.source import open_source
from clova_speech_async.errors import ArgumentTypeError, AudioReadError


@pytest.mark.parametrize("wrong", [None, 5, 3.5, ["a"], {"a": 1}, object(), iter([b"x"]), (b"a",)])
def test_what_cannot_be_audio_is_refused_by_type(wrong: Any) -> None:
    for function in (load, measure, lambda audio: list(cut(audio))):
        with pytest.raises(ArgumentTypeError, match=r"not accepted.*path.*PCM"):
            function(wrong)


def test_a_bare_array_has_no_sample_rate() -> None:
    with pytest.raises(ArgumentTypeError, match=r"PCM\(array, sample_rate="):
        load(np.zeros(100))


def test_a_file_opened_as_text_says_rb(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")
    with path.open() as file, pytest.raises(ArgumentTypeError, match="'rb'"):
        load(file)
    with pytest.raises(ArgumentTypeError, match="'rb'"):
        load(io.StringIO("RIFF"))
    with path.open() as file, pytest.raises(ArgumentTypeError, match="'rb'"):
        load(PCM(file, 16_000))


class Reader:
    def __init__(self, *parts: Any) -> None:
        self.parts = list(parts)

    def read(self, size: int) -> Any:
        part = self.parts.pop(0) if self.parts else b""
        if isinstance(part, BaseException):
            raise part
        return part


def test_a_reader_of_anything_but_bytes_is_told_so() -> None:
    with pytest.raises(AudioReadError, match=r'str, not bytes: open it with "rb"'):
        load(Reader("RIFF"))
    with pytest.raises(AudioReadError, match="non-blocking"):
        load(Reader(None))


def test_a_reader_that_raises_is_the_cause() -> None:
    with pytest.raises(AudioReadError, match="RuntimeError") as caught:
        load(Reader(RuntimeError()))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_our_own_errors_come_through_unchanged() -> None:
    own = AudioReadError("from the bridge")
    with pytest.raises(AudioReadError) as caught:
        load(Reader(b"RIFF", own))
    assert caught.value is own


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AudioReadError, match=r"no-such\.wav'.*no such file"):
        load(str(tmp_path / "no-such.wav"))
    with pytest.raises(AudioReadError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(AudioReadError, match="cannot be opened"):
        load("nul\0byte")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_path_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(b"RIFF")
    path.chmod(0)
    with pytest.raises(AudioReadError, match="no permission"):
        load(path)


def test_no_permission_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> Any:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(AudioReadError, match="no permission"):
        open_source(tmp_path / "a.wav")


def test_a_closed_file_says_so() -> None:
    file = io.BytesIO(b"RIFF")
    file.close()
    with pytest.raises(AudioReadError, match="is closed"):
        load(file)


def test_a_memoryview_of_any_shape_is_its_bytes(talk: Any, encoded: Any) -> None:
    data = encoded(talk(2).samples)
    spread = memoryview(bytes(byte for pair in zip(data, data, strict=True) for byte in pair))[::2]
    assert load(spread).data == data
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
    assert load(memoryview(words)).data == data[: len(data) // 2 * 2]


def test_peeked_bytes_are_read_again(pipe: Any) -> None:
    with open_source(pipe(bytes(range(200)), 7)) as source:
        assert source.peek(10)[:10] == bytes(range(10))
        assert source.read(5) == bytes(range(5))
        assert source.peek(3)[:3] == bytes([5, 6, 7])
        assert source.read(500) == bytes(range(5, 200))
        assert source.read(5) == b""
        assert source.original() == bytes(range(200))


def test_a_forgotten_stream_has_no_original_and_no_view(pipe: Any) -> None:
    with open_source(pipe(bytes(100))) as source:
        source.peek(10)
        source.read(10)
        source.forget()
        assert source.original() is None
        with pytest.raises(AudioReadError, match="given away"):
            source.view(0)


def test_a_stream_is_kept_only_up_to_what_a_request_holds(pipe: Any) -> None:
    with open_source(pipe(bytes(10_000_001), 1 << 20)) as source:
        assert source.original() is None
        assert source._kept is None
    with open_source(bytes(10_000_001)) as source:
        assert source.original() is None
    with open_source(bytes(10_000_000)) as source:
        assert source.original() == bytes(10_000_000)


def test_a_spooled_stream_can_be_sought_and_asked_for_all(pipe: Any) -> None:
    with open_source(pipe(bytes(range(250)))) as source:
        view = source.view(10)
        assert view.seek(-5, os.SEEK_END) == 235
        assert view.read(10) == bytes(range(245, 250))
        assert view.seek(0) == 0
        assert view.seek(3, os.SEEK_CUR) == 3
        assert view.read(2) == bytes([13, 14])
        assert view.tell() == 5
        assert view.readable()
        assert view.seekable()
        assert source.original() == bytes(range(250))


def test_a_stream_that_gives_more_than_it_is_asked_for_is_read_in_order() -> None:
    with open_source(Reader(bytes(range(100)), bytes(range(100, 200)))) as source:
        assert [source.read(size) for size in (1, 30, 99)] == [bytes([0]), bytes(range(1, 31)), bytes(range(31, 130))]
        assert source.at == 130
        assert source.read(100) == bytes(range(130, 200))
        assert source.original() == bytes(range(200))


def test_what_is_skipped_is_still_part_of_the_original(pipe: Any) -> None:
    data = bytes(range(250)) * 1000
    for audio in (data, pipe(data)):
        with open_source(audio) as source:
            source.peek(100)
            assert source.skip(200_000) == 200_000
            assert source.at == 200_000
            assert source.read(50) == bytes(range(50))
            assert source.skip(1_000_000) == 49_950
            assert source.original() == data


def test_a_view_of_a_stream_too_long_to_be_kept_begins_where_it_stands(pipe: Any) -> None:
    with open_source(pipe(bytes(10_000_001) + b"the rest", 1 << 20)) as source:
        source.skip(10_000_001)
        source.peek(4)
        with pytest.raises(AudioReadError, match="given away.*save it to a file"):
            source.view(0)
        view = source.view(source.at)
        assert view.read(100) == b"the rest"
        assert view.seek(-4, os.SEEK_END) == 4
        assert source.original() is None


def test_no_room_for_a_temporary_file_says_what_to_do(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with (
        open_source(pipe(bytes(100))) as source,
        pytest.raises(AudioReadError, match=r"temporary file.*No space left on device.*TMPDIR") as caught,
    ):
        source.view(0)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_no_failure_of_the_reader_passes_as_it_is(error: BaseException) -> None:
    with open_source(Reader(b"RIFF", error)) as source:
        assert source.read(4) == b"RIFF"
        with pytest.raises(type(error)) as caught:
            source.read(4)
    assert caught.value is error


def test_a_cancellation_of_what_an_object_waits_for_is_a_failure_of_the_object() -> None:
    with (
        open_source(Reader(b"RIFF", asyncio.CancelledError())) as source,
        pytest.raises(AudioReadError, match="cannot be read: CancelledError") as caught,
    ):
        source.read(8)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
