from __future__ import annotations

import io
import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pysubs2
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.linebreak import text_width
from clova_speech_async.subtitles import Cue, SubtitleLayout, srt, subtitle_cues, vtt
from clova_speech_async.transcript import Segment, Transcript

LAYOUT = SubtitleLayout()
SENTENCES = "The stale smell of old beer lingers. It takes heat to bring out the odor. A cold dip restores zest."


def cues_of(*segments: Segment, layout: SubtitleLayout = LAYOUT) -> list[Cue]:
    return subtitle_cues(segments, layout)


def test_a_short_segment_is_one_subtitle() -> None:
    assert cues_of(Segment(1.0, 3.5, "Nice to meet you.")) == [Cue(1000, 3500, ("Nice to meet you.",))]


def test_a_long_segment_is_divided_by_sentence_and_in_proportion_by_time() -> None:
    cues = cues_of(Segment(10.0, 22.0, SENTENCES))
    assert [" ".join(cue.lines) for cue in cues] == [part + "." for part in SENTENCES[:-1].split(". ")]
    columns = len(SENTENCES)
    assert [cue.start_ms for cue in cues] == [
        10_000,
        *(10_000 + round(12_000 * n / columns) for n in (36, 36 + 1 + 36)),
    ]
    assert cues[-1].end_ms == 22_000


def test_nothing_stands_longer_than_seven_seconds() -> None:
    assert cues_of(Segment(0, 60, "word")) == [Cue(0, 7000, ("word",))]
    assert max(cue.end_ms - cue.start_ms for cue in cues_of(Segment(0, 60, SENTENCES))) <= 7001


def test_a_flash_is_held_into_the_silence_behind_it_and_no_farther() -> None:
    assert [c.end_ms for c in cues_of(Segment(0, 0.2, "a"), Segment(9, 9.2, "b"))] == [1000, 10_000]
    assert [c.end_ms for c in cues_of(Segment(0, 0.2, "a"), Segment(0.5, 2, "b"))] == [500, 2000]


def test_segments_without_text_give_no_subtitle() -> None:
    assert cues_of(Segment(0, 1, ""), Segment(1, 2, " \n"), Segment(2, 3, "x")) == [Cue(2000, 3000, ("x",))]
    assert srt([]) == ""
    assert vtt([]) == "WEBVTT\n"


def test_segments_come_in_the_order_of_their_starts() -> None:
    assert [cue.lines for cue in cues_of(Segment(5, 6, "b"), Segment(0, 1, "a"))] == [("a",), ("b",)]


def test_channels_may_speak_at_once_and_are_named() -> None:
    both = cues_of(Segment(0, 4, "hello", 0), Segment(1, 3, "yes yes", 1), Segment(4, 6, "so", 0))
    assert [(cue.channel, cue.start_ms, cue.end_ms) for cue in both] == [(0, 0, 4000), (1, 1000, 3000), (0, 4000, 6000)]
    assert srt(both).splitlines()[:3] == ["1", "00:00:00,000 --> 00:00:04,000", "[0] hello"]
    assert vtt(both).splitlines()[:4] == ["WEBVTT", "", "00:00:00.000 --> 00:00:04.000", "<v Channel 0>hello"]
    assert [cue.voice for cue in webvtt.from_buffer(io.StringIO(vtt(both)))] == ["Channel 0", "Channel 1", "Channel 0"]


def test_one_channel_alone_is_not_named() -> None:
    (cue,) = cues_of(Segment(0, 4, "hello", 1))
    assert cue.channel is None


def test_a_channel_s_name_is_part_of_the_line_s_width() -> None:
    cues = cues_of(Segment(0, 4, "abc " * 40, 0), Segment(0, 4, "x", 1))
    assert max(text_width(line) for line in srt(cues).splitlines()) <= 42


def test_vtt_escapes_its_signs() -> None:
    written = vtt(cues_of(Segment(0, 2, "a <b> & c --> d &lt;")))
    assert "a &lt;b&gt; &amp; c --&gt; d &amp;lt;" in written
    assert written.count("-->") == 1
    (cue,) = webvtt.from_buffer(io.StringIO(written))
    assert cue.text == "a <b> & c --> d &lt;" or cue.raw_text == "a &lt;b&gt; &amp; c --&gt; d &amp;lt;"


def test_srt_replaces_what_readers_take_for_markup() -> None:
    written = srt(cues_of(Segment(0, 5, r"a <i>b</i> {\an8}c --> d \N 1 > 0")))
    assert r"a ‹i>b‹/i> (/an8)c → d /N 1 > 0" in written
    (event,) = pysubs2.SSAFile.from_string(written)
    assert event.plaintext == "a ‹i>b‹/i> (/an8)c → d /N 1 > 0"


def test_a_number_alone_is_not_the_last_line_where_a_reader_would_drop_it() -> None:
    text = "please write this down, 1234567890123456789012345"
    (cue,) = cues_of(Segment(0, 5, text))
    (event,) = pysubs2.SSAFile.from_string(srt([cue]))
    assert event.plaintext.replace("\n", " ") == text


def test_times_beyond_ninety_nine_hours() -> None:
    cues = cues_of(Segment(360_000, 360_001.25, "late"))
    assert "100:00:00,000 --> 100:00:01,250" in srt(cues)
    (cue,) = webvtt.from_buffer(io.StringIO(vtt(cues)))
    assert (cue.start_in_seconds, cue.end) == (360_000, "100:00:01.250")


def _long_transcript() -> Transcript:
    korean = "안녕하세요 반갑습니다 오늘은 날씨가 정말 좋네요. 그래서 우리는 공원에 산책을 하러 가기로 했습니다."
    return Transcript(
        (
            Segment(0.5, 30.25, SENTENCES * 3),
            Segment(31, 55, korean * 2),
            Segment(60, 61, ""),
            Segment(61, 62.5, "12 & <x> 34"),
            Segment(3661.001, 3661.999, "the end\n7"),
        ),
        "Kor",
        4000.0,
        120,
    )


def test_srt_loads_in_pysubs2_with_the_same_times_and_text() -> None:
    transcript = _long_transcript()
    cues = subtitle_cues(transcript.segments, SubtitleLayout.for_language("Kor"))
    events = list(pysubs2.SSAFile.from_string(transcript.to_srt(), format_="srt"))
    assert [(event.start, event.end) for event in events] == [(cue.start_ms, cue.end_ms) for cue in cues]
    assert [event.plaintext for event in events] == ["\n".join(cue.lines).replace("<", "‹") for cue in cues]


def test_vtt_loads_in_webvtt_py_and_pysubs2_with_the_same_times_and_text() -> None:
    transcript = _long_transcript()
    cues = subtitle_cues(transcript.segments, SubtitleLayout.for_language("Kor"))
    times = [(cue.start_ms, cue.end_ms) for cue in cues]
    captions = list(webvtt.from_buffer(io.StringIO(transcript.to_vtt())))
    assert [caption.lines for caption in captions] == [
        [line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in cue.lines] for cue in cues
    ]
    assert [(_milliseconds(caption.start), _milliseconds(caption.end)) for caption in captions] == times
    events = list(pysubs2.SSAFile.from_string(transcript.to_vtt(), format_="vtt"))
    assert [(event.start, event.end) for event in events] == times


def _milliseconds(timestamp: str) -> int:
    hours, minutes, seconds = timestamp.split(":")
    return round((int(hours) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_ffmpeg_reads_every_subtitle(tmp_path: Path, suffix: str) -> None:
    transcript = _long_transcript()
    written = transcript.save(tmp_path / f"in.{suffix}")
    converted = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", str(written), "-f", "srt", "-"], capture_output=True, text=True, check=True
    )
    assert converted.stderr == ""
    cues = subtitle_cues(transcript.segments, SubtitleLayout.for_language("Kor"))
    events = list(pysubs2.SSAFile.from_string(converted.stdout, format_="srt"))
    assert [(event.start, event.end) for event in events] == [(cue.start_ms, cue.end_ms) for cue in cues]
    assert events[0].plaintext == "\n".join(cues[0].lines)


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        ({"columns": 9}, InvalidArgumentError, "columns must be at least 10, not 9"),
        ({"lines": 0}, InvalidArgumentError, "lines must be at least 1, not 0"),
        ({"columns": 42.0}, ArgumentTypeError, "columns must be a whole number, not 42.0"),
        ({"lines": True}, ArgumentTypeError, "lines must be a whole number, not True"),
        ({"longest": "7"}, ArgumentTypeError, "longest must be a number of seconds, not '7'"),
        ({"shortest": 0}, InvalidArgumentError, "shortest"),
        ({"longest": 0.5}, InvalidArgumentError, "shortest not above longest"),
        ({"longest": float("inf")}, InvalidArgumentError, "longest"),
        ({"longest": float("nan")}, InvalidArgumentError, "longest"),
    ],
)
def test_a_layout_checks_itself(options: dict[str, Any], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        SubtitleLayout(**options)


def test_a_layout_follows_the_language() -> None:
    assert [SubtitleLayout.for_language(name).columns for name in ("Kor", "Jpn", "Chn", "Eng", "?")] == [
        36,
        32,
        32,
        42,
        42,
    ]


_segments = st.lists(
    st.builds(
        lambda start, length, text, channel: Segment(start, start + length, text, channel),
        st.floats(0, 400_000).map(lambda s: round(s, 3)) | st.integers(0, 20),
        st.floats(0, 60),
        st.lists(
            st.sampled_from(["word", "가나다라", "日本語。", "end.", "x" * 60, "-->", "<b>", "{", "&"]), max_size=20
        ).map(" ".join),
        st.sampled_from([None, 0, 1]),
    ),
    max_size=6,
)


@given(_segments, st.sampled_from(["Kor", "Eng", "Jpn"]))
def test_times_only_go_forward_and_no_text_is_lost(segments: list[Segment], language: str) -> None:
    layout = SubtitleLayout.for_language(language)
    cues = subtitle_cues(segments, layout)
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    labelled = len({segment.channel for segment in segments}) > 1
    for channel in {segment.channel for segment in segments}:
        own = [cue for cue in cues if cue.channel == channel or not labelled]
        assert all(cue.start_ms < cue.end_ms for cue in own)
        assert all(one.end_ms <= other.start_ms for one, other in itertools.pairwise(own))
        texts = [s.text for s in sorted(segments, key=lambda s: s.start) if s.channel == channel]
        assert "".join("".join(line for line in cue.lines) for cue in own).replace(" ", "") == "".join(texts).replace(
            " ", ""
        )


@given(_segments)
def test_every_subtitle_is_read_back_by_others(segments: list[Segment]) -> None:
    hours = [Segment(s.start % 90_000, s.start % 90_000 + s.duration, s.text, s.channel) for s in segments]
    cues = subtitle_cues(hours, LAYOUT)
    times = [(cue.start_ms, cue.end_ms) for cue in cues]
    if cues:
        assert [(event.start, event.end) for event in pysubs2.SSAFile.from_string(srt(cues), format_="srt")] == times
    captions = webvtt.from_buffer(io.StringIO(vtt(cues)))
    assert [(_milliseconds(caption.start), _milliseconds(caption.end)) for caption in captions] == times
