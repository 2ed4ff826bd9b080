"""Files for C code that calls back: nothing raises in it, and nothing that was raised is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from clova_speech_async.audio import PCM, cut, load
from clova_speech_async.audio.source import open_source
from clova_speech_async.audio.view import Patch, Pipe, raise_kept
from clova_speech_async.errors import AudioReadError

FORMATS = [("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("AIFF", None), ("FLAC", None), ("OGG", None), ("MP3", None)]


class Generous(io.BytesIO):
    """Gives whole blocks of 1000 bytes, whatever it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size is None or size < 0 else -(-size // 1000) * 1000)


class Meagre(io.BytesIO):
    """Gives little at a time, and nothing for its seek."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(777, size)) if size is not None and size > 0 else super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        super().seek(offset, whence)
        return None  # type: ignore[return-value]


@pytest.mark.parametrize("kind", [Generous, Meagre])
@pytest.mark.parametrize(("name", "subtype"), FORMATS)
def test_a_file_that_gives_more_or_less_than_it_is_asked_for_is_heard(
    name: str, subtype: str | None, kind: type[io.BytesIO], talk: Any, encoded: Any
) -> None:
    for seconds in (3, 70):
        data = encoded(talk(seconds).samples, format=name, subtype=subtype)
        assert list(cut(kind(data))) == list(cut(data))


class Memory:
    """A file object the reads and seeks of which can be stopped by any exception, at any of them."""

    def __init__(self, data: bytes, stop: BaseException | None = None, number: int = -1) -> None:
        self._file = io.BytesIO(data)
        self._stop, self._number = stop, number
        self.calls = 0

    def _count(self) -> None:
        self.calls += 1
        if self.calls - 1 == self._number and self._stop is not None:
            raise self._stop

    def read(self, size: int) -> bytes:
        self._count()
        return self._file.read(min(size, 9000))


class Seekable(Memory):
    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        self._count()
        return self._file.seek(offset, whence)


class Stop(BaseException):
    """What is no `Exception`."""


@pytest.mark.parametrize("kind", [Seekable, Memory])
@pytest.mark.parametrize(("name", "subtype"), FORMATS)
def test_a_stop_at_any_call_reaches_the_caller_unchanged(
    name: str, subtype: str | None, kind: Callable[..., Memory], talk: Any, encoded: Any, capfd: Any
) -> None:
    data = encoded(talk(1).samples, format=name, subtype=subtype)
    whole = kind(data)
    assert load(whole).seconds == load(data).seconds
    assert whole.calls >= 3
    for number in range(whole.calls):
        for stop in (KeyboardInterrupt(), Stop("cancelled")):
            with pytest.raises(type(stop)) as caught:
                load(kind(data, stop, number))
            assert caught.value is stop
    for number in range(whole.calls):
        with pytest.raises(AudioReadError, match="gone away") as broken:
            load(kind(data, OSError("gone away"), number))
        assert isinstance(broken.value.__cause__, OSError)
    assert capfd.readouterr().err == ""


def test_a_stop_while_pieces_are_cut_reaches_the_caller(talk: Any) -> None:
    data = talk(90).samples.tobytes()
    with pytest.raises(KeyboardInterrupt):
        list(cut(PCM(Memory(data, KeyboardInterrupt(), 20), 16_000)))


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
            assert view.read(5) == b""
            with pytest.raises(AudioReadError, match="gone") as caught:
                raise_kept(view)
            assert isinstance(caught.value.__cause__, OSError)


def test_a_pipe_keeps_the_error_and_ends() -> None:
    with open_source(Memory(b"abc", OSError("gone"), 1)) as source:
        pipe = Pipe(source)
        assert pipe.read(3) == b"abc"
        assert pipe.read(3) == b""
        assert pipe.read(3) == b""
        with pytest.raises(AudioReadError, match="gone"):
            raise_kept(pipe)


def test_what_was_read_well_raises_nothing() -> None:
    with open_source(b"abc") as source:
        view = source.view(0)
        assert view.read(5) == b"abc"
        raise_kept(view)


def test_a_pipe_never_gives_more_than_there_is_room_for() -> None:
    class Whole(Memory):
        def read(self, size: int) -> bytes:
            return self._file.read()

    with open_source(Whole(bytes(range(200)))) as source:
        pipe = Pipe(source)
        assert [pipe.read(60) for _ in range(5)] == [bytes(range(at, min(200, at + 60))) for at in range(0, 300, 60)]


@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("size", [1, 2, 4, 12])
def test_a_patch_changes_its_place_and_no_other(at: int, size: int) -> None:
    data = bytearray(b"abcdefghijklmnop")
    view = memoryview(data)[at : at + size]
    Patch(4, b"XYZ").apply(view, at)
    whole = b"abcdXYZhijklmnop"
    assert data == b"abcdefghijklmnop"[:at] + whole[at : at + size] + b"abcdefghijklmnop"[at + size :]
