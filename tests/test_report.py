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

from clova_speech_async.assessment import AlignedWord, Assessment, Phone, Word
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.report import practise_first, readable_ink, report_html, save_report, spoken

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
    assert page.texts[at : at + 20] == [
        *("That", "is", "false!", "48", "!"),
        *("f", "/f/", "45", "!", "a", "/ɔː/", "100", "l", "/l/", "–"),
        *("0", "!"),  # a sound without letters
        *("A number is the score, from 0 to 100, of the word or the sound that it stands with;", "!"),
        "marks one under 70. The service returned nothing for the words without a number.",
    ]
    top = ["Pronunciation: That is false!", "Pronunciation", "That is false!", "Sentence score:", "14", "of 100"]
    assert page.texts[:6] == top


def test_the_waveforms_are_drawn_and_told() -> None:
    page = _Page(report_html(WHOLE))
    svg = next(attributes for tag, attributes in page.tags if tag == "svg")
    assert svg["role"] == "img"
    assert svg["aria-label"] == "Waveforms: reference: 0.08 s; speaker: 0.06 s"
    (polygon,) = [attributes["points"] for tag, attributes in page.tags if tag == "polygon"]
    assert polygon == "0,140 0.0,140.0 240.0,72.0 480.0,4.0 720.0,72.0 720.0,140"
    (line,) = [attributes["points"] for tag, attributes in page.tags if tag == "polyline"]
    assert line == "0.0,140.0 240.0,106.0 480.0,106.0"


@pytest.mark.parametrize(
    ("graph", "labels"),
    [((1,) * 51, ["0 s", "0.2", "0.4", "0.6", "0.8", "1"]), ((1,) * 3001, ["0 s", "10", "20", "30", "40", "50", "60"])],
)
def test_seconds_stand_below_the_waveforms(graph: tuple[int, ...], labels: list[str]) -> None:
    html = report_html(Assessment(1, (), graph))
    assert re.findall(r"<text[^>]*>([^<]*)</text>", html) == labels


def test_the_seconds_keep_the_size_of_letters_on_a_narrow_screen() -> None:
    outer, inner = (attributes for tag, attributes in _Page(report_html(WHOLE)).tags if tag == "svg")
    assert outer["width"] == inner["width"] == "100%"
    assert "viewbox" not in outer  # else the letters would shrink with the picture
    assert (inner["viewbox"], inner["preserveaspectratio"]) == ("0 0 720 140", "none")
    texts = [attributes for tag, attributes in _Page(report_html(Assessment(1, (), (1,) * 101))).tags if tag == "text"]
    assert [(text["x"], text["text-anchor"]) for text in texts] == [
        ("0.00%", "start"),
        *((f"{percent}.00%", "middle") for percent in (25, 50, 75)),
        ("100.00%", "end"),
    ]


def test_the_lines_of_a_long_recording_are_thin() -> None:
    def widths(seconds: int) -> list[str]:
        return re.findall(r"stroke-width='([\d.]+)'", report_html(Assessment(1, (), *[(1,) * (50 * seconds + 1)] * 2)))

    assert (widths(15), widths(16)) == (["1", "2"], ["0.5", "1"])


def test_a_weak_score_is_marked_by_more_than_colour() -> None:
    word = Word("ab", (Phone("a", "a", 69), Phone("b", "b", 70)))

    def html(weak: int) -> str:
        return report_html(Assessment(1, (word,)), weak=weak)

    def weak_ones(weak: int) -> list[str]:
        return re.findall(r"<li class='weak'[^>]*><span[^>]*>(\w+)</span>", html(weak))

    assert (weak_ones(0), weak_ones(70), weak_ones(71)) == ([], ["a"], ["ab", "a", "b"])
    assert "<span>69<span role='img' aria-label='weak'>!</span></span>" in html(70)
    assert "<span>70</span>" in html(70)


def test_the_sentence_score_stands_out() -> None:
    html = report_html(WHOLE)
    assert "<p class='total'>Sentence score: <strong>14</strong> of 100</p>" in html
    assert "<div class='bar' aria-hidden='true'><div style='width:14%'></div></div>" in html
    assert "class='bar'" not in report_html(Assessment())
    size = re.search(r"\.total strong \{ font-size: ([\d.]+)rem", html)
    assert size
    assert float(size[1]) >= 2


def _many(*scores: int) -> Assessment:
    return Assessment(50, tuple(Word(f"w{n}", (Phone("w", "w", score),)) for n, score in enumerate(scores)))


def test_of_many_words_the_weakest_are_named_first() -> None:
    texts = _Page(report_html(_many(90, 60, 10, 50, 40, 30, 69, 100, 70))).texts
    at = texts.index("Practise first:")
    assert "".join(texts[at + 1 : texts.index("Words")]) == "w210!,w530!,w440!,w350!,w160!"
    assert "Practise first:" not in _Page(report_html(_many(*[10] * 8))).texts  # so few are seen at a glance
    assert "Practise first:" not in _Page(report_html(_many(*[70] * 40))).texts


def test_a_word_said_badly_twice_is_named_once() -> None:
    words = [AlignedWord("The", Word("the", (), score)) for score in (20, 10, 10)]
    words += [AlignedWord("x", Word("x"))] * 9
    assert practise_first(words, 70) == (Word("the", (), 10),)
    assert practise_first([*words, AlignedWord("absent")] * 3, 10) == ()


def test_the_scale_of_colours_is_shown_where_there_are_colours() -> None:
    assert "linear-gradient(90deg, #00204d, #7c7b78, #ffea46)" in report_html(WHOLE)
    assert "Colour of a sound: 0 <span></span> 100" in report_html(WHOLE)
    assert "Colour of a sound" not in report_html(Assessment(1, (Word("a", (Phone("a"),)),)))


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
    policy = next(attributes for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_korean_is_marked_for_the_screen_reader() -> None:
    html = report_html(Assessment(1, (Word("안녕", (Phone("안", "an", 1),)),)))
    assert "<p class='sentence' lang='ko'>안녕</p>" in html
    assert "<span lang='ko'>안녕</span>" in html
    assert "<span lang='ko'>안</span><span lang='ko-fonipa'>/an/</span>" in html
    assert "<span lang='en-fonipa'>/ɔː/</span>" in report_html(WHOLE)
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


def _palettes() -> dict[str, dict[str, str]]:
    """The colours of the page by name, as they are in light and in dark."""
    css = report_html(WHOLE).partition("<style>")[2].partition("</style>")[0]
    light, dark = (
        dict(re.findall(r"--(\w+): #([0-9a-f]{6});", block)) for block in re.findall(r":root \{ (--[^}]*#[^}]*)\}", css)
    )
    return {"light": light, "dark": dark}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_on_the_page_stands_out_in_light_and_dark(scheme: str) -> None:
    colors = _palettes()[scheme]
    for text in ("ink", "faint"):
        assert _contrast(colors[text], colors["paper"]) >= 4.5  # WCAG 2, 1.4.3
    for shape in ("edge", "outline", "line"):
        assert _contrast(colors[shape], colors["paper"]) >= 3  # WCAG 2, 1.4.11
    assert _contrast(colors["line"], colors["area"]) >= 3


def test_every_colour_of_the_page_has_a_name_that_dark_changes() -> None:
    light, dark = _palettes().values()
    assert light.keys() == dark.keys() == set(re.findall(r"var\(--(\w+)\)", report_html(WHOLE)))
    assert not {name for name in light if light[name] == dark[name]}


def test_paper_is_light_whatever_the_screen_is() -> None:
    html = report_html(WHOLE)
    dark = re.findall(r"@media ([^{]*prefers-color-scheme[^{]*) \{", html)
    assert dark == ["screen and (prefers-color-scheme: dark)"]
    assert re.findall(r"@media (\w+) \{ :root \{ color-scheme: light dark;", html) == ["screen"]
    assert html.count("color-scheme: light dark") == 1


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


def test_a_picture_says_what_it_shows_to_those_who_do_not_see_it(tmp_path: Path) -> None:
    odd = Assessment(14, (*WHOLE.words, Word("<&\x00>")), None, None, "")
    svg = save_report(odd, tmp_path / "a.svg", utterance="That's false!", weak=49).read_text("utf-8")
    title, description = (
        element.text
        for name in ("{http://www.w3.org/2000/svg}title", "{http://purl.org/dc/elements/1.1/}description")
        for element in ElementTree.fromstring(svg).iter(name)
    )
    assert title == "Pronunciation"
    assert description == (
        "Sentence score: 14 of 100. Words, ! under 49: That's (not returned); false! 48!; <& > – (not in the sentence)."
    )
    png = save_report(odd, tmp_path / "a.png", utterance="That's false!", weak=49).read_bytes()
    assert b"Sentence score: 14 of 100" in png
    assert spoken(Assessment(), None, 70) == "Sentence score: none returned. Words, ! under 70: none returned."


@pytest.mark.parametrize(
    ("weak", "error"), [(-1, InvalidArgumentError), (101, InvalidArgumentError), ("70", TypeError)]
)
@pytest.mark.parametrize("name", ["a.html", "a.png"])
def test_a_threshold_that_cannot_be_is_refused(tmp_path: Path, name: str, weak: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="weak must be"):
        save_report(WHOLE, tmp_path / name, weak=weak)
    assert list(tmp_path.iterdir()) == []


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
