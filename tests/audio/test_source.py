"""Every accepted input, and every wrong one with a message that says what to do."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio import PCM, cut, load, measure
from clova_speech_async.audio.source import Patch, Pipe, open_source
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
        if isinstance(part, Exception):
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


def test_a_view_keeps_the_error_and_ends() -> None:
    class Breaking(io.BytesIO):
        broken = False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.broken:
                raise OSError("gone")
            return super().read(size)

        def seek(self, offset: int, whence: int = 0, /) -> int:
            if self.broken:
                raise OSError("gone")
            return super().seek(offset, whence)

    file = Breaking(bytes(100))
    with open_source(file) as source:
        for touch in (lambda view: view.read(5), lambda view: view.seek(1)):
            file.broken = False
            view = source.view(0)
            file.broken = True
            touch(view)
            assert view.error is not None
            assert view.read(5) == b""


def test_a_pipe_keeps_the_error_and_ends() -> None:
    with open_source(Reader(b"abc", OSError("gone"))) as source:
        pipe = Pipe(source)
        assert pipe.read(3) == b"abc"
        assert pipe.read(3) == b""
        assert pipe.error is not None
        assert pipe.read(3) == b""


@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("size", [1, 2, 4, 12])
def test_a_patch_changes_its_place_and_no_other(at: int, size: int) -> None:
    data = bytearray(b"abcdefghijklmnop")
    view = memoryview(data)[at : at + size]
    Patch(4, b"XYZ").apply(view, at)
    whole = b"abcdXYZhijklmnop"
    assert data == b"abcdefghijklmnop"[:at] + whole[at : at + size] + b"abcdefghijklmnop"[at + size :]
