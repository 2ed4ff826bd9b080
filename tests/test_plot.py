from __future__ import annotations

import io
import math
import re
from itertools import combinations
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from clova_speech_async.assessment import Assessment, Phone, Word
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError, MissingDependencyError
from clova_speech_async.plot import plot_assessment

SENTENCE = (
    "The stale smell of old beer lingers. It takes heat to bring out the odor. A cold dip restores health and zest. "
    "A salt pickle tastes fine with ham. Tacos al pastor are my favorite. A zestful food is the hot cross bun."
)


def _word(text: str, number: int) -> Word:
    return Word(
        text, tuple(Phone(c, "oʊ" if c in "aeiou" else c, (number * 31 + i * 17) % 101) for i, c in enumerate(text))
    )


def _sentence(every: int = 1) -> Assessment:
    texts = ["".join(filter(str.isalnum, word.lower())) for word in SENTENCE.split()]
    words = tuple(_word(text, n) for n, text in enumerate(texts) if n % every == 0)
    graph = tuple(round(20 * abs(math.sin(i / 9))) for i in range(400))
    return Assessment(81, words, graph, graph[30:])


ONE_WORD = Assessment(71, (_word("false", 3),), (0, 5, 9), (0, 4, 8))
WIDE_WORD = Assessment(None, (Word("pneumono" * 20, tuple(Phone("xy"[: i % 3], "oʊ" * (i % 3)) for i in range(90))),))
CASES = {
    "forty words": (_sentence(), SENTENCE),
    "some of forty words": (_sentence(3), SENTENCE),
    "one word": (ONE_WORD, "False!"),
    "no utterance": (ONE_WORD, None),
    "another sentence": (ONE_WORD, "This is true."),
    "no graphs": (Assessment(71, ONE_WORD.words), "false"),
    "no user graph": (Assessment(71, ONE_WORD.words, (1, 2, 3)), "false"),
    "no reference graph": (Assessment(71, ONE_WORD.words, None, (1,)), "false"),
    "no words": (Assessment(71, (), (1, 2), (2, 1)), None),
    "nothing": (Assessment(), None),
    "a word wider than the row": (WIDE_WORD, None),
    "no scores": (Assessment(None, (Word("odd", (Phone("o", "ɒ"), Phone("", ""), Phone("d", ""))),)), "odd"),
    "dollars": (Assessment(1, (Word("$x_1$", (Phone("$", "^", 1),)),)), "$x_1$ \\frac{"),
}


def _page(figure: Figure) -> Axes:
    """The axes that hold the words."""
    return next(axes for axes in figure.findobj(Axes) if len(axes.texts) > 0)


def _undrawn(axes: Axes) -> list[Text]:
    """Labels of ticks that matplotlib keeps beyond the ends of an axis and does not draw."""
    across, up = axes.get_xlim(), axes.get_ylim()
    labels = [text for text in axes.get_xticklabels() if not across[0] <= text.get_position()[0] <= across[1]]
    return labels + [text for text in axes.get_yticklabels() if not up[0] <= text.get_position()[1] <= up[1]]


def _boxes(figure: Figure, dpi: float = 200) -> list[tuple[str, Bbox]]:
    figure.set_dpi(dpi)
    figure.draw_without_rendering()
    beyond = {label for axes in figure.findobj(Axes) if axes.axison for label in _undrawn(axes)}
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text not in beyond]
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


@pytest.mark.parametrize("name", CASES)
def test_no_text_covers_another_or_leaves_the_picture(name: str) -> None:
    assessment, utterance = CASES[name]
    figure = plot_assessment(assessment, utterance=utterance)
    boxes = _boxes(figure)
    for text, box in boxes:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width, text
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height, text
    for (one, first), (other, second) in combinations(boxes, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert wide <= 1 or high <= 0.25 * min(first.height, second.height), (one, other)


@pytest.mark.parametrize("name", CASES)
def test_every_letter_is_drawn(name: str) -> None:
    assessment, utterance = CASES[name]
    drawn = [text.get_text() for text in _page(plot_assessment(assessment, utterance=utterance)).texts]
    words = utterance.split() if utterance is not None else [word.text for word in assessment.words]
    for word in words:
        assert word in "".join(drawn)
    phones = [phone for word in assessment.words for phone in word.phones]
    for phone in phones:
        assert not phone.ipa or f"/{phone.ipa}/" in drawn
    assert sum(text == "–" for text in drawn) == sum(phone.score is None for phone in phones)


def test_both_waveforms_are_drawn_over_seconds_and_differ_by_more_than_colour() -> None:
    figure = plot_assessment(_sentence())
    waves = next(axes for axes in figure.findobj(Axes) if axes.get_xlabel() == "seconds")
    (line,) = waves.lines
    (area,) = waves.collections
    assert list(line.get_xdata())[:3] == [0.0, 0.02, 0.04]
    assert list(line.get_ydata()) == list(_sentence().user_graph or ())
    assert area.get_paths()[0].vertices[:, 1].max() == max(_sentence().reference_graph or ())
    assert waves.get_xlim() == (0, 399 / 50)
    assert [text.get_text() for text in waves.get_legend().get_texts()] == ["Reference (area)", "Speaker (line)"]


def test_what_is_missing_is_said() -> None:
    def texts(assessment: Assessment) -> str:
        return "\n".join(text.get_text() for text in plot_assessment(assessment).findobj(Text))

    assert "no waveform of the speaker returned" in texts(Assessment(1, (), (1, 2)))
    assert "The service returned no waveforms." in texts(Assessment(1))
    assert "The service returned no words." in texts(Assessment(1))
    assert "Sentence score: none returned" in texts(Assessment())
    assert "Sentence score: 7 of 100" in texts(Assessment(7))


def test_weak_scores_are_marked_and_the_marks_explained() -> None:
    word = Word("ab", (Phone("a", "a", 79), Phone("b", "b", 80)))

    def texts(weak: int) -> list[str]:
        figure = plot_assessment(Assessment(1, (word,)), utterance="ab c", weak=weak)
        return [text.get_text() for text in _page(figure).texts]

    assert [text for text in texts(80) if text[:1].isdigit()] == ["80", "79!", "80"]
    assert [text for text in texts(81) if text[:1].isdigit()] == ["80!", "79!", "80!"]
    assert "! marks a score under 81." in texts(81)
    assert "The service returned nothing for the words without a number." in texts(80)
    drawn = _page(plot_assessment(ONE_WORD, utterance="false")).texts
    assert not [text for text in drawn if "nothing" in text.get_text()]


def test_of_many_words_the_weakest_are_named_first() -> None:
    figure = plot_assessment(_sentence(), utterance=SENTENCE)
    (line,) = (text.get_text() for text in _page(figure).texts if text.get_text().startswith("Practise"))
    lowest = min(word.score for word in _sentence().words if word.score is not None)
    assert re.findall(r" (\d+)!", line)[0] == str(lowest)
    assert line.count("!") == 5
    long = Assessment(1, tuple(Word("x" * 60 + str(n), (Phone("x", "x", n),)) for n in range(9)))
    (line,) = (text.get_text() for text in _page(plot_assessment(long)).texts if text.get_text().startswith("Practise"))
    assert line.count("!") == 1  # as many as one line holds
    huge = Assessment(1, tuple(Word("x" * 600, (Phone("x", "x", n),)) for n in range(9)))
    assert not [text for text in _page(plot_assessment(huge)).texts if text.get_text().startswith("Practise")]


def test_the_sentence_score_is_the_largest_text() -> None:
    score, *others = sorted(_page(plot_assessment(_sentence())).texts, key=lambda text: -text.get_fontsize())
    assert score.get_text() == "Sentence score: 81 of 100"
    assert score.get_fontsize() >= 1.5 * others[0].get_fontsize()


def _contrast(one: Any, other: Any) -> float:
    def luminance(color: Any) -> float:
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", ["some of forty words", "no user graph", "no scores", "nothing"])
def test_every_text_and_every_cell_stands_out_from_its_ground(name: str) -> None:
    assessment, utterance = CASES[name]
    figure = plot_assessment(assessment, utterance=utterance)
    page = _page(figure)
    grounds = [(cell.get_bbox(), cell.get_facecolor()) for cell in page.patches if isinstance(cell, Rectangle)]
    for text in page.texts:
        x, y = text.get_position()
        ground = next((color for box, color in grounds if box.contains(x, y)), "#ffffff")
        assert _contrast(text.get_color(), ground) >= 4.5, text.get_text()
    for cell in page.patches:
        assert _contrast(cell.get_edgecolor(), "#ffffff") >= 3
    for waves in (axes for axes in figure.findobj(Axes) if axes.get_xlabel() == "seconds"):
        assert _contrast(waves.title.get_color(), "#ffffff") >= 4.5
        for area in waves.collections:
            assert _contrast(area.get_edgecolor()[0], "#ffffff") >= 3
        for line in waves.lines:
            assert _contrast(line.get_color(), "#ffffff") >= 3


def test_narrow_axes_make_the_letters_smaller_and_cut_nothing() -> None:
    figure = Figure(figsize=(2, 12))
    figure.add_axes((0, 0, 1, 1))
    plot_assessment(CASES["no user graph"][0], figure.axes[0], utterance="false friends")
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in [*_page(figure).texts, *(text for axes in figure.findobj(Legend) for text in axes.get_texts())]:
        box = text.get_window_extent(renderer)
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width + 1, text


@pytest.mark.parametrize(("weak", "error"), [(101, InvalidArgumentError), (True, ArgumentTypeError)])
def test_a_threshold_that_cannot_be_is_refused(weak: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="weak must be"):
        plot_assessment(ONE_WORD, weak=weak)


@pytest.mark.parametrize("size", [(12, 9), (6, 6), (3, 2)])
def test_into_the_caller_s_axes_everything_is_fitted(size: tuple[float, float]) -> None:
    figure = Figure(figsize=size)
    left, right = figure.subplots(1, 2)
    right.plot([1, 2])
    assert plot_assessment(_sentence(), left, utterance=SENTENCE) is figure
    page = left.get_window_extent()
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in _page(figure).texts:
        box = text.get_window_extent(renderer)
        assert page.x0 - 1 <= box.x0 < box.x1 <= page.x1 + 2
        if size != (3, 2):  # where even the smallest letters do not fit, they go on below
            assert page.y0 - 1 <= box.y0
    assert len(right.lines) == 1


def test_the_axes_may_stand_in_a_subfigure() -> None:
    figure = Figure(figsize=(8, 8))
    part = figure.subfigures(1, 2)[0]
    assert plot_assessment(ONE_WORD, part.subplots()) is figure


def test_the_same_assessment_gives_the_same_picture() -> None:
    def png() -> bytes:
        buffer = io.BytesIO()
        plot_assessment(_sentence(), utterance=SENTENCE).savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    assert png() == png()


def test_no_figure_of_pyplot_is_made() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plot_assessment(ONE_WORD)
    assert pyplot.get_fignums() == before


def test_letters_without_a_font_are_an_error_that_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clova_speech_async.fonts._candidates", lambda: iter(()))
    with pytest.raises(MissingDependencyError, match=r"'녕안'.*install Noto Sans CJK"):
        plot_assessment(Assessment(1, (Word("안녕"),)))
    with pytest.raises(MissingDependencyError, match="'か'"):
        plot_assessment(ONE_WORD, utterance="か")


@pytest.mark.parametrize("wrong", [None, 81])
def test_something_else_than_an_assessment_is_refused(wrong: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="assessment must be an Assessment"):
        plot_assessment(wrong)


def test_a_notebook_shows_the_figure_by_itself() -> None:
    """Jupyter, VS Code and marimo ask for this method; pyplot, which has others, need not be there."""
    figure: Any = plot_assessment(Assessment(score=50), utterance="Well said")
    shown = figure._repr_png_()
    assert shown[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(shown[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == tuple(int(side) for side in figure.get_size_inches() * figure.dpi)
