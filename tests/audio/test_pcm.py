"""Raw samples of every format, against libsndfile, which wrote its own tables."""

from __future__ import annotations

import array
import io
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile

from clova_speech_async.audio import PCM, SampleFormat, cut, load, measure
from clova_speech_async.audio.samples import block_of, sample_format
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

RAW = {
    "u8": ("PCM_U8", "FILE"),
    "s8": ("PCM_S8", "FILE"),
    "s16le": ("PCM_16", "LITTLE"),
    "s16be": ("PCM_16", "BIG"),
    "s24le": ("PCM_24", "LITTLE"),
    "s24be": ("PCM_24", "BIG"),
    "s32le": ("PCM_32", "LITTLE"),
    "s32be": ("PCM_32", "BIG"),
    "f32le": ("FLOAT", "LITTLE"),
    "f32be": ("FLOAT", "BIG"),
    "f64le": ("DOUBLE", "LITTLE"),
    "f64be": ("DOUBLE", "BIG"),
    "mulaw": ("ULAW", "FILE"),
    "alaw": ("ALAW", "FILE"),
}


def raw(samples: Any, subtype: str, endian: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, 16_000, format="RAW", subtype=subtype, endian=endian)
    return out.getvalue()


def test_the_names_of_the_formats_are_those_that_are_accepted() -> None:
    assert set(get_args(SampleFormat)) == set(RAW)
    for name in get_args(SampleFormat):
        assert PCM(bytes(24), 16_000, 1, name).sample_format == name
    with pytest.raises(InvalidArgumentError) as caught:
        PCM(b"", 16_000, 1, "s16")  # type: ignore[arg-type]
    assert all(name in str(caught.value) for name in get_args(SampleFormat))


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_every_sample_format_is_what_libsndfile_reads(name: str, channels: int) -> None:
    samples = np.random.default_rng(1).uniform(-0.9, 0.9, (500, channels))
    subtype, endian = RAW[name]
    data = raw(samples, subtype, endian)
    block = sample_format(name).decode(data, channels)
    assert block.shape == (500, channels)
    ours = block / 32768 if block.dtype == np.int16 else block
    theirs, _ = soundfile.read(
        io.BytesIO(data), format="RAW", subtype=subtype, endian=endian, samplerate=16_000, channels=channels
    )
    assert np.allclose(ours, theirs.reshape(500, channels), atol=1e-6)


@pytest.mark.parametrize("name", ["mulaw", "alaw"])
def test_every_byte_of_telephony_is_what_libsndfile_reads(name: str) -> None:
    every = bytes(range(256))
    subtype, endian = RAW[name]
    theirs, _ = soundfile.read(
        io.BytesIO(every), format="RAW", subtype=subtype, endian=endian, samplerate=8000, channels=1, dtype="int16"
    )
    assert np.array_equal(sample_format(name).decode(every, 1)[:, 0], theirs)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">i2", ">f4"])
def test_arrays_of_any_number_type_sound_the_same(kind: str, talk: Any, heard: Any) -> None:
    plain = talk(3).samples
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        array = (plain / 32768).astype(dtype)
    else:
        # The highest bits of 64 are the sample, and the highest bit of an unsigned one is turned over.
        wide = plain.astype(np.int64).view(np.uint64) << np.uint64(48)
        wide ^= np.uint64(1 << 63) if dtype.kind == "u" else np.uint64(0)
        array = (wide >> np.uint64(64 - 8 * dtype.itemsize)).astype(dtype)
    out = heard(load(PCM(array, 16_000)).data)
    room = {"i1": 256, "u1": 256, "f2": 16}.get(kind, 1)
    assert np.abs(out.astype(int) - plain.astype(int)).max() <= room


def test_channels_come_from_the_shape(talk: Any, heard: Any) -> None:
    mono = talk(3).samples
    array = np.stack([mono, np.zeros_like(mono)], axis=1)
    pcm = PCM(array, 16_000)
    assert pcm.channels == 2
    assert np.abs(heard(load(pcm).data) - np.rint(mono / 2)).max() <= 1
    assert PCM(array, 16_000, channels=2).channels == 2
    assert PCM(mono.reshape(-1, 1), 16_000).channels == 1


def test_what_discord_gives(talk: Any, heard: Any) -> None:
    mono = np.repeat(talk(3).samples, 3)
    stereo = np.stack([mono, mono], axis=1)
    piece = load(PCM(stereo.tobytes(), 48_000, channels=2))
    assert piece.seconds == pytest.approx(len(mono) / 48_000, abs=0.001)
    assert np.abs(heard(piece.data)).max() > 3000


def test_files_and_pipes_of_samples(talk: Any, pipe: Any) -> None:
    data = talk(3).samples.tobytes()
    expected = load(PCM(data, 16_000))
    for form in (bytearray(data), memoryview(data), io.BytesIO(data), pipe(data)):
        assert load(PCM(form, 16_000)) == expected
    for form in (io.BytesIO(data + b"\1"), pipe(data + b"\1")):
        assert load(PCM(form, 16_000)) == expected, "half a sample at the end is none"


@pytest.mark.parametrize(
    ("size", "channels", "name", "rest"),
    [(16_001, 1, "s16le", 1), (16_002, 2, "s16le", 2), (16_001, 1, "s24le", 2), (12, 1, "f64le", 4)],
)
def test_bytes_that_end_within_a_frame_are_refused(size: int, channels: int, name: str, rest: int) -> None:
    for data in (bytes(size), bytearray(size), memoryview(bytes(size))):
        with pytest.raises(InvalidArgumentError, match=f"has {size} bytes.*{name}.*cut off the last {rest}$"):
            PCM(data, 16_000, channels, name)
    words = memoryview(bytes(4 * size)).cast("i")
    assert PCM(words, 16_000, channels, "s16le").data is words, "its length is counted in bytes"


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("shape", [(40_000,), (20_000, 2)])
def test_samples_that_are_no_numbers_are_refused(wrong: float, kind: str, shape: tuple[int, ...]) -> None:
    samples = np.zeros(shape, kind)
    samples[18_000] = wrong
    for function in (load, measure, lambda audio: list(cut(audio))):
        with pytest.raises(InvalidArgumentError, match=rf"is {wrong} at 1\.125 s.*nan_to_num"):
            function(PCM(samples, 16_000))


@pytest.mark.parametrize(
    ("peak", "remedy"), [(30_000, "by 32768"), (-32_768, "by 32768"), (8e6, "by 8388608"), (2e9, "by 2147483648")]
)
def test_floats_with_the_values_of_integers_are_refused(peak: float, remedy: str) -> None:
    samples = np.zeros(40_000, np.float32)
    samples[39_000] = peak
    for audio in (PCM(samples, 16_000), PCM(samples.tobytes(), 16_000, sample_format="f32le")):
        with pytest.raises(InvalidArgumentError, match=rf"1\.0 is full scale: divide {remedy}, or give the integers"):
            load(audio)


def test_floats_of_the_wrong_byte_order_are_refused() -> None:
    samples = np.random.default_rng(1).uniform(-1, 1, 8000).astype(">f4")
    with pytest.raises(InvalidArgumentError, match="where it comes from|where they come from"):
        load(PCM(io.BytesIO(samples.tobytes()), 16_000, sample_format="f32le"))
    with pytest.raises(InvalidArgumentError, match="1e\\+300, but 1.0 is full scale: check where they come from"):
        load(PCM(np.full(100, 1e300), 16_000))


def test_a_mix_over_full_scale_is_limited(heard: Any) -> None:
    out = heard(load(PCM(np.array([1.5, -99.0, 0.25] * 1000), 16_000)).data)
    assert out[:3].tolist() == [32767, -32768, 8192]


def test_samples_of_16_bits_that_were_cast_are_refused(talk: Any) -> None:
    samples = talk(3).samples
    full = np.append(samples, np.int16([-32768, 32767]))
    offset = (samples.astype("int32") + 32768).astype("uint16")
    for data, to in (
        (samples.astype("int32"), "int16"),
        (full.astype("int32"), "int16"),
        (full.astype(">i4"), "int16"),
        (full.astype("int64"), "int16"),
        (full.astype("uint32"), "int16"),
        (full.astype("uint64"), "int16"),
        (offset.astype("int32"), "uint16"),
        (offset.astype("uint32"), "uint16"),
        (np.stack([samples, samples], 1).astype("int32"), "int16"),
        (samples.astype("int32")[::2], "int16"),
    ):
        words = rf'{data.dtype}, but all its values fit into 16 bits, .* array\.astype\("{to}"\)'
        with pytest.raises(InvalidArgumentError, match=words):
            load(PCM(data, 16_000))
        with pytest.raises(InvalidArgumentError, match=words):
            next(cut(PCM(data, 16_000)))


def test_the_remedies_for_samples_that_were_cast_work(talk: Any, heard: Any) -> None:
    samples = talk(3).samples
    wanted = heard(load(PCM(samples, 16_000)).data)
    for data in (
        samples.astype("int32").astype("int16"),
        samples.astype("uint32").astype("int16"),
        (samples.astype("int32") + 32768).astype("uint32").astype("uint16"),
        (samples.astype("int32") << 8) << 8,
        ((samples.astype("int64") << 8) << 8).astype("int32"),
        (samples.astype("int64") << 16).astype("int32"),
    ):
        assert np.abs(heard(load(PCM(data, 16_000)).data).astype(int) - wanted).max() <= 1


def test_samples_of_24_or_32_bits_that_were_cast(talk: Any, caplog: pytest.LogCaptureFixture) -> None:
    wide = talk(3).samples.astype("int64") << 16
    wide += np.random.default_rng(1).integers(0, 65536, wide.shape)
    with pytest.raises(InvalidArgumentError, match=r'fit into 32 bits, .* give array\.astype\("int32"\)'):
        load(PCM(wide, 16_000))
    with pytest.raises(InvalidArgumentError, match=r'24 bits, .* give \(array << 8\)\.astype\("int32"\)'):
        load(PCM(wide >> 8, 16_000))
    assert caplog.messages == []
    load(PCM((wide >> 8).astype("int32"), 16_000))  # a recording that is 48 dB too quiet may be one, too
    assert caplog.messages == [
        "the array is int32, but all its values fit into 24 bits: if they are samples of 24 bits, give array << 8"
    ]


def test_quiet_samples_of_32_bits_are_let_through(talk: Any, caplog: pytest.LogCaptureFixture) -> None:
    samples = talk(3).samples.astype("int32")
    for data in (
        samples << 16,
        samples << 8,  # a 24-bit converter 48 dB below full scale
        samples + np.append(np.int32(1 << 24), np.zeros(len(samples) - 1, "int32")),
        (samples.astype("int64") << 16) + (1 << 31),
        *(np.zeros(16_000, kind) for kind in ("int32", "int64", "uint32", "int16")),
        samples.astype("int16") >> 8,
    ):
        kind = "uint32" if data.dtype == "int64" and data.any() else data.dtype
        load(PCM(data.astype(kind), 16_000))
    assert caplog.messages == []
    load(PCM((samples >> 8) << 8, 16_000))  # less than 96 dB below, but in the upper bytes
    assert len(caplog.messages) == 1
    assert "if they are samples of 16 bits" in caplog.text


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF"])
def test_a_file_with_a_header_is_not_samples(form: str, talk: Any, encoded: Any, pipe: Any) -> None:
    data = encoded(talk(1).samples, format=form)
    data = data[: len(data) // 2 * 2]
    for audio in (data, io.BytesIO(data), pipe(data)):
        with pytest.raises(InvalidArgumentError, match=f"is a whole {form} file.*without PCM"):
            load(PCM(audio, 16_000))


def test_what_can_be_made_samples_says_how() -> None:
    with pytest.raises(ArgumentTypeError, match=r"not array: give what its \.tobytes\(\) gives"):
        PCM(array.array("h", [1, 2]), 16_000)
    with pytest.raises(ArgumentTypeError, match=r"not list: make an array of it, numpy\.array\(data"):
        PCM([0.5], 16_000)
    with pytest.raises(ArgumentTypeError, match="Path: open the file with 'rb'"):
        PCM(Path("a.raw"), 16_000)
    with pytest.raises(ArgumentTypeError, match="not float: give 16000$"):
        PCM(b"", 16_000.0)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="not dict$"):
        PCM({}, 16_000)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("a path", 16_000), "open the file with 'rb'"),
        ((None, 16_000), "NoneType"),
        ((b"", "16000"), "sample_rate"),
        ((b"", True), "sample_rate"),
        ((b"", 16_000, 1.5), "channels"),
        ((b"", 16_000, 1, 5), "sample_format"),
        ((np.zeros(4, complex), 16_000), "complex128"),
        ((np.zeros(4, bool), 16_000), "bool"),
    ],
)
def test_wrong_types_are_named(arguments: tuple[Any, ...], names: str) -> None:
    with pytest.raises(ArgumentTypeError, match=names):
        PCM(*arguments)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ((b"", 0), "sample_rate=0"),
        ((b"", 10**9), "sample_rate=1000000000"),
        ((b"", 16_000, 0), "channels=0"),
        ((b"", 16_000, 65), "channels=65"),
        ((b"", 16_000, 1, "s16"), 'did you mean "s16le"'),
        ((b"", 16_000, 1, "xyzzy"), "is not known: known are u8"),
        ((np.zeros((2, 2, 2)), 16_000), r"\(2, 2, 2\)"),
        ((np.zeros((2, 3)), 16_000, 2), "has 3"),
        ((np.zeros(4), 16_000, 2), "reshape"),
        ((np.zeros((2, 48_000)), 16_000), "transpose"),
        ((np.zeros((4, 0)), 16_000), "channels=0"),
    ],
)
def test_wrong_values_are_named(arguments: tuple[Any, ...], names: str) -> None:
    with pytest.raises(InvalidArgumentError, match=names):
        PCM(*arguments)


def test_samples_are_not_in_the_repr() -> None:
    assert "secret" not in repr(PCM(b"secret", 16_000))


def test_sixteen_bits_stay_untouched() -> None:
    samples = np.array([[1], [-32768], [32767]], np.int16)
    assert block_of(samples).dtype == np.int16
    assert np.shares_memory(block_of(samples), samples)
