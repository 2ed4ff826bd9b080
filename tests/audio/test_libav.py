"""AAC, M4A, AC3, WebM and video, with PyAV and without it."""

from __future__ import annotations

import builtins
import io
import itertools
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio import Flaws, Splitting, cut, libav, load, measure
from clova_speech_async.errors import AudioTooLargeError, AudioTooLongError, CorruptAudioError, UnsupportedFormatError

av = pytest.importorskip("av")

ID3 = b"ID3\4\0\0\0\0\x0a\0" + bytes(10 << 7)
ADTS = b"\xff\xf1\x40\x40\x02\x1f\xfc" + bytes(9)
CONTAINERS = {
    "AAC": ("adts", "aac"),
    "M4A": ("ipod", "aac"),
    "AC3": ("ac3", "ac3"),
    "WebM": ("webm", "libopus"),
    "Matroska": ("matroska", "libopus"),
    "MP4": ("mp4", "aac"),
    "AVI": ("avi", "pcm_s16le"),
    "MPEG transport stream": ("mpegts", "aac"),
}


@pytest.fixture(scope="session")
def muxed() -> Callable[..., bytes]:
    def make(samples: Any, name: str, rate: int = 48_000, layout: str = "mono") -> bytes:
        container, codec = CONTAINERS[name]
        out = io.BytesIO()
        with av.open(out, "w", format=container) as file:
            stream = file.add_stream(codec, rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
            frame.rate = rate
            resampler = av.AudioResampler(stream.format, layout, rate, stream.frame_size or 1024)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                file.mux(stream.encode(part))
            file.mux(stream.encode(None))
        return out.getvalue()

    return make


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_its_sound(name: str, talk: Any, muxed: Any, pipe: Any, hurt: Any) -> None:
    speech = talk(70 if name in ("M4A", "WebM") else 12, 0.15, 0.5)
    data = muxed(np.repeat(speech.samples, 3), name)
    pieces = list(cut(data))
    assert measure(data).duration == pytest.approx(speech.seconds, abs=0.15)
    assert len(pieces) == (2 if name in ("M4A", "WebM") else 1)
    # Encoders add some hundredths of a second at the beginning; padding is longer than that.
    assert hurt(pieces, [(begin + 0.03, end) for begin, end in speech.words]) == []
    assert list(cut(pipe(data))) == pieces


@pytest.mark.parametrize("name", ["AAC", "M4A", "AC3"])
def test_short_ones_that_the_service_takes_go_as_they_are(name: str, talk: Any, muxed: Any, pipe: Any) -> None:
    samples = np.repeat(talk(8).samples, 3)
    data = muxed(samples, name)
    for use in (None, False):
        for audio in (data, pipe(data)):
            piece = load(audio, av=use)
            assert piece.data == data
            assert piece.seconds == pytest.approx(len(samples) / 48_000, abs=0.15)
        (only,) = cut(data, av=use)
        assert only.data == data
        assert measure(data, av=use).billed_seconds == 15


@pytest.fixture(params=["asked for", "missing"])
def without(request: Any, monkeypatch: pytest.MonkeyPatch) -> bool | None:
    """What to give as `av`: PyAV is not to be used, or is not there."""
    if request.param == "asked for":
        return False
    monkeypatch.setitem(sys.modules, "av", None)
    return None


@pytest.fixture(scope="session")
def long(talk: Any, muxed: Any) -> bytes:
    """An M4A that one request does not take."""
    data: bytes = muxed(np.repeat(talk(75).samples, 3), "M4A")
    return data


WAYS: list[Callable[..., Any]] = [load, measure, lambda audio, av: list(cut(audio, av=av))]


@pytest.mark.parametrize("name", ["WebM", "MP4", "AVI"])
def test_without_the_extra_the_error_names_format_and_remedy(name: str, talk: Any, muxed: Any) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), name)
    assert not load(data).original
    for function in (load, measure, lambda audio, av: list(cut(audio, av=av))):
        with pytest.raises(UnsupportedFormatError, match=rf"is {name}.*pip install 'clova-speech-async\[av\]'"):
            function(data, av=False)


@pytest.mark.parametrize("way", WAYS)
def test_without_the_extra_long_ones_and_those_that_tell_no_length_need_it(
    way: Any, long: bytes, talk: Any, muxed: Any, pipe: Any, without: bool | None
) -> None:
    short = muxed(np.repeat(talk(3).samples, 3), "M4A")
    for data, told in (
        (long, r"is M4A and 7\d seconds long; only up to 60 seconds and 10000000 bytes"),
        (
            b"\0\0\0\x20ftypM4A " + bytes(100),
            "is M4A that must be decoded before it can be sent, for it tells no length",
        ),
        (short + bytes(10_000_000), "is M4A and larger than 10000000 bytes; only up to"),
        (ID3 + short, "is M4A that must be decoded before it can be sent, for a tag stands before it"),
        (ADTS * 2 + bytes(500), "is AAC that must be decoded .*its frames cannot be counted"),
        (b"\x0b\x77" + bytes(2) + b"\x3f" + bytes(90), r"is AC3 that must be decoded .*cannot be counted .*E-AC-3"),
    ):
        for audio in (data, pipe(data)):
            with pytest.raises(UnsupportedFormatError, match=told) as caught:
                way(audio, av=without)
            assert str(caught.value).endswith("needs an extra: pip install 'clova-speech-async[av]'")


@pytest.mark.parametrize("way", WAYS)
def test_without_the_extra_a_part_of_an_m4a_is_said_to_be_one(
    way: Any, talk: Any, muxed: Any, pipe: Any, without: bool | None
) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), "M4A")
    first = data[: len(data) // 2]
    moved = data[: data.index(b"mdat") - 4] + data[data.index(b"moov") - 4 :] + data[data.index(b"mdat") - 4 :]
    second = moved[: moved.index(b"mdat") + 500]
    for part, told in (
        (first, "cut off before its tables, get it anew$"),
        (second, r"cut off: get it anew; .*\[av\]'$"),
    ):
        for audio in (part, pipe(part)):
            with pytest.raises(CorruptAudioError, match=told):
                way(audio, av=without)


@pytest.mark.parametrize("name", ["AAC", "AC3"])
def test_without_the_extra_a_last_frame_that_is_not_whole_is_told(
    name: str, talk: Any, muxed: Any, pipe: Any, without: bool | None
) -> None:
    data = muxed(np.repeat(talk(8).samples, 3), name)
    for audio in (data, pipe(data)):
        flaws = Flaws()
        assert [piece.data for piece in cut(audio, av=without, flaws=flaws)] == [data]
        assert not flaws.truncated
    part = data[:-40]
    for audio in (part, pipe(part)):
        assert measure(audio, av=without).truncated
        with pytest.raises(CorruptAudioError, match=r"cut off: only [78]\.\d s"):
            load(audio if audio is part else pipe(part), av=without)
        with pytest.raises(CorruptAudioError, match=r"cut off: only [78]\.\d s"):
            list(cut(part, av=without))
        flaws = Flaws()
        assert [piece.data for piece in cut(part, av=without, flaws=flaws)] == [part]
        assert flaws.truncated


def test_an_extra_that_cannot_be_imported_is_told(talk: Any, muxed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = muxed(np.repeat(talk(1).samples, 3), "M4A")
    real = builtins.__import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "av":
            raise ImportError("libavcodec.so.61: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(
        UnsupportedFormatError, match=r"is M4A, .*cannot be imported \(libavcodec.*--force-reinstall av"
    ):
        load(data)


@pytest.mark.parametrize("name", ["M4A", "AAC", "AC3", "MP4"])
def test_a_tag_in_front_is_passed_over(name: str, talk: Any, muxed: Any, pipe: Any) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), name)
    for audio in (ID3 + data, pipe(ID3 + ID3 + data)):
        piece = load(audio)
        assert piece.end == load(data).end
        # Tables of an M4A count from its beginning; others than FFmpeg may count from the tag's.
        assert piece.original is (name in ("AAC", "AC3"))


@pytest.mark.parametrize("name", ["AAC", "AC3", "MPEG transport stream"])
def test_rate_and_channels_may_change_in_the_middle(name: str, talk: Any, muxed: Any, pipe: Any) -> None:
    mono = talk(4).samples
    parts = [
        muxed(np.repeat(mono, 3), name),
        muxed(np.repeat(mono, 6), name, layout="stereo"),
        muxed(np.repeat(mono, 2), name, 32_000),
    ]
    for order in itertools.permutations(parts):
        data = b"".join(order)
        found = measure(data)
        assert found.duration == pytest.approx(3 * len(mono) / 16_000, abs=0.3)
        (piece,) = cut(pipe(data))
        assert piece.seconds == pytest.approx(found.duration, abs=0.5)
        assert not piece.original
    assert load(parts[0] * 2).original is (name != "MPEG transport stream")


class Stop(BaseException):
    """What is no `Exception`."""


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_stop_at_any_read_reaches_the_caller_unchanged(name: str, talk: Any, muxed: Any, capfd: Any) -> None:
    data = muxed(np.repeat(talk(2).samples, 3), name)

    class Stopped(io.BytesIO):
        stop = -1
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads - 1 == self.stop:
                raise error
            return super().read(size)

    error = Stop("cancelled")
    whole = Stopped(data)
    load(whole)
    for number in range(whole.reads):
        file = Stopped(data)
        file.stop = number
        with pytest.raises(Stop) as caught:
            load(file)
        assert caught.value is error
    assert capfd.readouterr().err == ""


def test_without_the_extra_limits_hold_by_its_own_account(talk: Any, muxed: Any) -> None:
    data = muxed(np.repeat(talk(20).samples, 3), "M4A")
    with pytest.raises(AudioTooLongError):
        load(data, av=False, max_seconds=10.0)
    with pytest.raises(AudioTooLargeError):
        load(data, av=False, max_bytes=1000)
    with pytest.raises(AudioTooLongError):
        list(cut(data, Splitting(max_duration=10.0), av=False))
    with pytest.raises(AudioTooLongError):
        measure(data, Splitting(max_duration=10.0), av=False)


@pytest.mark.parametrize("function", [measure, lambda audio, options, av: list(cut(audio, options, av=av))])
def test_without_the_extra_no_channels_are_told_apart(function: Any, talk: Any, muxed: Any) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), "AAC")
    (whole,) = cut(data, Splitting(channels="mix"), av=False)
    assert whole.data == data
    with pytest.raises(UnsupportedFormatError, match=r"each channel by itself .* 'clova-speech-async\[av\]'"):
        function(data, Splitting(channels="each"), av=False)


def test_each_channel_of_stereo(talk: Any, muxed: Any) -> None:
    mono = np.repeat(talk(8).samples, 3)
    both = np.stack([mono, np.zeros_like(mono)], axis=1).reshape(-1)
    pieces = list(cut(muxed(both, "WebM", layout="stereo"), Splitting(channels="each")))
    assert [piece.channel for piece in pieces] == [0]


def test_damage_is_an_error_of_ours_or_is_left_out(talk: Any, muxed: Any) -> None:
    data = bytearray(muxed(np.repeat(talk(20).samples, 3), "AAC"))
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    assert 10 < load(bytes(data)).seconds < 20.5
    with pytest.raises(CorruptAudioError):
        load(bytes(muxed(np.repeat(talk(3).samples, 3), "M4A")[:200]))


@pytest.mark.parametrize("name", ["AAC", "AC3"])
def test_a_last_frame_that_is_not_whole_is_told(name: str, talk: Any, muxed: Any, pipe: Any) -> None:
    data = muxed(np.repeat(talk(70).samples, 3), name)
    for audio in (data, pipe(data), data + b"TAG" + bytes(125)):
        assert not measure(audio).truncated
    part = data[: len(data) * 7 // 10 + 1]
    for audio in (part, pipe(part)):
        found = measure(audio)
        assert found.truncated
        assert found.announced_duration is None
    with pytest.raises(CorruptAudioError, match=r"cut off: only [45]\d\.\d s can be read"):
        list(cut(part))
    flaws = Flaws()
    assert list(cut(part, flaws=flaws))
    assert flaws.truncated
    with pytest.raises(CorruptAudioError, match="cut off"):
        load(part)


@pytest.mark.parametrize("fragments", [False, True])
def test_boxes_that_hold_less_than_they_say_are_told(fragments: bool, talk: Any, muxed: Any, pipe: Any) -> None:
    flags = "frag_keyframe+empty_moov+default_base_moof" if fragments else "faststart"
    out = io.BytesIO()
    with (
        av.open(io.BytesIO(muxed(np.repeat(talk(70).samples, 3), "M4A"))) as whole,
        av.open(out, "w", format="ipod", container_options={"movflags": flags, "frag_duration": "10000000"}) as file,
    ):
        stream = file.add_stream_from_template(whole.streams.audio[0])
        for packet in whole.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    data = out.getvalue()
    assert not measure(data).truncated
    list(cut(data))
    part = data[: len(data) * 7 // 10]
    for audio in (part, pipe(part)):
        found = measure(audio)
        assert found.truncated
        assert 35 < found.duration < 55
    with pytest.raises(CorruptAudioError, match=r"cut off: only \d\d\.\d s"):
        list(cut(part))
    assert load(part, max_seconds=60.0).seconds == pytest.approx(found.duration, abs=0.1)


def test_a_track_that_damage_makes_appear_is_an_error_of_ours(
    talk: Any, muxed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), "MPEG transport stream")

    def appears(*_: object) -> Any:
        raise IndexError("list index out of range")

    monkeypatch.setattr(libav, "_decode", appears)
    with pytest.raises(CorruptAudioError, match="cannot be decoded"):
        load(data)


def test_a_film_without_sound_says_so() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    with pytest.raises(UnsupportedFormatError, match="without a sound track"):
        load(out.getvalue())


def test_what_cannot_be_decoded_is_said_in_words() -> None:
    with pytest.raises(CorruptAudioError, match=r"M4A that cannot be decoded: [A-Z][a-z ]+$"):
        list(cut(b"\0\0\0\x18ftypM4A \0\0\0\0M4A isom" + bytes(100)))


def test_an_order_of_channels_of_the_files_own_does_not_end_the_process(tmp_path: Any) -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mov") as file:
        stream = file.add_stream("pcm_s16le", rate=48_000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.full((1, 8 * 48_000), 900, np.int16), format="s16", layout="7.1")
        frame.rate = 48_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    data = bytearray(out.getvalue())
    at = data.index(b"chan") + 8
    # In CoreAudio's words: MPEG_7_1_C, the order of which FFmpeg has no word for.
    data[at : at + 4] = struct.pack(">HH", 128, 8)
    (tmp_path / "it.mov").write_bytes(data)
    # C code frees the order twice, and then the process ends: in one of its own it is seen.
    program = "import sys; from clova_speech_async.audio import load; print(load(sys.argv[1]).seconds)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "it.mov")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1.0"), done.stderr


@pytest.mark.parametrize("name", ["M4A", "MP4"])
def test_a_track_of_an_unknown_kind_says_so(name: str, talk: Any, muxed: Any, pipe: Any) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), name).replace(b"mp4a", b"zzzz").replace(b"esds", b"zzzz")
    for audio in (data, pipe(data)):
        with pytest.raises(UnsupportedFormatError, match="of a kind unknown to FFmpeg"):
            load(audio)


@pytest.mark.parametrize("behind", [b"\n", b"\0\0\0", b"\n" * 8])
def test_a_few_bytes_behind_aac_are_no_error(behind: bytes, talk: Any, muxed: Any, pipe: Any) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), "AAC")
    for audio in (data + behind, pipe(data + behind)):
        found = measure(audio)
        assert not found.truncated
        assert found.duration == measure(data).duration


def test_aac_that_ends_within_a_header_is_cut_off(talk: Any, muxed: Any, pipe: Any) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), "AAC")
    for size in range(1, 7):
        for audio in (data + data[:size], pipe(data + data[:size])):
            found = measure(audio)
            assert found.truncated
            assert found.duration == measure(data).duration


def test_a_file_that_was_cut_off_before_its_tables_says_so(talk: Any, muxed: Any, pipe: Any) -> None:
    data = muxed(np.repeat(talk(3).samples, 3), "M4A")
    assert data.index(b"moov") > data.index(b"mdat")
    part = data[: len(data) // 2]
    for audio in (part, pipe(part)):
        with pytest.raises(CorruptAudioError, match="cut off before its tables, get it anew"):
            load(audio)
