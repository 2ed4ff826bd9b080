"""The whole way from a recording to its pieces."""

from __future__ import annotations

import gc
import hashlib
import io
import itertools
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from clova_speech_async.audio import PCM, Splitting, cut, measure, quick
from clova_speech_async.errors import AudioReadError, AudioTooLongError, CorruptAudioError, EmptyAudioError

RATE = 16_000


def pcm(samples: Any) -> PCM:
    return PCM(samples, RATE)


def spoil(kind: str, samples: Any) -> Any:
    random = np.random.default_rng(7)
    x = samples.astype(np.float64)
    time = np.arange(len(x)) / RATE
    loud = np.sqrt((x[x != 0] ** 2).mean())
    if kind == "noise":
        x = x + random.normal(0, loud / 10, len(x))
    elif kind == "hum":
        x = x + 0.3 * loud * np.sin(2 * np.pi * 60 * time)
    elif kind == "fading":
        x = x * 10 ** ((-15 + 15 * np.cos(2 * np.pi * time / 60)) / 20)
    elif kind == "telephone":
        return soxr.resample(samples, RATE, 8000)
    elif kind == "clipped":
        x = np.clip(x * 8, -8000, 8000)
    return np.clip(np.rint(x), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("shortest", [0.1, 0.25])
@pytest.mark.parametrize("kind", ["clean", "noise", "hum", "fading", "telephone", "clipped"])
def test_no_cut_is_inside_a_word(kind: str, shortest: float, talk: Any, hurt: Any) -> None:
    speech = talk(400, shortest, 0.4, seed=11)
    samples = spoil(kind, speech.samples)
    pieces = list(cut(PCM(samples, 8000 if kind == "telephone" else RATE)))
    assert len(pieces) >= 7
    assert hurt(pieces, speech.words) == []
    assert all(piece.seconds <= 60 and len(piece.data) <= 10_000_000 for piece in pieces)


@pytest.mark.parametrize("kind", ["clean", "noise", "hum", "fading", "telephone", "clipped"])
def test_no_cut_is_in_the_closure_inside_a_word(kind: str, speech: Any, hurt: Any) -> None:
    """Every word has a silence of 60 to 120 ms, as before p, t and k, and 150 to 300 ms are between words."""
    random = np.random.default_rng(3)
    gaps = [gap for _ in range(600) for gap in (random.uniform(0.06, 0.12), random.uniform(0.15, 0.3))]
    said = speech([*gaps, 0.1], seed=12)
    words = [(begin, end) for (begin, _), (_, end) in zip(said.words[::2], said.words[1::2], strict=True)]
    samples = spoil(kind, said.samples)
    pieces = list(cut(PCM(samples, 8000 if kind == "telephone" else RATE)))
    assert len(pieces) >= 9
    assert hurt(pieces, words) == []
    assert sum(piece.billed_seconds for piece in pieces) <= said.seconds + 30


def test_continuous_speech_bills_at_most_a_unit_over_a_hard_cut_at_every_minute(talk: Any) -> None:
    speech = talk(1500, 0.1, 0.3, seed=5)
    pieces = list(cut(pcm(speech.samples)))
    hard = -(-speech.seconds // 15) * 15
    assert sum(piece.billed_seconds for piece in pieces) <= hard + 15
    assert [piece.index for piece in pieces] == list(range(len(pieces)))


def test_long_silence_is_not_paid_for(speech: Any, hurt: Any) -> None:
    said = speech(([0.3] * 20 + [25.0]) * 12, lead=70.0, tail=200.0)
    pieces = list(cut(pcm(said.samples)))
    assert hurt(pieces, said.words) == []
    assert sum(piece.billed_seconds for piece in pieces) < 0.6 * said.seconds
    estimate = measure(pcm(said.samples))
    assert estimate.requests == len(pieces)
    assert estimate.billed_seconds == sum(piece.billed_seconds for piece in pieces)
    assert estimate.duration == pytest.approx(said.seconds)
    assert estimate.speech_seconds == pytest.approx(sum(end - begin for begin, end in said.words), rel=0.05)


def test_a_piece_holds_the_samples_of_its_place_in_time(talk: Any, heard: Any) -> None:
    speech = talk(150)
    for piece in cut(pcm(speech.samples)):
        part = speech.samples[round(piece.start * RATE) : round(piece.end * RATE)]
        assert np.array_equal(heard(piece.data), part)
        assert piece.seconds == len(part) / RATE
        assert not piece.original
        assert piece.channel is None


def test_words_keep_their_padding(speech: Any) -> None:
    said = speech([0.3] * 30 + [30.0] + [0.3] * 30, lead=2.0, tail=2.0)
    first, second = cut(pcm(said.samples), Splitting(padding=0.2))
    for edge, word in ((first.start, said.words[0][0]), (second.start, said.words[31][0])):
        assert 0.15 < word - edge < 0.25
    for edge, word in ((first.end, said.words[30][1]), (second.end, said.words[-1][1])):
        assert 0.15 < edge - word < 0.25


def test_what_fits_goes_as_it_is(talk: Any, encoded: Any) -> None:
    data = encoded(talk(30).samples, format="FLAC")
    (piece,) = cut(data)
    assert piece.original
    assert piece.data == data
    assert piece.digest == hashlib.sha256(data).digest()
    assert piece.seconds == pytest.approx(30, abs=2)
    assert measure(data).billed_seconds == piece.billed_seconds


def test_what_fits_is_cut_where_that_is_cheaper(speech: Any, encoded: Any) -> None:
    said = speech([0.3] * 5, lead=14.0, tail=14.0)
    (piece,) = cut(encoded(said.samples))
    assert not piece.original
    assert piece.billed_seconds == 15
    assert measure(encoded(said.samples)).billed_seconds == 15


def test_silence_costs_nothing_and_says_so(encoded: Any) -> None:
    for data in (encoded(np.zeros(20 * RATE, np.int16)), encoded(np.zeros(600 * RATE, np.int16), format="FLAC")):
        assert list(cut(data)) == []
        estimate = measure(data)
        assert (estimate.requests, estimate.billed_seconds, estimate.speech_seconds) == (0, 0, 0.0)
        assert estimate.duration in (20.0, 600.0)


def test_each_channel_is_a_voice_of_its_own_in_order_of_time(speech: Any, hurt: Any, heard: Any) -> None:
    gaps = ([0.3] * 25 + [20.0]) * 6
    left, right = speech(gaps, seed=1), speech(gaps, seed=2, lead=11.0)
    both = np.zeros((max(len(left.samples), len(right.samples)), 2), np.int16)
    both[: len(left.samples), 0] = left.samples
    both[: len(right.samples), 1] = right.samples
    pieces = list(cut(pcm(both), Splitting(channels="each")))
    assert {piece.channel for piece in pieces} == {0, 1}
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
    for channel, said in ((0, left), (1, right)):
        mine = [piece for piece in pieces if piece.channel == channel]
        assert hurt(mine, said.words) == []
        for piece in mine:
            part = both[round(piece.start * RATE) : round(piece.end * RATE), channel]
            assert np.array_equal(heard(piece.data), part)


def test_a_stereo_file_is_never_as_it_is_where_each_channel_is_asked_for(talk: Any, encoded: Any) -> None:
    mono = talk(8).samples
    data = encoded(np.stack([mono, mono // 2], axis=1))
    assert [piece.original for piece in cut(data)] == [True]
    pieces = list(cut(data, Splitting(channels="each")))
    assert [(piece.original, piece.channel) for piece in pieces] == [(False, 0), (False, 1)]
    assert [piece.channel for piece in cut(encoded(mono), Splitting(channels="each"))] == [None]


@pytest.mark.parametrize("kind", ["tone", "noise", "chord"])
def test_music_without_pause_gives_pieces_within_the_limits(kind: str) -> None:
    time = np.arange(200 * RATE) / RATE
    sound = {
        "tone": np.sin(2 * np.pi * 330 * time),
        "noise": np.random.default_rng(1).uniform(-1, 1, len(time)),
        "chord": sum(np.sin(2 * np.pi * hertz * time) * (1.2 + np.sin(time * hertz / 100)) for hertz in (220, 277, 330))
        / 8,
    }[kind]
    pieces = list(cut(pcm((12_000 * sound).astype(np.int16))))
    assert all(0 < piece.seconds <= 60 for piece in pieces)
    assert (pieces[0].start, pieces[-1].end) == (0.0, 200.0)
    # Between two beats of a chord it is quiet for a moment, and of that a tenth of a second may be left out.
    most = 0.3 if kind == "chord" else 0.0
    assert all(0 <= after.start - before.end <= most for before, after in itertools.pairwise(pieces))
    assert len(pieces) == 4


def test_a_shorter_longest_piece_is_kept(talk: Any, hurt: Any) -> None:
    speech = talk(100)
    pieces = list(cut(pcm(speech.samples), Splitting(longest_piece=10.0)))
    assert max(piece.seconds for piece in pieces) <= 10
    assert hurt(pieces, speech.words) == []


def test_a_stream_gives_the_pieces_of_its_file(talk: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(talk(200).samples, format="WAV")
    file = list(cut(data))
    assert list(cut(pipe(data))) == file
    assert list(cut(io.BytesIO(data))) == file


def test_pieces_leave_while_the_rest_is_read(talk: Any, encoded: Any, pipe: Any) -> None:
    samples = talk(420).samples
    for form in ("WAV", "FLAC", "MP3"):
        data = encoded(samples, format=form)
        reader = pipe(data)
        pieces = cut(reader)
        next(pieces)
        assert reader.at < 0.6 * len(data), form
        pieces.close()


def test_a_short_stream_goes_as_it_is(talk: Any, encoded: Any, pipe: Any) -> None:
    for form in ("WAV", "FLAC", "MP3", "OGG"):
        data = encoded(talk(9).samples, format=form)
        (piece,) = cut(pipe(data))
        assert piece.data == data, form


def test_max_duration_stops_reading(talk: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(talk(300).samples)
    reader = pipe(data)
    with pytest.raises(AudioTooLongError, match=r"max_duration=20\.0") as caught:
        list(cut(reader, Splitting(max_duration=20.0)))
    assert caught.value.limit == 20.0
    assert reader.at < 0.2 * len(data)
    with pytest.raises(AudioTooLongError):
        measure(data, Splitting(max_duration=20.0))


def test_a_bomb_stops_at_max_duration(encoded: Any) -> None:
    bomb = encoded(np.zeros(1200 * RATE, np.int16), format="FLAC")
    assert len(bomb) < 200_000
    with pytest.raises(AudioTooLongError):
        list(cut(bomb, Splitting(max_duration=60.0)))


def test_the_callers_file_stays_open_and_a_path_is_closed(talk: Any, encoded: Any, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(encoded(talk(70).samples))
    with path.open("rb") as file:
        assert len(list(cut(file))) >= 2
        assert not file.closed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pieces = cut(path)
        next(pieces)
        pieces.close()
        assert len(list(cut(str(path)))) >= 2
        gc.collect()


def test_a_file_is_read_from_where_it_stands(talk: Any, encoded: Any) -> None:
    data = encoded(talk(8).samples)
    file = io.BytesIO(b"some header" + data)
    file.seek(11)
    (piece,) = cut(file)
    assert piece.data == data


def test_no_temporary_file_is_left(talk: Any, encoded: Any, pipe: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = encoded(talk(150).samples, format="OGG")
    pieces = cut(pipe(data))
    next(pieces)
    pieces.close()
    with pytest.raises(CorruptAudioError):
        list(cut(pipe(data[:400])))
    assert os.listdir(tmp_path) == []


def test_a_reader_that_fails_halfway_is_the_callers_error(talk: Any, encoded: Any, pipe: Any) -> None:
    class Breaking(pipe):  # type: ignore[misc]
        def read(self, size: int) -> bytes:
            if self.at > 400_000:
                raise OSError("the disk went away")
            return bytes(super().read(size))

    for form in ("WAV", "FLAC"):
        with pytest.raises(AudioReadError, match="the disk went away") as caught:
            list(cut(Breaking(encoded(talk(250).samples, format=form))))
        assert isinstance(caught.value.__cause__, OSError)


def test_no_samples_is_an_error_of_its_own(encoded: Any) -> None:
    for nothing in (b"", encoded(np.zeros(0, np.int16)), pcm(np.zeros(0, np.int16)), PCM(b"", 8000)):
        with pytest.raises(EmptyAudioError):
            list(cut(nothing))


def test_the_end_of_the_generator_tells_the_length(talk: Any) -> None:
    speech = talk(70)

    pieces = cut(pcm(speech.samples))
    length = []

    def run() -> Iterator[Any]:
        length.append((yield from pieces))

    assert len(list(run())) >= 2
    assert length == [pytest.approx(speech.seconds)]


_DIGESTS = """
import sys, hashlib, numpy as np
from clova_speech_async.audio import PCM, cut
samples = np.frombuffer(open(sys.argv[1], "rb").read(), "<i2")
for piece in cut(PCM(samples, 16000)):
    print(piece.start, piece.end, piece.digest.hex())
"""


def test_another_process_gives_the_same_pieces(talk: Any, tmp_path: Path) -> None:
    samples = talk(200).samples
    path = tmp_path / "samples"
    path.write_bytes(samples.tobytes())
    ours = "".join(f"{piece.start} {piece.end} {piece.digest.hex()}\n" for piece in cut(pcm(samples)))
    environment = {**os.environ, "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", _DIGESTS, str(path)], capture_output=True, text=True, env=environment, check=True
    )
    assert run.stdout == ours


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_any_rate_keeps_its_time(rate: int, talk: Any, hurt: Any) -> None:
    speech = talk(70)
    samples = soxr.resample(speech.samples, RATE, rate)
    pieces = list(cut(PCM(samples, rate)))
    assert hurt(pieces, speech.words) == []


def test_flat_memory_and_time_for_an_hour_of_silence(pipe: Any) -> None:
    class Zeros:
        left = 3600 * RATE * 2
        largest = 0

        def read(self, size: int) -> bytes:
            self.largest = max(self.largest, size)
            part = bytes(min(size, self.left))
            self.left -= len(part)
            return part

    reader = Zeros()
    assert list(cut(PCM(reader, RATE))) == []
    assert reader.left == 0
    assert reader.largest < 1_000_000


def test_any_callable_reader_type_is_typed(talk: Callable[..., Any]) -> None:
    memory = memoryview(bytearray(talk(3).samples.tobytes()))
    assert len(list(cut(PCM(memory, RATE)))) == 1


def test_a_short_recording_costs_the_same_however_it_comes(encoded: Any) -> None:
    silent = encoded(np.full(5 * RATE, 1, np.int16))
    (piece,) = cut(io.BytesIO(silent))
    assert piece == quick(silent)
    assert measure(io.BytesIO(silent)).billed_seconds == piece.billed_seconds == 15
