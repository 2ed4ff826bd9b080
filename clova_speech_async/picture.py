"""An assessment as a picture. Needs matplotlib (the extra ``plot``).

Both waveforms over seconds, told apart by more than colour; below them the sentence with each word's phones as
coloured cells that hold letters, IPA and score. Cividis looks the same to colour-blind people, and a weak score has
an exclamation mark. Words that do not fit in a row go on in the next one; nothing is cut. Draws with `Figure` alone:
no display, no state of pyplot.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .assessment import AlignedWord, Assessment, words_to_show
from .details import Phone
from .errors import ArgumentTypeError
from .fonts import drawable, families_for  # before matplotlib: it says how to install it
from .marks import check_weak, marked, practise_first, readable_ink

from matplotlib import colormaps  # isort: skip
from matplotlib.axes import Axes  # isort: skip
from matplotlib.backends.backend_agg import RendererAgg  # isort: skip
from matplotlib.cm import ScalarMappable  # isort: skip
from matplotlib.colors import Normalize  # isort: skip
from matplotlib.figure import Figure  # isort: skip
from matplotlib.font_manager import FontProperties  # isort: skip
from matplotlib.patches import Rectangle  # isort: skip

__all__ = ["plot_assessment"]

# Sizes at scale 1, in points (1/72 inch).
_SCORE, _TEXT, _SMALL = 18.0, 11.0, 8.5
_LABEL_HEIGHT, _CELL_HEIGHT, _ROW_GAP, _WORD_GAP, _CELL_PAD = 17.0, 38.0, 12.0, 9.0, 6.0
_TITLE, _WAVES, _WAVES_FOOT, _NOTE, _BAR = 36.0, 120.0, 42.0, 18.0, 38.0
_WIDTH, _NARROWEST = 720.0, 300.0  # the notes and the waveforms' legend need the narrowest
_MARGIN = 18.0
_ENLARGED = 8
_PLAIN, _EDGE = "#666666", "#767676"
_COLORS = colormaps["cividis"]


def plot_assessment(
    assessment: Assessment, ax: Axes | None = None, *, utterance: str | None = None, weak: int = 70
) -> Figure:
    """Draw both waveforms and the scored words, and return the figure.

    Without `ax` the figure is a new one, ten inches wide and as high as the words ask for; as the last value of a
    notebook's cell it shows itself. With `ax` everything is
    drawn inside it, as small as it must be to fit; set its figure's size before. `utterance` is the sentence that
    was to be said; without it the returned words make the sentence. Scores under `weak`, from 0 to 100, are marked.

    Raises `MissingDependencyError` where no installed font has the letters, and names one to install.
    """
    if not isinstance(assessment, Assessment):
        raise ArgumentTypeError(
            f"assessment must be an Assessment, such as recognition.assessment, not {assessment!r}",
            argument="assessment",
        )
    check_weak(weak)
    words, others = words_to_show(assessment, utterance)
    ruler = _Ruler(families_for(_letters_of([*words, *(AlignedWord(word.text, word) for word in others)])))
    groups = [("", words)]
    if others:
        groups.append(("Returned, but not in the sentence:", tuple(AlignedWord(w.text, w) for w in others)))
    if ax is None:
        sheet = _Sheet(assessment, groups, ruler, weak, _WIDTH, 1.0)
        figure = _Picture(figsize=((_WIDTH + 2 * _MARGIN) / 72, (sheet.height + 2 * _MARGIN) / 72))
        wide, high = _MARGIN / (_WIDTH + 2 * _MARGIN), _MARGIN / (sheet.height + 2 * _MARGIN)
        ax = figure.add_axes((wide, high, 1 - 2 * wide, 1 - 2 * high))
    else:
        sheet = _fitted(assessment, groups, ruler, weak, ax)
    sheet.draw(ax)
    owner: Any = ax.figure
    root: Figure = owner if isinstance(owner, Figure) else owner.figure  # the axes may stand in a SubFigure
    return root


class _Picture(Figure):
    """A figure that a notebook shows, also where pyplot, which would see to that, has not been imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


Groups = Sequence[tuple[str, Sequence[AlignedWord]]]


def _fitted(assessment: Assessment, groups: Groups, ruler: _Ruler, weak: int, ax: Axes) -> _Sheet:
    """The largest sheet that fits into the axes as they are now."""
    points = 72 / ax.figure.dpi
    width, height = ax.bbox.width * points, ax.bbox.height * points
    for percent in range(100, 10, -5):
        scale = percent / 100
        sheet = _Sheet(assessment, groups, ruler, weak, width, scale)
        if sheet.height <= height and width >= _NARROWEST * scale:
            break
    return sheet


def _letters_of(words: Iterable[AlignedWord]) -> list[str]:
    texts = [drawable(word.text) for word in words]
    phones = [phone for word in words if word.word is not None for phone in word.word.phones]
    return texts + [drawable(phone.letters + phone.ipa) for phone in phones]


class _Ruler:
    """Measures texts in the fonts chosen for this picture, each text once."""

    def __init__(self, families: Sequence[str]) -> None:
        self.families = list(families)
        renderer: Any = RendererAgg
        self._renderer = renderer(1, 1, 72)  # at 72 dots an inch a dot is a point
        self._widths: dict[tuple[str, float], float] = {}

    def font(self, size: float) -> FontProperties:
        return FontProperties(family=self.families, size=size)

    def width(self, text: str, size: float) -> float:
        """Points. Measured large, because small letters are rounded to whole dots."""
        width = self._widths.get((text, size))
        if width is None:
            large, _, _ = self._renderer.get_text_width_height_descent(text, self.font(size * _ENLARGED), False)
            width = self._widths[text, size] = float(large) / _ENLARGED
        return width


@dataclass(frozen=True)
class _Box:
    """A word, or a part of one that is wider than a row, with its cells."""

    label: str
    score: str
    returned: bool
    cells: tuple[tuple[Phone, float], ...]
    width: float


class _Sheet:
    """Everything laid out in points for one width; drawn into axes of that size."""

    def __init__(
        self, assessment: Assessment, groups: Groups, ruler: _Ruler, weak: int, width: float, scale: float
    ) -> None:
        self.assessment = assessment
        self.weak = weak
        self.width = width
        self.scale = scale
        self.ruler = ruler
        self.fonts = {size: ruler.font(size * scale) for size in (_SCORE, _TEXT, _SMALL)}
        self.groups = [
            (title, self._rows([box for word in words for box in self._boxes(word)])) for title, words in groups
        ]
        self.graphs = bool(assessment.reference_graph or assessment.user_graph)
        self.first = self._practise_first(groups[0][1])
        self.notes = self._notes([word for _, words in groups for word in words])
        self.height = scale * (
            _TITLE
            + (_NOTE if self.first else 0)
            + (_WAVES + _WAVES_FOOT if self.graphs else _NOTE)
            + sum(sum(map(_row_height, rows)) + (_NOTE if title else 0) for title, rows in self.groups)
            + _NOTE * len(self.notes)
            + (_BAR if any(rows for _, rows in self.groups) else 0)
        )

    # --- layout -----------------------------------------------------------------------------------

    def measure(self, text: str, size: float) -> float:
        return self.ruler.width(text, size) * self.scale

    def _practise_first(self, words: Sequence[AlignedWord]) -> str:
        """As many of the weakest words as one line holds."""
        texts = [f"{drawable(word.text)} {marked(word.score, self.weak)}" for word in practise_first(words, self.weak)]
        while texts:
            line = f"Practise first: {', '.join(texts)}"
            if self.measure(line, _TEXT) <= self.width:
                return line
            texts.pop()
        return ""

    def _notes(self, words: Sequence[AlignedWord]) -> list[str]:
        notes = [f"! marks a score under {self.weak}."] if any(word.returned for word in words) else []
        if not all(word.returned for word in words):
            notes.append("The service returned nothing for the words without a number.")
        return notes if words else ["The service returned no words."]

    def _boxes(self, word: AlignedWord) -> list[_Box]:
        """The word as one box, or as many as it takes where it is wider than a row."""
        labels = self._cut(drawable(word.text), self.width - self.measure("  100!", _TEXT))
        returned = word.word is not None
        runs: list[list[tuple[Phone, float]]] = [[]]
        for phone in word.word.phones if word.word is not None else ():
            texts = (*self._cell_texts(phone), "100")
            wide = max(self.measure(text, _SMALL) for text in texts) + _CELL_PAD * self.scale
            cell = (phone, min(wide, self.width))
            if runs[-1] and sum(width for _, width in runs[-1]) + cell[1] > self.width:
                runs.append([])
            runs[-1].append(cell)
        boxes = [_Box(label, "", returned, (), self.measure(label, _TEXT)) for label in labels[:-1]]
        for index, run in enumerate(runs):
            label = labels[-1] if index == 0 else "…"
            score = marked(word.score, self.weak) if index == 0 and word.score is not None else ""
            above = self.measure(label, _TEXT) + (self.measure(f"{score}  ", _TEXT) if score else 0)
            boxes.append(_Box(label, score, returned, tuple(run), max(above, sum(width for _, width in run))))
        return boxes

    def _cut(self, text: str, width: float) -> list[str]:
        parts = [""]
        for character in text:
            if parts[-1] and self.measure(parts[-1] + character, _TEXT) > width:
                parts.append("")
            parts[-1] += character
        return parts

    def _rows(self, boxes: Iterable[_Box]) -> list[list[_Box]]:
        rows: list[list[_Box]] = []
        used = 0.0
        for box in boxes:
            gap = _WORD_GAP * self.scale
            if not rows or used + gap + box.width > self.width:
                rows.append([])
                used = -gap
            rows[-1].append(box)
            used += gap + box.width
        return rows

    # --- drawing ----------------------------------------------------------------------------------

    def draw(self, ax: Axes) -> None:
        ax.set_axis_off()
        page = ax.inset_axes((0, 0, 1, 1))
        page.set_axis_off()
        page.set(xlim=(0, self.width), ylim=(self.height, 0))
        score = self.assessment.score
        shown = "Sentence score: " + ("none returned" if score is None else f"{score} of 100")
        self._text(page, 0, _TITLE / 2 * self.scale, shown, fontproperties=self.fonts[_SCORE])
        y = _TITLE * self.scale
        if self.first:
            self._text(page, 0, y + _NOTE / 2 * self.scale, self.first)
            y += _NOTE * self.scale
        if self.graphs:
            self._draw_waves(ax, y)
            y += (_WAVES + _WAVES_FOOT) * self.scale
        else:
            self._note(page, y, "The service returned no waveforms.")
            y += _NOTE * self.scale
        for title, rows in self.groups:
            if title:
                self._note(page, y, title)
                y += _NOTE * self.scale
            for row in rows:
                self._draw_row(page, y, row)
                y += _row_height(row) * self.scale
        for note in self.notes:
            self._note(page, y, note)
            y += _NOTE * self.scale
        if any(rows for _, rows in self.groups):
            self._draw_bar(ax, y)

    def _text(self, page: Axes, x: float, y: float, text: str, **style: Any) -> None:
        style = {"fontproperties": self.fonts[_TEXT], "ha": "left", **style}
        page.text(x, y, text, va="center", parse_math=False, **style)

    def _note(self, page: Axes, y: float, text: str) -> None:
        self._text(page, 0, y + _NOTE * self.scale / 2, text, fontproperties=self.fonts[_SMALL], color=_PLAIN)

    def _inset(self, ax: Axes, x: float, y: float, width: float, height: float) -> Axes:
        return ax.inset_axes((x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height))

    def _draw_waves(self, ax: Axes, y: float) -> None:
        left = 36 * self.scale
        top = 16 * self.scale
        waves = self._inset(ax, left, y + top, self.width - left, _WAVES * self.scale - top)
        rate = Assessment.graph_rate
        missing = []
        for name, graph in (("reference", self.assessment.reference_graph), ("speaker", self.assessment.user_graph)):
            if not graph:
                missing.append(f"no waveform of the {name} returned")
                continue
            seconds = [index / rate for index in range(len(graph))]
            if name == "reference":
                style: dict[str, Any] = {"facecolor": "#9ecae1", "edgecolor": "#2171b5", "linewidth": 0.8 * self.scale}
                waves.fill_between(seconds, graph, label="Reference (area)", **style)
            else:
                waves.plot(seconds, graph, color="#b34700", linewidth=1.4 * self.scale, label="Speaker (line)")
        longest = max(len(self.assessment.reference_graph or ()), len(self.assessment.user_graph or ()), 2)
        waves.set_xlim(0, (longest - 1) / rate)
        waves.set_ylim(bottom=0)
        waves.set_xlabel("seconds", fontsize=_SMALL * self.scale, labelpad=1)
        waves.set_ylabel("level", fontsize=_SMALL * self.scale, labelpad=2)
        waves.tick_params(labelsize=_SMALL * self.scale, pad=2)
        waves.spines[["top", "right"]].set_visible(False)
        options: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2, "ncols": 2}
        waves.legend(fontsize=_SMALL * self.scale, frameon=False, **options)
        if missing:
            waves.set_title(
                "; ".join(missing), fontsize=_SMALL * self.scale, loc="left", color=_PLAIN, pad=3 * self.scale
            )

    def _draw_row(self, page: Axes, y: float, row: Sequence[_Box]) -> None:
        x = 0.0
        for box in row:
            middle = y + _LABEL_HEIGHT * self.scale / 2
            if box.returned:
                self._text(page, x, middle, box.label)
                after = x + self.measure(box.label + " ", _TEXT)
                self._text(page, after, middle, box.score, fontproperties=self.fonts[_SMALL])
            else:
                self._text(page, x, middle, box.label, color=_PLAIN)
            left = x
            for phone, width in box.cells:
                self._draw_cell(page, left, y + _LABEL_HEIGHT * self.scale, width, phone)
                left += width
            x += box.width + _WORD_GAP * self.scale

    def _draw_cell(self, page: Axes, x: float, y: float, width: float, phone: Phone) -> None:
        height = _CELL_HEIGHT * self.scale
        cell = Rectangle((x, y), width, height, edgecolor=_EDGE, linewidth=0.6 * self.scale)
        ink = "#000000"
        if phone.score is None:
            cell.set(facecolor="#ffffff", linestyle=":")
        else:
            red, green, blue, _ = _COLORS(phone.score / 100)
            cell.set_facecolor((red, green, blue))
            ink = readable_ink((red * 255, green * 255, blue * 255))
        page.add_patch(cell)
        for line, text in enumerate(self._cell_texts(phone)):
            style = {"ha": "center", "color": ink, "fontproperties": self.fonts[_SMALL]}
            self._text(page, x + width / 2, y + height * (line + 0.5) / 3, text, **style)

    def _cell_texts(self, phone: Phone) -> tuple[str, str, str]:
        ipa = f"/{drawable(phone.ipa)}/" if phone.ipa else ""
        return drawable(phone.letters), ipa, marked(phone.score, self.weak)

    def _draw_bar(self, ax: Axes, y: float) -> None:
        wide = min(160 * self.scale, self.width)
        bar = self._inset(ax, 0, y + 4 * self.scale, wide, 8 * self.scale)
        scores = ScalarMappable(Normalize(0, 100), _COLORS)
        ax.figure.colorbar(scores, cax=bar, orientation="horizontal")
        bar.set_xticks([0, 50, 100], ["0", "score of a sound", "100"])
        bar.tick_params(labelsize=_SMALL * self.scale, length=2, pad=2)


def _row_height(row: Sequence[_Box]) -> float:
    return _LABEL_HEIGHT + _ROW_GAP + (_CELL_HEIGHT if any(box.cells for box in row) else 0)
