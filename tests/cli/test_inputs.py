from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clova_speech_async.audio import formats
from clova_speech_async.cli.aside import LeftOut
from clova_speech_async.cli.inputs import (
    ENDINGS,
    Source,
    as_given,
    find_sources,
    is_pattern,
    readable,
    shown,
    url_of,
)
from clova_speech_async.cli.lists import read_list


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.wav", "a.mp3", "notes.txt", "sub/c.FLAC", "sub/deep/d.ogg", ".hidden/e.wav", "sub/.f.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*names: str) -> list[tuple[str, str]]:
    return [(source.path.as_posix(), source.relative.as_posix()) for source in find_sources(names)]


def test_a_folder_means_the_audio_below_it_in_order(tree: Path) -> None:
    assert found(".") == [
        ("a.mp3", "a.mp3"),
        ("b.wav", "b.wav"),
        ("sub/c.FLAC", "sub/c.FLAC"),
        ("sub/deep/d.ogg", "sub/deep/d.ogg"),
    ]
    assert found("sub") == [("sub/c.FLAC", "c.FLAC"), ("sub/deep/d.ogg", "deep/d.ogg")]


def test_a_named_file_is_taken_whatever_it_is_called(tree: Path) -> None:
    assert found("notes.txt", "sub/.f.wav") == [("notes.txt", "notes.txt"), ("sub/.f.wav", ".f.wav")]


def test_a_pattern_that_the_shell_left_alone(tree: Path) -> None:
    assert found("*.wav") == [("b.wav", "b.wav")]
    assert [path for path, _ in found("**/*.ogg")] == ["sub/deep/d.ogg"]
    assert found("s*") == []  # a folder is not a match


def test_what_is_not_there_comes_out_so_that_it_is_reported(tree: Path) -> None:
    assert found("absent.wav", "*.aac") == [("absent.wav", "absent.wav"), ("*.aac", "*.aac")]


def test_a_file_whose_name_looks_like_a_pattern(tree: Path) -> None:
    (tree / "x[1].wav").write_bytes(b"x")
    assert found("x[1].wav") == [("x[1].wav", "x[1].wav")]


def test_each_file_comes_once(tree: Path) -> None:
    (tree / "link.wav").symlink_to(tree / "b.wav")
    assert [path for path, _ in found("b.wav", "./b.wav", "link.wav", "*.wav", str(tree))] == [
        "b.wav",
        (tree / "a.mp3").as_posix(),
        (tree / "sub/c.FLAC").as_posix(),
        (tree / "sub/deep/d.ogg").as_posix(),
    ]


def test_is_lazy(tree: Path) -> None:
    def names() -> object:
        yield "a.mp3"
        raise AssertionError("asked for more than was needed")

    assert next(find_sources(names())) == Source(  # type: ignore[arg-type]
        Path("a.mp3"), Path("a.mp3"), str(tree / "a.mp3")
    )


def test_a_list_of_files(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"a.wav\r\n\n# b.wav\n  c d.wav \n" + b"\xff.wav")
    assert list(read_list(str(path))) == ["a.wav", "# b.wav", "  c d.wav ", "\udcff.wav"]


PROGRAM = """
import sys, time
from clova_speech_async.cli.lists import read_list
end = []
for name in read_list("-", ended=lambda: bool(end)):
    print(ascii(name), flush=True)
    if name == "stop":
        end.append(1)
"""


@pytest.mark.skipif(os.name != "posix", reason="standard input is read another way there")
def test_standard_input_comes_line_by_line_and_ends_when_it_is_told_to() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one.wav\n\ntwo")
        assert process.stdout.readline() == b"'one.wav'\n"
        process.stdin.write(".wav\n소리.wav\nstop\n".encode())
        assert [process.stdout.readline() for _ in range(3)] == [b"'two.wav'\n", b"'\\uc18c\\ub9ac.wav'\n", b"'stop'\n"]
        assert process.wait(10) == 0  # though nobody has closed the pipe


@pytest.mark.skipif(os.name != "posix", reason="standard input is read another way there")
def test_the_last_line_of_standard_input_needs_no_line_break() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=b"a.wav\nb.wav", capture_output=True, timeout=30)
    assert done.stdout == b"'a.wav'\n'b.wav'\n"


def test_standard_input_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clova_speech_async.cli.lists.os.name", "nt")
    reading, writing = os.pipe()
    with open(reading) as stdin, open(writing, "w") as pipe:
        pipe.write("a.wav\r\nb.wav\n")
        pipe.close()
        monkeypatch.setattr(sys, "stdin", stdin)
        assert list(read_list("-")) == ["a.wav", "b.wav"]


def test_nothing_in_a_name_reaches_the_terminal_but_letters() -> None:
    assert shown("a\x1b[31mb\nc.wav") == "a?[31mb?c.wav"
    assert shown(Path("소리 1.wav")) == "소리 1.wav"
    assert shown("\udcff.wav") == "\N{REPLACEMENT CHARACTER}.wav"


@pytest.mark.parametrize("name", ["a" * 300, "a*" * 200, "x\0y.wav", "\ud800*"])
def test_a_name_that_no_file_can_have_comes_out_so_that_it_is_reported(tree: Path, name: str) -> None:
    assert [str(source.path) for source in find_sources([name, "b.wav"])] == [name, "b.wav"]
    assert not is_pattern(name) or "*" in name


def test_a_name_in_json_is_the_name_as_far_as_it_is_text() -> None:
    assert readable("a\nb 소리.wav") == "a\nb 소리.wav"
    assert readable("\udcff.wav") == "\N{REPLACEMENT CHARACTER}.wav"
    assert readable("\ud800.wav") == "?.wav"


def test_every_format_that_can_be_read_has_its_endings() -> None:
    known = {kind.name for _, _, kind in formats._MAGIC}
    known |= {kind.name for kind in vars(formats).values() if isinstance(kind, formats.Kind)}
    heads = (b"RIFF\0\0\0\0AVI ", b"\x1a\x45\xdf\xa3webm", b"\x1a\x45\xdf\xa3", (b"G" + bytes(187)) * 2)
    known |= {kind.name for kind in map(formats.sniff, heads) if kind is not None}
    assert set(ENDINGS) == known


def test_files_of_every_ending_are_taken_from_a_folder(tmp_path: Path) -> None:
    names = {f"x.{ending}" for endings in ENDINGS.values() for ending in endings.split()} | {"LOUD.WAVE"}
    for name in names:
        (tmp_path / name).touch()
    assert {source.path.name for source in find_sources([str(tmp_path)])} == names
    assert {"x.wave", "x.mpga", "x.snd", "x.rf64", "x.voc", "x.3gp", "x.aif", "x.caf", "x.opus", "x.webm"} <= names


def test_what_is_passed_over_for_its_ending_is_counted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("sub/more.TXT", "README", ".hidden.txt", "sub/x\x1b.p\x1bf"):
        (tree / name).touch()
    left_out = LeftOut()
    assert len(list(find_sources([".", "notes.txt"], left_out=left_out))) == 5
    left_out.say()
    assert capsys.readouterr().err == (
        "4 files in folders were passed over for the ending: .txt (2), none (1), .p?f (1); "
        "name such a file, or give a pattern, and it is read\n"
    )


def test_of_many_endings_the_most_frequent_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = LeftOut()
    left_out.say()
    for number in range(10):
        left_out.not_audio(Path(f"a.e{number}"))
    left_out.not_audio(Path("a.e9"))
    left_out.say()
    said = capsys.readouterr().err
    assert said.startswith("11 files in folders were passed over for the ending: .e9 (2), .e0 (1), ")
    assert ".e4 (1) and 4 more; " in said


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.com/a.wav", "https://example.com/a.wav"),
        ("https://me:secret@example.com/a.wav?signature=x#y", "https://example.com/a.wav"),
        ("s3://bucket/a.wav", "s3://bucket/a.wav"),
        ("file:///tmp/a.wav", "file:///tmp/a.wav"),
    ],
)
def test_a_url_is_called_as_it_was_given(url: str, told: str) -> None:
    assert as_given(Path(url)) == url
    assert url_of(Path(url)) == told


@pytest.mark.parametrize("name", ["a.wav", "https", "x/https:/a", "http:a", "C:/a.wav", ""])
def test_a_name_that_is_no_url_stays_as_it_is(name: str) -> None:
    assert url_of(Path(name)) is None
    assert as_given(name) == name
