"""Who reads what, and what may be passed on."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio import PCM
from clova_speech_async.audio.cutting import close_decoded
from clova_speech_async.audio.decode import open_audio
from clova_speech_async.errors import EmptyAudioError, UnsupportedFormatError


def walk(audio: Any) -> tuple[int, int, int, bool]:
    """Rate, channels, frames, and whether it may be passed on."""
    decoded = open_audio(audio)
    try:
        frames = 0
        for block in decoded.blocks:
            assert block.ndim == 2
            assert block.shape[1] == decoded.channels
            assert block.dtype in (np.int16, np.float32)
            assert len(block) <= decoded.rate
            frames += len(block)
        return decoded.rate, decoded.channels, frames, decoded.passable
    finally:
        close_decoded(decoded)


@pytest.mark.parametrize(
    ("form", "subtype", "rate", "passable"),
    [
        ("WAV", "PCM_16", 16_000, True),
        ("WAV", "PCM_24", 44_100, True),
        ("WAV", "PCM_U8", 16_000, True),
        ("WAV", "PCM_16", 8000, False),
        ("WAV", "FLOAT", 16_000, False),
        ("WAV", "ULAW", 16_000, False),
        ("WAV", "IMA_ADPCM", 16_000, False),
        ("RF64", "PCM_16", 16_000, False),
        ("FLAC", "PCM_16", 16_000, True),
        ("FLAC", "PCM_24", 48_000, True),
        ("FLAC", "PCM_16", 8000, False),
        ("MP3", None, 44_100, True),
        ("OGG", "VORBIS", 16_000, True),
        ("OGG", "OPUS", 48_000, True),
        ("AIFF", None, 16_000, False),
        ("AU", None, 16_000, False),
    ],
)
def test_only_what_the_service_names_may_be_passed_on(
    form: str, subtype: str | None, rate: int, passable: bool, encoded: Any, talk: Any
) -> None:
    samples = np.stack([talk(2).samples] * 2, axis=1)
    found = walk(encoded(samples, rate, format=form, subtype=subtype))
    assert (found[0], found[1], found[3]) == (rate, 2, passable)
    assert found[2] == pytest.approx(len(samples), abs=1100)


def test_arrays_and_raw_samples_are_never_passed_on(talk: Any) -> None:
    samples = talk(2).samples
    for audio in (PCM(samples, 16_000), PCM(samples.tobytes(), 16_000)):
        assert walk(audio) == (16_000, 1, len(samples), False)


def test_a_header_that_does_not_fit_into_one_look_is_read(talk: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(talk(2).samples)
    long = data[:12] + b"JUNK" + (200_000).to_bytes(4, "little") + bytes(200_000) + data[12:]
    assert walk(pipe(long))[2] == walk(data)[2]


@pytest.mark.parametrize("nothing", [b"", PCM(b"", 16_000)])
def test_nothing_is_empty_or_has_no_frames(nothing: Any) -> None:
    if isinstance(nothing, bytes):
        with pytest.raises(EmptyAudioError, match="no bytes"):
            open_audio(nothing)
    else:
        assert walk(nothing)[2] == 0


def test_text_named_wav_shows_its_beginning() -> None:
    with pytest.raises(UnsupportedFormatError, match="b'hello world'"):
        open_audio(b"hello world")


def test_a_file_given_from_its_middle_says_where_it_stands(talk: Any, encoded: Any) -> None:
    file = io.BytesIO(encoded(talk(1).samples))
    file.seek(44)
    with pytest.raises(UnsupportedFormatError, match=r"at byte 44, where it stands \(seek\(0\) goes back\)"):
        open_audio(file)


def test_some_tags_in_front_are_passed_over_and_not_thousands(talk: Any, encoded: Any, pipe: Any) -> None:
    tag, data = b"ID3\4\0\0\0\0\0\2\0\0", encoded(talk(2).samples, format="FLAC")
    for audio in (tag * 50 + data, pipe(tag * 50 + data)):
        assert walk(audio) == walk(data)
    # Each look behind one more of them would read all of them anew.
    with pytest.raises(UnsupportedFormatError, match="begins with b'ID3"):
        open_audio(tag * 500 + data)
