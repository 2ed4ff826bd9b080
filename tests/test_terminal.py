from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from clova_speech_async.assessment import Assessment, Phone, Word
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.terminal import AssessmentView

FALSE = Word("false", (Phone("f", "f", 45), Phone("a", "ɔː", 100), Phone("l", "l", 97), Phone("se", "s", 43)))
GOOD = Word("good", (Phone("g", "g", 99), Phone("oo", "ʊ", 90)))


def shown(assessment: Assessment, width: int = 60, encoding: str = "utf-8", color: bool = False, **options: Any) -> str:
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding=encoding, newline="\n")
    console = Console(file=file, width=width, force_terminal=color, color_system="standard" if color else None)
    console.print(AssessmentView(assessment, **options))
    file.flush()
    return buffer.getvalue().decode(encoding)


def test_weak_words_have_their_score_and_their_weak_sounds_below_them() -> None:
    lines = shown(Assessment(81, (FALSE, GOOD)), utterance="That's false, good Sir!").splitlines()
    assert lines[0] == "Sentence score: 81 of 100"
    assert lines[2] == "That's false, good Sir!"
    assert lines[3] == "       71     95"
    assert lines[4] == "       /f/ 45"
    assert lines[5] == "       /s/ 43"
    assert "The service returned nothing for words without a" in " ".join(lines)


def test_a_weak_word_is_marked_without_colour() -> None:
    text = shown(Assessment(81, (FALSE, GOOD)), weak=80)
    assert "false  good" in text
    assert "71!    95\n" in text
    assert "\x1b" not in text
    assert "without a number" not in text  # every word was returned


def test_only_what_is_weak_is_coloured() -> None:
    text = shown(Assessment(81, (FALSE, GOOD), (0, 9), (9, 0)), color=True, weak=72)
    assert re.search(r"\x1b\[1;35mfalse\x1b\[0m  good\n", text)
    assert re.search(r"\x1b\[1;35m71!\x1b\[0m    95\n", text)
    # The terminal's own colour is readable on its ground, whatever that is; cyan on white, say, is not.
    assert set(re.findall(r"\x1b\[([0-9;]*)m", text)) == {"0", "1", "1;35"}
    assert "Sentence score: \x1b[1m81 of 100\x1b[0m" in text
    assert "Sentence score: \x1b[1;35m81 of 100\x1b[0m" in shown(Assessment(81), color=True, weak=82)


def test_words_that_were_not_returned_are_slanted_and_no_less_readable() -> None:
    text = shown(Assessment(81, (GOOD,)), color=True, utterance="Good day")
    assert "Good \x1b[3mday\x1b[0m\n" in text
    assert "\x1b[2" not in text  # dim


def test_of_many_words_the_weakest_are_named_first() -> None:
    words = tuple(Word(f"낱말{n}", (Phone("n", "n", n * 10),)) for n in range(9))
    lines = shown(Assessment(50, words), width=30, weak=40).splitlines()
    assert lines[2:5] == ["Practise first: 낱말0 0!,", "낱말1 10!, 낱말2 20!,", "낱말3 30!"]
    assert "Practise" not in shown(Assessment(50, words[:8]), weak=40)
    assert "Practise" not in shown(Assessment(50, words), weak=0)


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(Assessment(81, (FALSE, GOOD)), color=True)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", text)
    assert "/f/ 45" in text


def test_a_sentence_of_forty_words_is_wrapped_and_no_word_lost() -> None:
    sentence = " ".join(f"word{n}," for n in range(40))
    words = tuple(Word(f"word{n}", (Phone("w", "w", n),)) for n in range(0, 40, 2))
    text = shown(Assessment(50, words), width=40, utterance=sentence)
    assert re.findall(r"word\d+,", text) == sentence.split()
    assert [int(score) for score in re.findall(r"/w/ (\d+)", text)] == list(range(0, 40, 2))
    assert max(map(cell_len, text.splitlines())) <= 40


def test_a_word_wider_than_the_terminal_is_divided() -> None:
    text = shown(Assessment(50, (Word("가" * 30, (Phone("가", "k", 1),)),)), width=20)
    assert text.count("가") == 30
    assert max(map(cell_len, text.splitlines())) <= 20


def test_words_that_are_not_in_the_sentence_are_shown_apart() -> None:
    text = shown(Assessment(14, (FALSE,)), utterance="true")
    assert text.index("true") < text.index("Returned, but not in the sentence:") < text.index("false")


def test_an_assessment_without_anything_says_so() -> None:
    text = shown(Assessment())
    assert "Sentence score: none returned" in text
    assert "The service returned no words." in text
    assert "The service returned no waveforms." in text


def test_a_word_without_a_score_has_a_dash() -> None:
    assert "odd\n-\n" in shown(Assessment(1, (Word("odd", (Phone("o", "ɒ", None),)),)))


def test_waveforms_fill_the_width_on_one_time_scale() -> None:
    graph = tuple([0] * 100 + [20] * 100)
    text = shown(Assessment(50, (), graph, (10,) * 100), width=40)
    reference, speaker = text.split("Reference: ")[1].split("Speaker: ")
    assert reference.splitlines() == ["4.00 s", *[" " * 20 + "⣿" * 20] * 3]
    assert speaker.splitlines()[:4] == ["2.00 s", "", "⣤" * 20, "⣿" * 20]
    assert speaker.splitlines()[4] == "0" + "4.00 s".rjust(39)


def test_a_sound_however_faint_is_seen_and_silence_is_not() -> None:
    text = shown(Assessment(50, (), None, (1, 0, 0, 0, 1000, -5)), width=12)
    assert text.splitlines()[-2] == "⣀⣀      ⣿⣿"
    assert "no waveform returned" in text.replace("\n", " ")


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "cp1252", "latin-1"])
def test_what_cannot_be_encoded_is_written_otherwise(encoding: str) -> None:
    word = Word("naïve말", (Phone("ï", "ɑː\u0303", 10), Phone("v", "v", 20), Phone("", "ʙ\u0303", 5)))
    text = shown(Assessment(50, (word,), (0, 5, 9), (9, 5, 0)), width=40, encoding=encoding)
    assert "/v/ 20" in text
    assert "? 5" in text
    assert "#" in text
    assert ("말" in text) == (encoding == "cp949")
    assert ("ï 10" in text) == (encoding in ("cp1252", "latin-1"))


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = shown(Assessment(50, (Word("a\x1b[31mb\x07", (Phone("\x1b", "\x9b", 3),)),)), encoding="utf-8")
    assert "a?[31mb?" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_markup_in_words_is_text() -> None:
    assert "[bold]x[/bold]" in shown(Assessment(50, (Word("[bold]x[/bold]"),)))


@pytest.mark.parametrize(
    ("weak", "error"), [(-1, InvalidArgumentError), (101, InvalidArgumentError), ("70", ArgumentTypeError)]
)
def test_a_threshold_that_cannot_be_is_refused(weak: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="weak must be"):
        AssessmentView(Assessment(), weak=weak)
    with pytest.raises(ArgumentTypeError, match="not True"):
        AssessmentView(Assessment(), weak=True)


_phones = st.builds(Phone, st.text(max_size=3), st.text(max_size=3), st.none() | st.integers(0, 100))
_words = st.builds(
    Word, st.text("ab가日 \n", max_size=30) | st.text(max_size=4), st.lists(_phones, max_size=4).map(tuple)
)
_graphs = st.none() | st.lists(st.integers(-5, 1000), max_size=300).map(tuple)


@given(
    st.builds(Assessment, st.none() | st.integers(0, 100), st.lists(_words, max_size=12).map(tuple), _graphs, _graphs),
    st.integers(10, 90),
    st.sampled_from(["utf-8", "cp949", "ascii"]),
    st.none() | st.text("ab가 ,", max_size=40),
)
def test_no_line_is_wider_than_the_terminal(
    assessment: Assessment, width: int, encoding: str, said: str | None
) -> None:
    lines = shown(assessment, width, encoding, utterance=said).split("\n")
    assert max(map(cell_len, lines)) <= width


def test_without_rich_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['rich'] = None; sys.modules['rich.cells'] = None; import clova_speech_async.terminal"
    )
    failed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (
        "MissingDependencyError: output in a terminal needs Rich: pip install 'clova-speech-async[cli]'"
        in failed.stderr
    )
