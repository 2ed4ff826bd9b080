from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async import transcript as module
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.models import Language, Recognition
from clova_speech_async.subtitles import SubtitleLayout
from clova_speech_async.transcript import Segment, Transcript

TWO = Transcript((Segment(0.0, 2.5, "안녕하세요", None, 15), Segment(3.0, 4.0, "네")), "Kor", 4.5, 15, 30)


@pytest.mark.parametrize(
    ("language", "texts", "text"),
    [
        ("Kor", ["안녕하세요", " 반갑습니다 ", "", "네"], "안녕하세요 반갑습니다 네"),
        ("Eng", ["nice to", "meet you"], "nice to meet you"),
        ("Jpn", ["こんにちは。", "", "元気ですか"], "こんにちは。元気ですか"),
        ("Chn", ["你好", "世界"], "你好世界"),
        ("Chn", ["我用 Linux", "Mint", "系统"], "我用 Linux Mint系统"),
        ("Eng", [], ""),
        ("Eng", [" ", ""], ""),
    ],
)
def test_texts_are_joined_as_the_language_does(language: str, texts: list[str], text: str) -> None:
    assert Transcript(tuple(Segment(i, i + 1, part) for i, part in enumerate(texts)), language).text == text


def test_with_channels_each_turn_is_a_line() -> None:
    said = [(0, "hello"), (0, "there"), (1, " "), (0, "you"), (1, "yes"), (None, "noise")]
    segments = tuple(Segment(i, i + 1, text, channel) for i, (channel, text) in enumerate(said))
    assert Transcript(segments, "Eng").text == "Channel 0: hello there you\nChannel 1: yes\nMixed: noise"
    assert Transcript(segments[:2], "Eng").text == "hello there"


def test_a_language_is_kept_as_its_name() -> None:
    transcript = Transcript(language=Language.JAPANESE)
    assert type(transcript.language) is str
    assert transcript.language == "Jpn"


def test_rows_and_dict_and_json_say_the_same() -> None:
    assert TWO.to_dicts() == [
        {"start": 0.0, "end": 2.5, "text": "안녕하세요", "channel": None, "billed_seconds": 15},
        {"start": 3.0, "end": 4.0, "text": "네", "channel": None, "billed_seconds": None},
    ]
    assert TWO.to_dict() == {
        "language": "Kor",
        "duration": 4.5,
        "billed_seconds": 15,
        "saved_seconds": 30,
        "announced_duration": None,
        "truncated": False,
        "lost_seconds": 0.0,
        "text": "안녕하세요 네",
        "segments": TWO.to_dicts(),
    }
    assert json.loads(TWO.to_json()) == json.loads(TWO.to_json(indent=2)) == TWO.to_dict()
    assert "\n" not in TWO.to_json()
    assert "안녕하세요" in TWO.to_json()
    assert [json.loads(line) for line in TWO.to_jsonl().splitlines()] == TWO.to_dicts()
    assert TWO.segments[0].duration == 2.5


@given(
    st.builds(
        Transcript,
        st.lists(
            st.builds(lambda a, b, *rest: Segment(a, a + b, *rest), st.floats(0, 1e6), st.floats(0, 60), st.text()),
            max_size=4,
        ).map(tuple),
        st.sampled_from(["Kor", "Eng", "Jpn", "Chn"]),
        st.floats(0, 1e6),
        st.integers(0, 10**6),
    )
)
def test_json_and_back_changes_nothing(transcript: Transcript) -> None:
    assert Transcript.from_json(transcript.to_json()) == transcript
    assert Transcript.from_json(transcript.to_json(indent=2).encode()) == transcript


@pytest.mark.parametrize(
    "data",
    ["", "[]", '{"segments": 1}', '{"segments": [{"start": 2, "end": 1, "text": ""}]}', b"\xff", '{"duration": -1}'],
)
def test_json_that_is_no_transcript_is_refused(data: str | bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="not the JSON of a transcript"):
        Transcript.from_json(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{}", "it has nothing, and no 'segments'"),
        ('{"error": {}}', "it is an error, with 'error' and no 'segments'"),
        ('{"text": "hello"}', "it has 'text', and no 'segments'"),
        (Recognition(text="hello", quota=15).to_json(), "it is a reply of recognize"),
        ('{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}', "it has 'a', 'b', 'c', 'd', 'e', …, and"),
    ],
)
def test_json_of_something_else_is_named(data: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        Transcript.from_json(data)
    assert "hello" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "end", "error", "named"),
    [
        (-1, 1, InvalidArgumentError, "start must be at least 0 seconds, and finite, not -1"),
        (0, float("inf"), InvalidArgumentError, "end must be at least 0 seconds, and finite"),
        (float("nan"), 1, InvalidArgumentError, "start must be at least 0 seconds, and finite"),
        (2, 1, InvalidArgumentError, r"end \(1\) must not be before start \(2\)"),
        ("0", 1, ArgumentTypeError, "start must be a number of seconds, not '0'"),
        (0, True, ArgumentTypeError, "end must be a number of seconds, not True"),
    ],
)
def test_a_segment_checks_itself(start: Any, end: Any, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        Segment(start, end, "")


def test_a_transcript_checks_its_duration() -> None:
    with pytest.raises(InvalidArgumentError, match="Transcript: duration"):
        Transcript(duration=-1.0)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["txt", "srt", "vtt", "json", "jsonl"])
def test_save_writes_what_the_suffix_says(tmp_path: Path, name: str) -> None:
    path = TWO.save(str(tmp_path / f"회의.{name.upper()}"))
    assert path == tmp_path / f"회의.{name.upper()}"
    assert path.read_text("utf-8") == TWO.to_format(name) == TWO.to_format(f".{name}")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_forms_are_what_their_names_say() -> None:
    assert TWO.to_format("txt") == "안녕하세요 네\n"
    assert (
        TWO.to_format("srt") == "1\n00:00:00,000 --> 00:00:02,500\n안녕하세요\n\n2\n00:00:03,000 --> 00:00:04,000\n네\n"
    )
    assert TWO.to_format("vtt").startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.500\n안녕하세요\n")
    assert Transcript.from_json(TWO.to_format("json")) == TWO
    assert TWO.to_format("jsonl") == TWO.to_jsonl()


def test_a_layout_can_be_chosen() -> None:
    transcript = Transcript((Segment(0, 4, "one two three four five"),), "Eng", 4)
    narrow = SubtitleLayout(columns=12, lines=2)
    assert "\nthree\nfour five\n" in transcript.to_srt(narrow)
    assert "\nthree\nfour five\n" in transcript.to_vtt(narrow)
    assert "one two three four five" in transcript.to_srt()


def test_save_takes_a_format_for_any_path(tmp_path: Path) -> None:
    assert TWO.save(tmp_path / "subtitles", "srt").read_text("utf-8") == TWO.to_srt()


@pytest.mark.parametrize("name", ["a.doc", "a", ".srt"])
def test_an_unknown_suffix_is_refused_and_the_known_ones_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\.txt, \.srt, \.vtt, \.json or \.jsonl"):
        TWO.save(tmp_path / name)
    with pytest.raises(InvalidArgumentError, match="format 'doc' is unknown; use one of txt, srt, vtt, json or jsonl"):
        TWO.save(tmp_path / "a.txt", "doc")
    with pytest.raises(ArgumentTypeError, match="format must be a str"):
        TWO.to_format(1)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_save_replaces_unless_told_not_to(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(FileExistsError, match=r"a\.txt"):
        TWO.save(path, overwrite=False)
    assert path.read_text() == "before"
    TWO.save(path)
    assert path.read_text("utf-8") == TWO.text + "\n"
    TWO.save(tmp_path / "b.txt", overwrite=False)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_missing_folder_is_named(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "nodir" / "a.txt"
    with pytest.raises(FileNotFoundError, match="there is no folder") as caught:
        TWO.save(path, overwrite=overwrite)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(path))
    assert repr(str(path.parent)) in str(caught.value)
    assert ".tmp" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_names_the_path_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        TWO.save(tmp_path / "file" / "a.txt")
    assert caught.value.filename == str(tmp_path / "file" / "a.txt")
    assert ".tmp" not in str(caught.value)


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    path = tmp_path / "a.txt"
    if overwrite:
        path.write_text("before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        TWO.save(path, overwrite=overwrite)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == (
        [("a.txt", "before")] if overwrite else []
    )


def test_a_folder_and_a_missing_folder_say_so(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(IsADirectoryError):
        TWO.save(tmp_path / "folder.txt")
    with pytest.raises(FileNotFoundError):
        TWO.save(tmp_path / "missing" / "a.txt")


@pytest.mark.skipif(os.name != "posix", reason="links and file modes of POSIX")
def test_links_and_modes_are_respected(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "a.txt"
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    TWO.save(link)
    assert link.is_symlink()
    assert target.read_text("utf-8") == TWO.text + "\n"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(("path", "kind"), [("a\0.txt", InvalidArgumentError), (5, ArgumentTypeError)])
def test_a_path_that_no_file_can_have_is_named(path: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="path"):
        TWO.save(path, "txt")


def test_half_a_surrogate_pair_does_not_cost_the_file(tmp_path: Path) -> None:
    assert Transcript((Segment(0, 1, "a\ud800"),), "Eng").save(tmp_path / "a.txt").read_text("utf-8") == "a?\n"


@pytest.mark.anyio
async def test_save_runs_in_a_worker_thread(tmp_path: Path) -> None:
    path = await anyio.to_thread.run_sync(TWO.save, tmp_path / "a.srt")
    assert await anyio.Path(path).read_text("utf-8") == TWO.to_srt()
