from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.linebreak import Piece, divide, text_width

SENTENCES = (
    "The stale smell of old beer lingers. It takes heat to bring out the odor. A cold dip restores health and zest."
)


def divided(text: str, columns: int = 42, lines: int = 2, seconds: float = 5.0) -> list[Piece]:
    return divide(text, columns=columns, lines=lines, seconds=seconds, longest=7.0, shortest=1.0)


def lines_of(text: str, columns: int = 42, lines: int = 2, seconds: float = 5.0) -> list[tuple[str, ...]]:
    return [piece.lines for piece in divided(text, columns, lines, seconds)]


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("한글", 4),
        ("かな", 4),
        ("中文。", 6),
        ("é", 1),
        ("e\u0301", 1),
        ("\u1112\u1161\u11ab", 2),
        ("a\u200db\xad", 2),
    ],
)
def test_wide_letters_take_two_columns_and_marks_none(text: str, width: int) -> None:
    assert text_width(text) == width


def test_a_text_that_fits_is_one_piece() -> None:
    assert divided("Nice to meet you. Me, too.") == [Piece(("Nice to meet you. Me, too.",), 0.0, 1.0)]


def test_spaces_are_made_one_and_none_stand_at_the_ends() -> None:
    assert lines_of(" a \n\t b\u3000c \x00 ") == [("a b c",)]


@pytest.mark.parametrize("text", ["", "  \n ", "\u200b", "\u0301"])
def test_a_text_without_visible_letters_has_no_pieces(text: str) -> None:
    assert divided(text) == []


def test_two_lines_are_divided_evenly_and_behind_a_comma() -> None:
    assert lines_of("one two three four five six seven eight nine ten") == [
        ("one two three four five", "six seven eight nine ten")
    ]
    assert lines_of("When the rain has stopped, we go out again at last") == [
        ("When the rain has stopped,", "we go out again at last")
    ]


def test_more_text_than_fits_is_divided_by_sentence() -> None:
    assert [" ".join(lines) for lines in lines_of(SENTENCES, seconds=6)] == [
        "The stale smell of old beer lingers.",
        "It takes heat to bring out the odor.",
        "A cold dip restores health and zest.",
    ]


def test_a_piece_has_its_share_of_the_time_by_width() -> None:
    first, second, third = divided(SENTENCES, seconds=6)
    assert first.begin == 0.0
    assert (first.end, second.end) == (second.begin, third.begin)
    assert first.end == pytest.approx(36 / 110)  # of 110 columns
    assert third.end == 1.0


def test_a_short_sentence_stays_with_its_neighbour_rather_than_flash() -> None:
    text = "Yes. " + "This sentence is quite a bit longer than the one which stands before it, is it not? " * 2
    pieces = divided(text, seconds=8)
    assert pieces[0].lines[0].startswith("Yes. This sentence")


def test_what_stands_too_long_is_divided_although_it_would_fit() -> None:
    pieces = divided("first of all we sit down and then we talk", seconds=14)
    assert len(pieces) == 2
    assert all((piece.end - piece.begin) * 14 < 8 for piece in pieces)
    assert len(divided("word", seconds=60)) == 1


def test_korean_is_divided_at_spaces_only() -> None:
    text = "오늘은 날씨가 정말 좋아서 우리는 공원에 산책을 하러 가기로 했습니다 그리고 점심도 먹었습니다"
    for lines in lines_of(text, columns=36):
        assert all(word in text.split() for line in lines for word in line.split())


def test_japanese_lines_neither_begin_nor_end_with_the_wrong_sign() -> None:
    text = "彼は「行きましょう」と言った。それから、ニューヨークへ行って、ちょっと休んだ。（本当に？）そうです！" * 3
    lines = [line for piece in lines_of(text, columns=32, seconds=20) for line in piece]
    assert len(lines) > 5
    assert "".join(lines) == text
    assert not [line for line in lines if line[0] in "、。」）！？ーュョっょ" or line[-1] in "「（"]


def test_latin_words_stay_whole_in_a_chinese_text() -> None:
    text = "我们在使用PostgreSQL和Kubernetes来部署这个系统的所有服务器以及数据库集群"
    lines = [line for piece in lines_of(text, columns=32) for line in piece]
    assert "".join(lines) == text
    assert all(any(name in line for line in lines) for name in ("PostgreSQL", "Kubernetes"))


def test_a_word_wider_than_a_line_is_divided_between_letters() -> None:
    assert lines_of("a" * 25, columns=10, lines=3) == [("a" * 10, "a" * 10, "a" * 5)]
    hangul = [line for piece in lines_of("가" * 40, columns=36) for line in piece]
    assert "".join(hangul) == "가" * 40
    assert max(map(text_width, hangul)) <= 36


def test_a_letter_and_its_marks_are_never_parted() -> None:
    text = "e\u0301" * 30 + "👩\u200d👩\u200d👧" * 10 + "👍\U0001f3fd" * 10
    lines = [line for piece in lines_of(text, columns=10) for line in piece]
    assert "".join(lines) == text
    for line in lines:
        assert unicodedata.combining(line[0]) == 0
        assert line[0] not in "\u200d\U0001f3fd"
        assert not line.endswith("\u200d")


def test_an_hour_of_text_in_one_segment_takes_seconds_not_minutes() -> None:
    pieces = divided("これはとても長い文章です" * 2000, columns=32, seconds=3600)
    assert sum(len(line) for piece in pieces for line in piece.lines) == 12 * 2000


_texts = st.lists(
    st.text("abcd", min_size=1, max_size=14)
    | st.text("가나다", min_size=1, max_size=24)
    | st.text("日本語かなーっ、。「」", min_size=1, max_size=30)
    | st.sampled_from(["Yes.", "no,", "“So?”", "e\u0301", "...", "👩\u200d👧"])
    | st.text(max_size=4),
    max_size=25,
).map(" ".join)


@given(_texts, st.integers(10, 50), st.integers(1, 3), st.floats(0, 70))
def test_no_text_is_lost_and_no_line_too_wide(text: str, columns: int, lines: int, seconds: float) -> None:
    pieces = divided(text, columns, lines, seconds)
    kept = "".join("".join(line.split()) for piece in pieces for line in piece.lines)
    visible = [w for w in "".join(c if unicodedata.category(c) != "Cc" else " " for c in text).split() if text_width(w)]
    assert kept == "".join(visible)
    for piece in pieces:
        assert 1 <= len(piece.lines) <= lines
        assert all(0 < text_width(line) <= columns for line in piece.lines)
        assert not any(line != line.strip() for line in piece.lines)


@given(_texts, st.floats(0, 70))
def test_the_pieces_follow_each_other_from_nought_to_one(text: str, seconds: float) -> None:
    pieces = divided(text, seconds=seconds)
    ends = [0.0, *(piece.end for piece in pieces)]
    assert [piece.begin for piece in pieces] == ends[:-1]
    assert all(piece.begin < piece.end for piece in pieces)
    assert not pieces or ends[-1] == 1.0
