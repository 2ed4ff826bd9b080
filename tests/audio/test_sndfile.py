"""What libsndfile reads, and what it must not make of damage."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import soundfile

from clova_speech_async.audio import PCM, cut, load, measure
from clova_speech_async.audio.formats import FLAC, MP3, Kind
from clova_speech_async.audio.sndfile import open_sound
from clova_speech_async.audio.source import open_source
from clova_speech_async.errors import AudioError, CorruptAudioError, EmptyAudioError, UnsupportedFormatError

WRITABLE = [
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("WAV", subtype) for subtype in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "NMS_ADPCM_32", "MPEG_LAYER_III")),
    *(("RF64", subtype) for subtype in ("PCM_16", "FLOAT")),
    *(("W64", subtype) for subtype in ("PCM_16", "DOUBLE")),
    *(("AIFF", subtype) for subtype in ("PCM_16", "PCM_24", "FLOAT", "IMA_ADPCM")),
    *(("AU", subtype) for subtype in ("PCM_16", "ULAW", "ALAW", "FLOAT")),
    *(("CAF", subtype) for subtype in ("PCM_16", "ALAC_16", "FLOAT")),
    *(("FLAC", subtype) for subtype in ("PCM_S8", "PCM_16", "PCM_24")),
    *(("OGG", subtype) for subtype in ("VORBIS", "OPUS")),
    ("MP3", "MPEG_LAYER_III"),
    ("VOC", "PCM_16"),
    ("NIST", "PCM_16"),
]


@pytest.mark.parametrize(("form", "subtype"), WRITABLE)
def test_every_format_gives_its_samples(form: str, subtype: str, talk: Any, encoded: Any, pipe: Any) -> None:
    rate = 8000 if subtype in ("GSM610", "NMS_ADPCM_32") else 16_000
    samples = talk(4).samples[:: 16_000 // rate]
    try:
        data = encoded(samples, rate, format=form, subtype=subtype)
    except (soundfile.LibsndfileError, ValueError):
        pytest.skip("this libsndfile does not write it")
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    for audio in (data, pipe(data)):
        (piece,) = cut(audio)
        out, out_rate = soundfile.read(io.BytesIO(load(audio if audio is data else pipe(data)).data), dtype="float32")
        assert piece.start < 0.1
        assert len(out) / out_rate == pytest.approx(len(expected) / rate, abs=0.03)
        if out_rate == rate:
            size = min(len(out), len(expected))
            assert np.abs(out[:size] - expected[:size]).max() < 0.01


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
def test_any_rate_and_channels(rate: int, channels: int, talk: Any, encoded: Any) -> None:
    mono = np.repeat(talk(3).samples, -(-rate // 16_000))[: 2 * rate]
    data = encoded(np.stack([mono] * channels, axis=1), rate, format="FLAC")
    piece = load(data)
    assert piece.seconds == pytest.approx(len(mono) / rate, abs=0.001)
    assert piece.original is (rate >= 16_000)


def test_damage_in_the_middle_is_an_error_of_ours(talk: Any, encoded: Any) -> None:
    data = bytearray(encoded(talk(20).samples, format="FLAC"))
    middle = len(data) // 2
    data[middle:] = bytes(len(data) - middle)
    with pytest.raises(CorruptAudioError, match="FLAC that cannot be decoded"):
        load(bytes(data))


def test_a_tag_behind_flac_is_no_damage(talk: Any, encoded: Any, pipe: Any) -> None:
    samples = talk(20).samples
    data = encoded(samples, format="FLAC") + b"TAG" + b"\xff\xf8" * 62 + b"x"
    for audio in (data, pipe(data)):
        assert load(audio).seconds == len(samples) / 16_000


@pytest.mark.parametrize("form", ["FLAC", "OGG"])
def test_a_file_of_another_rate_and_other_channels_behind_one_is_heard(form: str, talk: Any, encoded: Any) -> None:
    one = talk(4).samples
    mono, other = encoded(one, format=form), encoded(np.resize(one, 3 * 22_050), 22_050, format=form)
    stereo = encoded(np.stack([one, one], axis=1), format=form)
    found = measure(mono + other + stereo)
    assert found.duration == pytest.approx(2 * len(one) / 16_000 + 3, abs=0.1)
    assert found.announced_duration == pytest.approx(found.duration, abs=0.1)
    assert not found.truncated
    assert measure(stereo + mono).duration == pytest.approx(2 * len(one) / 16_000, abs=0.1)


@pytest.mark.parametrize("form", ["FLAC", "OGG", "WAV"])
def test_what_was_cut_off_is_told(form: str, talk: Any, encoded: Any, pipe: Any, caplog: Any) -> None:
    data = encoded(talk(100).samples, format=form)
    assert not measure(data).truncated
    assert caplog.records == []
    for audio in (data[: len(data) * 7 // 10], pipe(data[: len(data) * 7 // 10])):
        found = measure(audio)
        assert found.truncated
        assert 0.5 * talk(100).seconds < found.duration < 0.9 * talk(100).seconds
        assert form == "OGG" or found.announced_duration == talk(100).seconds
        assert "cut off?" in caplog.records[-1].getMessage()


def test_all_before_damage_is_given_before_the_error(talk: Any, encoded: Any) -> None:
    data = bytearray(encoded(talk(200).samples, format="FLAC"))
    middle = len(data) // 2
    data[middle:] = bytes(len(data) - middle)
    pieces = []
    with pytest.raises(
        CorruptAudioError, match=r"from (\d+\.\d) s of \d+\.\d s on: .* try ffmpeg -i.*partial"
    ) as caught:
        pieces.extend(cut(bytes(data)))
    broken = float(str(caught.value).split(" decoded from ")[1].split()[0])
    assert 0.4 * talk(200).seconds < broken < 0.6 * talk(200).seconds
    assert pieces[-1].end == pytest.approx(broken, abs=1.0)


def test_headers_alone_are_corrupt() -> None:
    for head in (b"fLaC" + bytes(50), b"OggS" + bytes(50), b"FORM\0\0\0\0AIFF" + bytes(9), b".snd" + bytes(30)):
        with pytest.raises(CorruptAudioError):
            load(head)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        *(("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("WAV", None), ("WAV", "IMA_ADPCM")),
        *(("AIFF", None), ("W64", None), ("RF64", None), ("CAF", None), ("AU", None)),
    ],
)
def test_what_is_cut_off_is_damaged_or_empty_and_never_unsupported(
    form: str, subtype: str | None, talk: Any, encoded: Any, pipe: Any
) -> None:
    data = encoded(talk(4).samples, format=form, subtype=subtype)
    errors = 0
    for size in (8, 11, 12, 13, 20, 25, 31, 40, 46, 55, 63, 64, 70, 91, 103, 130, 199, 300, 1000, 3000, len(data) - 9):
        for audio in (data[:size], pipe(data[:size])):
            with contextlib.suppress(AudioError):
                load(audio)
                continue
            with pytest.raises((CorruptAudioError, EmptyAudioError, UnsupportedFormatError)) as caught:
                load(data[:size])
            errors += 1
            assert "internal error" not in str(caught.value)
            # Of W64 sixteen bytes are the mark; fewer are none.
            assert caught.type is not UnsupportedFormatError or (form == "W64" and size < 16)
    assert errors >= 6


def test_the_first_bytes_of_a_flac_are_corrupt(encoded: Any) -> None:
    noise = np.random.default_rng(0).integers(-9000, 9000, 48_000).astype(np.int16)
    data = encoded(noise, format="FLAC")
    # The padding that ffmpeg leaves for tags: what is cut off within it has libsndfile say "unknown error".
    padded = data[:4] + b"\0" + data[5:42] + b"\x01\0\x20\0" + bytes(8192) + data[42:]
    assert load(padded).seconds == 3.0
    for whole in (data, padded):
        with pytest.raises(CorruptAudioError, match="FLAC that cannot be decoded: "):
            load(whole[:3000])


def test_a_whole_file_of_an_unknown_compression_is_not_supported(talk: Any, encoded: Any) -> None:
    data = encoded(talk(1).samples, format="AIFF", subtype="ULAW")
    assert data.count(b"ulaw") == 1
    with pytest.raises(UnsupportedFormatError, match="AIFF of a kind that cannot be read here: .*unimplemented"):
        load(data.replace(b"ulaw", b"what"))


def test_an_id3_tag_alone_is_corrupt() -> None:
    for size in (20, 110):
        with pytest.raises(CorruptAudioError, match="ID3 tag: it was cut off"):
            load((b"ID3\4\0\0\0\0\0\x64" + bytes(100))[:size])


def test_an_impossible_rate_is_corrupt(talk: Any, encoded: Any) -> None:
    data = bytearray(encoded(talk(1).samples, format="AU"))
    data[16:20] = (5).to_bytes(4, "big")
    with pytest.raises(CorruptAudioError, match="1 channels at 5 Hz"):
        load(bytes(data))


def test_speex_in_ogg_is_not_supported() -> None:
    page = b"OggS\0\2" + bytes(8) + b"\1\0\0\0" + bytes(8) + b"\1\x50" + b"Speex   1.2" + bytes(69)
    with pytest.raises((UnsupportedFormatError, CorruptAudioError), match="OGG"):
        load(page)


@pytest.mark.parametrize("kind", [FLAC, MP3])
def test_a_long_pipe_keeps_little(kind: Kind, encoded: Any, pipe: Any) -> None:
    noise = np.random.default_rng(1).integers(-9000, 9000, 60 * 16_000).astype(np.int16)
    data = encoded(noise, format=kind.name) * (2 if kind is FLAC else 8)
    with open_source(pipe(data, 1 << 16)) as source:
        source.forget()
        opened = open_sound(source, 0, kind)
        frames = sum(len(block) for block in opened.blocks)
    assert frames == pytest.approx(len(noise) * (2 if kind is FLAC else 8), rel=0.01)


def test_the_pieces_of_pcm_and_of_its_flac_are_the_same(talk: Any, encoded: Any) -> None:
    samples = talk(130).samples
    assert list(cut(encoded(samples, format="FLAC"))) == list(cut(PCM(samples, 16_000)))
