from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.assessment import Assessment, Phone, Word
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.report import readable_ink, report_html, save_report

FALSE = Word("false", (Phone("f", "f", 45), Phone("a", "ɔː", 100), Phone("l", "l", None), Phone("", "", 0)))
WHOLE = Assessment(14, (FALSE,), (0, 10, 20, 10), (0, 5, 5), "")


class _Page(HTMLParser):
    """The page's tags, attributes and text; fails where tags are not closed in order."""

    void = frozenset({"meta"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and data.strip():
            self.texts.append(data.strip())


def test_the_words_and_their_sounds_are_text() -> None:
    page = _Page(report_html(WHOLE, utterance="That is false!"))
    at = page.texts.index("That")
    assert page.texts[at : at + 16] == [
        *("That", "is", "false!", "48"),
        *("f", "/f/", "45", "a", "/ɔː/", "100", "l", "/l/", "–"),
        *("\N{NO-BREAK SPACE}".strip() or "0",),
        *page.texts[at + 14 : at + 16],
    ]
    assert "14" in page.texts
    assert "The service returned nothing for the words without a number." in page.texts


def test_the_waveforms_are_drawn_and_told() -> None:
    page = _Page(report_html(WHOLE))
    svg = next(attributes for tag, attributes in page.tags if tag == "svg")
    assert svg["role"] == "img"
    assert svg["aria-label"] == "Waveforms: reference: 0.08 s; speaker: 0.06 s"
    (polygon,) = [attributes["points"] for tag, attributes in page.tags if tag == "polygon"]
    assert polygon == "0,120 0.0,120.0 240.0,62.0 480.0,4.0 720.0,62.0 720.0,120"
    (line,) = [attributes["points"] for tag, attributes in page.tags if tag == "polyline"]
    assert line == "0.0,120.0 240.0,91.0 480.0,91.0"


@pytest.mark.parametrize(
    ("graph", "labels"),
    [((1,) * 51, ["0 s", "0.2", "0.4", "0.6", "0.8", "1"]), ((1,) * 3001, ["0 s", "10", "20", "30", "40", "50", "60"])],
)
def test_seconds_stand_below_the_waveforms(graph: tuple[int, ...], labels: list[str]) -> None:
    html = report_html(Assessment(1, (), graph))
    assert re.findall(r"<text[^>]*>([^<]*)</text>", html) == labels


def test_what_is_missing_is_said() -> None:
    html = report_html(Assessment())
    assert "Sentence score: none returned" in html
    assert "The service returned no words." in html
    assert "The service returned no waveforms." in html
    assert "speaker: no waveform returned" in report_html(Assessment(1, (), (1, 2)))
    assert "reference: no waveform returned" in report_html(Assessment(1, (), None, (1,)))
    assert "<span class='score'>no score</span>" in report_html(Assessment(1, (Word("a"),)))


def test_words_that_are_not_in_the_sentence_stand_apart() -> None:
    texts = _Page(report_html(WHOLE, utterance="true")).texts
    assert texts.index("true") < texts.index("Returned, but not in the sentence") < texts.index("false")


def test_the_page_loads_and_runs_nothing() -> None:
    page = _Page(report_html(WHOLE, utterance="a http://x.example/y.js b"))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "base", "image", "use"}
    assert not {name for _, attributes in page.tags for name in attributes} & {
        "src",
        "href",
        "srcset",
        "onload",
        "action",
    }
    assert not re.search(r"url\(|@import", report_html(WHOLE))


def test_korean_is_marked_for_the_screen_reader() -> None:
    assert "<span lang='ko'>안녕</span>" in report_html(Assessment(1, (Word("안녕"),)))
    assert "<span lang='en'>false</span>" in report_html(WHOLE)


_odd = st.text("<>&'\"/{}a가\x00\x1f\ud800\uffff\n", max_size=12)


@given(
    st.builds(
        Assessment,
        st.none() | st.integers(0, 100),
        st.lists(st.builds(Word, _odd, st.lists(st.builds(Phone, _odd, _odd), max_size=2).map(tuple)), max_size=3).map(
            tuple
        ),
        st.none() | st.lists(st.integers(-9, 99), max_size=5).map(tuple),
    ),
    st.none() | _odd,
)
def test_whatever_came_from_outside_is_escaped(assessment: Assessment, utterance: str | None) -> None:
    html = report_html(assessment, utterance=utterance)
    known = {tag for tag, _ in _Page(report_html(WHOLE, utterance="x")).tags} | {"abbr", "li", "ul", "p", "span", "h2"}
    page = _Page(html)
    assert {tag for tag, _ in page.tags} <= known
    html.encode("utf-8")
    assert "\x00" not in html


def test_ink_is_readable_on_every_score() -> None:
    assert readable_ink((255, 255, 255)) == "#000000"
    assert readable_ink((0, 0, 0)) == readable_ink((0, 32, 77)) == "#ffffff"
    for score in range(101):
        html = report_html(Assessment(1, (Word("a", (Phone("a", "a", score),)),)))
        ((back, ink),) = re.findall(r"background:#([0-9a-f]{6});color:#([0-9a-f]{6})", html)
        assert _contrast(back, ink) >= 4.5


def _contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


# --- files ----------------------------------------------------------------------------------------


def test_the_suffix_chooses_the_form(tmp_path: Path) -> None:
    assert save_report(WHOLE, tmp_path / "a.html", utterance="false").read_text("utf-8") == report_html(
        WHOLE, utterance="false"
    )
    assert save_report(WHOLE, str(tmp_path / "a.PNG")).read_bytes().startswith(b"\x89PNG\r\n")
    svg = save_report(WHOLE, tmp_path / "a.svg").read_bytes()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert b"<dc:date>" not in svg
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["a.pdf", "a"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"must end in \.html, \.png or \.svg"):
        save_report(WHOLE, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_report_replaces_another_unless_told_not_to(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("before")
    with pytest.raises(FileExistsError):
        save_report(WHOLE, path, overwrite=False)
    assert path.read_text() == "before"
    assert save_report(WHOLE, path).read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("wrong", [None, {"score": 1}])
def test_a_report_is_made_of_an_assessment(wrong: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="assessment must be an Assessment"):
        report_html(wrong)


def test_html_needs_no_matplotlib_and_a_picture_names_the_extra(tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["matplotlib"] = None
from clova_speech_async.assessment import Assessment
from clova_speech_async.report import save_report
save_report(Assessment(), {str(tmp_path / "a.html")!r})
save_report(Assessment(), {str(tmp_path / "a.png")!r})
"""
    failed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingDependencyError: pictures need matplotlib: pip install 'clova-speech-async[plot]'" in failed.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.html"]
