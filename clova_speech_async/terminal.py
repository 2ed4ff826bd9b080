"""An assessment as lines for a terminal, or for whatever it is piped into. Needs Rich (the extra ``cli``).

Colour is never the only sign: a weak word has its score and an exclamation mark below it and its weak sounds under
that. Only what is weak is coloured, because of the sixteen colours none is readable in every terminal, dark or light.
What the encoding cannot print is written otherwise: a sound in letters instead of IPA, a waveform in hashes instead
of braille.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass

from .assessment import AlignedWord, Assessment, words_to_show
from .details import Phone
from .errors import MissingDependencyError
from .marks import check_weak, marked, practise_first

try:
    from rich.cells import cell_len, chop_cells, set_cell_size
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text
except ImportError as error:
    raise MissingDependencyError("output in a terminal needs Rich: pip install 'clova-speech-async[cli]'") from error

__all__ = ["AssessmentView"]

_GRAPH_ROWS = 3
_WEAK, _ABSENT = "bold magenta", "italic"  # dim letters are hard to read, and the sentence is there to be read


@dataclass(frozen=True)
class AssessmentView:
    """A Rich renderable of one assessment: ``console.print(AssessmentView(assessment, utterance=…))``.

    Shows the sentence score; of many words those to practise first; the sentence, each returned word's score below it
    and the sounds that scored under `weak` below that; and both waveforms over the width there is. `utterance` is the
    sentence that was to be said; without it the returned words make the sentence.
    """

    assessment: Assessment
    _: KW_ONLY
    utterance: str | None = None
    weak: int = 70

    def __post_init__(self) -> None:
        check_weak(self.weak)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = _Lines(self, max(options.max_width, 10), options.encoding)
        for line in lines.all():
            yield Text.assemble(*line, no_wrap=True, overflow="ignore", end="\n")


Parts = list[tuple[str, str]]
"""A line: texts with their styles."""


@dataclass(frozen=True)
class _Block:
    """A word and what stands below it, as a column of lines."""

    lines: tuple[tuple[str, str], ...]

    @property
    def width(self) -> int:
        return max(cell_len(text) for text, _ in self.lines)


class _Lines:
    """The view laid out for one width and one encoding."""

    def __init__(self, view: AssessmentView, width: int, encoding: str) -> None:
        self.view = view
        self.width = width
        self.encoding = encoding
        self.braille = self._can_print("\u28ff")

    def all(self) -> Iterator[Parts]:
        assessment = self.view.assessment
        words, others = words_to_show(assessment, self.view.utterance)
        score = assessment.score
        shown = "none returned" if score is None else f"{score} of 100"
        yield from self._wrapped("Sentence score: ", shown, self._style(score) or "bold")
        yield []
        first = practise_first(words, self.view.weak)
        if first:
            weakest = [f"{self._printable(word.text)} {marked(word.score, self.view.weak)}" for word in first]
            yield from self._running(["Practise", "first:", *(f"{text}," for text in weakest[:-1]), weakest[-1]])
        if words:
            yield from self._flow([block for word in words for block in self._blocks(word)])
        if others:
            yield from self._wrapped("", "Returned, but not in the sentence:", "")
            extra = [AlignedWord(word.text, word) for word in others]
            yield from self._flow([block for word in extra for block in self._blocks(word)])
        if not (words or others):
            yield from self._wrapped("", "The service returned no words.", "")
            yield []
        if any(word.returned for word in words) or others:
            yield from self._wrapped("", self._legend(words), "")
            yield []
        yield from self._graphs()

    def _legend(self, words: Sequence[AlignedWord]) -> str:
        legend = (
            f"A number is the score of the word above it, ! one under {self.view.weak}; below stand the sounds under "
            f"{self.view.weak}."
        )
        missing = any(not word.returned for word in words)
        return legend + (" The service returned nothing for words without a number." if missing else "")

    # --- words ------------------------------------------------------------------------------------

    def _blocks(self, word: AlignedWord) -> Iterator[_Block]:
        """The word as a block; one wider than the line as several, the last with the scores."""
        style = self._style(word.score) if word.returned else _ABSENT
        *parts, last = chop_cells(self._printable(word.text), self.width) or [""]
        for part in parts:
            yield _Block(((part, style),))
        lines = [(last, style)]
        if word.word is not None:
            score = "-" if word.score is None else marked(word.score, self.view.weak)
            lines.append((score, style))
            lines += [self._phone(phone) for phone in word.word.phones if self._is_weak(phone)]
        yield _Block(tuple((set_cell_size(text, min(cell_len(text), self.width)), kind) for text, kind in lines))

    def _is_weak(self, phone: Phone) -> bool:
        return phone.score is not None and phone.score < self.view.weak

    def _phone(self, phone: Phone) -> tuple[str, str]:
        sound = f"/{phone.ipa}/" if phone.ipa and self._can_print(phone.ipa) else self._printable(phone.letters)
        return f"{sound or '?'} {phone.score}", self._style(phone.score)

    def _flow(self, blocks: Sequence[_Block]) -> Iterator[Parts]:
        """The blocks side by side, in as many rows as the width asks for."""
        row: list[_Block] = []
        used = 0
        for block in blocks:
            if row and used + 1 + block.width > self.width:
                yield from self._row(row)
                row, used = [], 0
            used += block.width + (1 if row else 0)
            row.append(block)
        yield from self._row(row)

    def _row(self, row: Sequence[_Block]) -> Iterator[Parts]:
        for level in range(max(len(block.lines) for block in row)):
            parts: Parts = []
            for block in row:
                text, style = block.lines[level] if level < len(block.lines) else ("", "")
                parts += [(text, style), (" " * (block.width - cell_len(text) + 1), "")]
            while parts and not parts[-1][0].strip():
                parts.pop()
            yield parts
        yield []

    # --- waveforms --------------------------------------------------------------------------------

    def _graphs(self) -> Iterator[Parts]:
        graphs = {"Reference": self.view.assessment.reference_graph, "Speaker": self.view.assessment.user_graph}
        if not any(graphs.values()):
            yield from self._wrapped("", "The service returned no waveforms.", "")
            return
        longest = max(len(graph or ()) for graph in graphs.values())
        highest = max(max(graph, default=0) for graph in graphs.values() if graph)
        for name, graph in graphs.items():
            if not graph:
                yield from self._wrapped(f"{name}: ", "no waveform returned", "")
                continue
            yield from self._wrapped(f"{name}: ", f"{len(graph) / Assessment.graph_rate:.2f} s", "")
            draw = _draw_braille if self.braille else _draw_ascii
            for line in draw(graph, longest, max(highest, 1), self.width):
                yield [(line, "")]
        seconds = f"{longest / Assessment.graph_rate:.2f} s"
        yield [("0" + seconds.rjust(self.width - 1), "")]

    # --- text -------------------------------------------------------------------------------------

    def _style(self, score: int | None) -> str:
        return _WEAK if score is not None and score < self.view.weak else ""

    def _wrapped(self, label: str, text: str, style: str) -> Iterator[Parts]:
        lines = textwrap.wrap(label + text, self.width)
        for line in lines:
            head = label if line.startswith(label) else ""
            yield [(head, ""), (line.removeprefix(head), style)]

    def _running(self, texts: Sequence[str]) -> Iterator[Parts]:
        """The texts one after the other, in as many lines as the width asks for."""
        line = ""
        for text in texts:
            for part in chop_cells(text, self.width):
                if line and cell_len(line) + 1 + cell_len(part) > self.width:
                    yield [(line, "")]
                    line = ""
                line += f" {part}" if line else part
        yield [(line, "")]
        yield []

    def _can_print(self, text: str) -> bool:
        try:
            text.encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return text.isprintable()

    def _printable(self, text: str) -> str:
        return text if self._can_print(text) else "".join(c if self._can_print(c) else "?" for c in text)


def _heights(graph: Sequence[int], longest: int, highest: int, columns: int, levels: int) -> list[int]:
    """The highest value within each column's time, as a number of levels; any sound at all is one level."""
    heights: list[int] = []
    for column in range(columns):
        first = column * longest // columns
        value = max(graph[first : max((column + 1) * longest // columns, first + 1)], default=0)
        heights.append(max(1, round(value * levels / highest)) if value > 0 else 0)
    return heights


def _draw_braille(graph: Sequence[int], longest: int, highest: int, width: int) -> Iterator[str]:
    left, right = (0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08)  # dots of a braille letter, from below
    heights = _heights(graph, longest, highest, 2 * width, 4 * _GRAPH_ROWS)
    for row in range(_GRAPH_ROWS - 1, -1, -1):
        letters = []
        for first, second in zip(heights[::2], heights[1::2], strict=True):
            dots = sum(left[: max(0, first - 4 * row)]) + sum(right[: max(0, second - 4 * row)])
            letters.append(chr(0x2800 + dots) if dots else " ")
        yield "".join(letters).rstrip()


def _draw_ascii(graph: Sequence[int], longest: int, highest: int, width: int) -> Iterator[str]:
    heights = _heights(graph, longest, highest, width, 2 * _GRAPH_ROWS)
    for row in range(_GRAPH_ROWS - 1, -1, -1):
        yield "".join(" .#"[min(2, max(0, height - 2 * row))] for height in heights).rstrip()
