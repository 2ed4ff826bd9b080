"""Frames of FLAC, and what is heard behind damage."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async.audio import cut, load, measure
from clova_speech_async.audio.decode import open_audio
from clova_speech_async.audio.flac import HEADER, Frame, first_frame, frames_from, stream_of
from clova_speech_async.errors import AudioError, CorruptAudioError


def reader(data: bytes) -> Any:
    return lambda at, size: data[at : at + size]


def decoded(audio: Any) -> tuple[Any, Any]:
    opened = open_audio(audio)
    with contextlib.closing(opened.source):
        return np.concatenate(list(opened.blocks)), opened.flaws


@pytest.fixture(scope="module")
def tune() -> Any:
    """Samples of which none is zero."""

    def make(seconds: float, rate: int = 16_000, channels: int = 1) -> Any:
        time = np.arange(int(seconds * rate)) / rate
        noise = np.random.default_rng(3).integers(1, 60, (len(time), channels))
        return (noise + 4000 * (1.5 + np.sin(2000 * time) * np.sin(2 * time))[:, None]).astype(np.int16)

    return make


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (96_000, 6), (12_345, 1)])
def test_every_frame_is_found_at_its_place(rate: int, channels: int, subtype: str, tune: Any, encoded: Any) -> None:
    data = encoded(tune(3, rate, channels), rate, format="FLAC", subtype=subtype)
    begun = first_frame(reader(data), 1 << 20)
    assert begun is not None
    stream, first = begun
    assert (stream.rate, stream.channels, first) == (rate, channels, 0)
    found = [frame for _, frame in frames_from(reader(data), HEADER, stream)]
    assert [frame.first for frame in found] == list(range(0, 3 * rate, 4096))
    assert {frame.samples for frame in found[:-1]} == {4096}
    assert found[-1].first + found[-1].samples == 3 * rate


@pytest.mark.parametrize("filler", ["zeros", "noise", "nothing", "more"])
@pytest.mark.parametrize("size", [1, 300, 30_000])
def test_what_follows_damage_is_heard_at_its_time(filler: str, size: int, tune: Any, encoded: Any, pipe: Any) -> None:
    random = np.random.default_rng(size)
    for rate, channels in ((16_000, 1), (48_000, 2)):
        data = encoded(tune(20, rate, channels), rate, format="FLAC")
        whole, flaws = decoded(data)
        assert flaws.holes == ()
        at = len(data) * 2 // 5
        behind = {"zeros": 0, "noise": 0, "nothing": 0, "more": size // 2 + 1}[filler]
        fill = {"zeros": bytes(size), "nothing": b""}.get(filler, random.bytes(size + behind))
        broken = data[:at] + fill + data[at + size :]
        for audio in (broken, pipe(broken)):
            heard, flaws = decoded(audio)
            assert len(heard) == len(whole)
            (lost,) = np.nonzero((heard != whole).any(axis=1))
            (hole,) = flaws.holes
            assert not flaws.truncated
            # All that is not as it was is silence, and told to the sample.
            assert (round(hole.at * rate), round(hole.seconds * rate)) == (lost[0], lost[-1] + 1 - lost[0])
            assert not heard[lost].any()
            assert len(lost) <= (size // (len(data) // (20 * rate // 4096)) + 3) * 4096


def test_damage_is_counted_and_the_file_not_passed_on(tune: Any, encoded: Any, caplog: Any) -> None:
    data = bytearray(encoded(tune(20), format="FLAC"))
    for at in (len(data) // 3, len(data) // 2):
        data[at : at + 100] = bytes(100)
    found = measure(bytes(data))
    assert found.lost_seconds == pytest.approx(2 * 4096 / 16_000)
    assert (found.duration, found.announced_duration, found.truncated) == (20.0, 20.0, False)
    assert "lost in 2 places" in caplog.records[-1].getMessage()
    piece = load(bytes(data))
    assert not piece.original
    assert piece.seconds == 20.0
    assert list(cut(bytes(data)))


def test_damage_and_then_an_end_that_is_cut_off(tune: Any, encoded: Any, pipe: Any) -> None:
    data = bytearray(encoded(tune(20), format="FLAC"))
    data[100_000:100_100] = bytes(100)
    part = bytes(data[: len(data) * 7 // 10])
    for audio in (part, pipe(part)):
        found = measure(audio)
        assert found.lost_seconds == pytest.approx(4096 / 16_000)
        assert found.truncated
        assert 13 < found.duration < 15


def test_a_file_behind_a_damaged_one_is_heard(tune: Any, encoded: Any) -> None:
    data = bytearray(encoded(tune(10), format="FLAC"))
    whole = bytes(data)
    data[50_000:50_100] = bytes(100)
    heard, flaws = decoded(bytes(data) + whole + bytes(data))
    assert len(heard) == 3 * 160_000
    assert np.array_equal(heard[160_000:320_000], decoded(whole)[0])
    assert [hole.at > 20 for hole in flaws.holes] == [False, True]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.97])
def test_a_file_behind_one_that_was_cut_off_is_heard(share: float, tune: Any, encoded: Any, pipe: Any) -> None:
    """Its frames are numbered from 0 on, and those behind the first ones must not be taken for what is missing."""
    whole, other = tune(10), tune(15)[80_000:]
    data = encoded(whole, format="FLAC")
    part = data[: int(len(data) * share)]
    first = decoded(part)[0]
    for behind in (b"", part):
        joined = part + encoded(other, format="FLAC") + behind
        for audio in (joined, pipe(joined)):
            heard, flaws = decoded(audio)
            assert np.array_equal(heard, np.concatenate([first, other, *([first] if behind else [])]))
            assert flaws.truncated


def test_a_file_far_behind_one_that_was_cut_off_is_heard(tune: Any, encoded: Any, pipe: Any) -> None:
    """Of a pipe only the last megabyte is kept."""
    data, other = encoded(tune(10), format="FLAC"), encoded(tune(60), format="FLAC")
    joined = data[: len(data) // 2] + bytes(3_000_000) + other
    first = len(decoded(data[: len(data) // 2])[0])
    for audio in (joined, pipe(joined)):
        heard, flaws = decoded(audio)
        assert len(heard) == first + 60 * 16_000
        assert flaws.truncated


def test_a_part_that_was_copied_keeps_its_time_and_is_not_cut_off(tune: Any, encoded: Any) -> None:
    """Its frames are numbered as in the whole, and the header tells the length of the whole."""
    data = encoded(tune(20), format="FLAC")
    begun = first_frame(reader(data), 1 << 20)
    assert begun is not None
    places = [place for place, _ in frames_from(reader(data), HEADER, begun[0])]
    start = places[0]
    part = data[:start] + data[places[20] : places[60]]
    found = measure(part)
    assert (found.duration, found.truncated) == (40 * 4096 / 16_000, False)
    broken = bytearray(part)
    broken[50_000:50_100] = bytes(100)
    found = measure(bytes(broken))
    assert found.duration == 40 * 4096 / 16_000
    assert found.lost_seconds == 4096 / 16_000


@pytest.mark.parametrize("known", [True, False])
def test_an_end_within_a_frame_is_told_of_a_stream_of_any_length(
    known: bool, tune: Any, encoded: Any, pipe: Any
) -> None:
    data = encoded(tune(10), format="FLAC")
    if not known:
        # As who writes to a pipe leaves it: no length, no digest.
        data = data[:21] + bytes([data[21] & 0xF0]) + bytes(20) + data[42:]
    begun = first_frame(reader(data), 1 << 20)
    assert begun is not None
    places = [place for place, _ in frames_from(reader(data), HEADER, begun[0])]
    for whole in (data, data[: places[-1]], data[: places[-5]]):
        for audio in (whole, pipe(whole)):
            assert not measure(audio).truncated
    # From a little more than nothing of the header to all but a little of the frame.
    for end in (*(places[-5] + size for size in (3, 5, 6, 7, 20, 1000)), places[-1] + 100, len(data) - 1):
        for audio in (data[:end], pipe(data[:end])):
            found = measure(audio)
            assert found.truncated
            assert found.duration == [place <= end for place in places[1:]].count(True) * 4096 / 16_000
        with pytest.raises(CorruptAudioError, match="cut off"):
            load(pipe(data[:end]))


def test_very_little_that_is_missing_is_told_however_it_is_given(tune: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(tune(4096 / 16_000 * 3 + 0.04), format="FLAC")
    for audio in (data, pipe(data)):
        assert not measure(audio).truncated
    for audio in (data[:-20], pipe(data[:-20])):
        assert measure(audio).truncated


def test_damage_behind_which_there_is_no_frame_is_an_error(tune: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(tune(20), format="FLAC")
    with pytest.raises(CorruptAudioError, match=r"cannot be decoded from \d+\.\d s of 20\.0 s on"):
        load(data[: len(data) // 2] + bytes(len(data) // 2))
    # Where not even the first frame can be known, nobody knows what the numbers of the others mean.
    with pytest.raises(CorruptAudioError):
        load(data[:60] + bytes(1000) + data[1060:])
    for part in (data[:60], data[:1060], data[:60] + bytes(1000)):
        for audio in (part, pipe(part)):
            with pytest.raises(CorruptAudioError, match="FLAC that cannot be decoded"):
                load(audio)


def test_headers_of_all_kinds() -> None:
    head = (
        b"fLaC\x80\0\0\x22" + bytes((16, 0, 16, 0)) + bytes(6) + (16_000 << 44 | 1 << 41 | 15 << 36).to_bytes(8, "big")
    )
    stream = stream_of(head + bytes(16))
    assert stream is not None
    assert (stream.rate, stream.channels, stream.bits, stream.samples) == (16_000, 2, 16, 4096)
    assert stream_of(head) is None
    assert stream_of(b"RIFF" + bytes(60)) is None

    def found(*parts: bytes) -> list[Frame]:
        data = b"".join(parts)
        # The checksum of a polynomial is the rest of a division.
        rest = int.from_bytes(data + b"\0", "big")
        for bit in range(rest.bit_length() - 1, 7, -1):
            rest ^= 0x107 << bit - 8 if rest >> bit & 1 else 0
        frame = data + bytes([rest]) + bytes(16)
        assert list(frames_from(reader(frame[: len(data)] + bytes([rest ^ 1]) + bytes(16)), 0, stream)) == []
        return [frame for _, frame in frames_from(reader(frame), 0, stream)]

    assert found(b"\xff\xf8\xc5\x18\x05") == [Frame(5 * 4096, 4096)]
    assert found(b"\xff\xf9\xc5\x98\xf0\x9f\x98\x80") == [Frame(0x1F600, 4096)]
    assert found(b"\xff\xf8\x10\x80\x01") == [Frame(4096, 192)]
    assert found(b"\xff\xf8\x30\x80\x01") == [Frame(4096, 1152)]
    assert found(b"\xff\xf8\x60\xa0\x01\xff") == [Frame(4096, 256)]
    assert found(b"\xff\xf8\x7d\x10\xc2\x80\x01\x02\x3e\x80") == [Frame(0x80 * 4096, 259)]
    # Other sound, or no header at all.
    for other in (b"\xff\xf8\xc5\x08\x05", b"\xff\xf8\xc9\x18\x05", b"\xff\xf8\xc5\x1c\x05", b"\xff\xf8\x05\x18\x05"):
        assert found(other) == []
    for wrong in (b"\xff\xf8\xcf\x18\x05", b"\xff\xf8\xc5\xb8\x05", b"\xff\xf8\xc5\x19\x05", b"\xff\xf8\xc5\x18\x80"):
        assert found(wrong) == []
    assert found(b"\xff\xf8\xc5\x18\xff\x80\x80") == []
    assert found(b"\xff\xf8\xc5\x18\xc2\x05") == []


def test_the_first_frame_is_looked_for_behind_all_blocks(tune: Any, encoded: Any) -> None:
    data = encoded(tune(1), format="FLAC")
    picture = b"\x06" + (300_000).to_bytes(3, "big") + bytes(300_000)
    padded = data[:4] + b"\0" + data[5:42] + picture + data[42:]
    assert first_frame(reader(padded), 1 << 20) == first_frame(reader(data), 1 << 20) is not None
    assert first_frame(reader(padded), 1 << 18) is None
    assert first_frame(reader(padded[:5000]), 1 << 20) is None
    assert first_frame(reader(data[:4] + b"\0" + data[5:42] + b"\0\0\0\0" * 5000), 1 << 20) is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 9000), st.binary(max_size=60)), max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_damage_keeps_the_time_or_is_an_error_of_ours(damage: list[tuple[int, int, bytes]]) -> None:
    data = TUNE
    for at, size, filler in damage:
        at %= len(data)
        data = data[:at] + filler + data[at + size :]
    with contextlib.suppress(AudioError):
        heard, flaws = decoded(data)
        size = min(len(heard), len(WHOLE))
        # What is heard is what was there, or silence.
        assert ((heard[:size] == WHOLE[:size]) | (heard[:size] == 0)).all()
        if not flaws.truncated and not flaws.holes:
            assert np.array_equal(heard, WHOLE)


def _tune() -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(1).integers(1, 3000, 60_000).astype(np.int16), 16_000, format="FLAC")
    return out.getvalue()


TUNE = _tune()
WHOLE = decoded(TUNE)[0]
