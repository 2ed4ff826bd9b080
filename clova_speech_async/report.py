"""An assessment as a report in a file. The HTML form is made here and needs nothing; the pictures need matplotlib.

The HTML is one file without scripts and without anything to load: the words and their phones are real text that a
screen reader reads, the waveforms are inline SVG, and it follows the reader's choice of light or dark; on paper it is
always light. Colour is never the only sign: every score is a number, and a weak one has an exclamation mark. Everything
that came from outside is escaped.
"""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .assessment import AlignedWord, Assessment, words_to_show
from .details import Phone, Word
from .errors import ArgumentTypeError, InvalidArgumentError
from .marks import check_weak, practise_first, readable_ink, spoken
from .whole_file import path_of, write_whole

__all__ = ["report_html", "save_report"]

_WIDTH, _HEIGHT, _FOOT = 720, 140, 20  # of the waveforms; the heights are CSS pixels, the width is that of the page
_COLORS = ((0, 32, 77), (124, 123, 120), (255, 234, 70))  # at 0, 50 and 100; told apart by colour-blind people, too


def save_report(
    assessment: Assessment,
    path: str | os.PathLike[str],
    *,
    utterance: str | None = None,
    weak: int = 70,
    overwrite: bool = True,
) -> Path:
    """Write the assessment as .html, .png or .svg, whichever the path ends in, and return the file's path.

    The file is written whole or not at all. This blocks, for a picture some tenths of a second: in a coroutine use
    ``anyio.to_thread.run_sync``. `utterance` is the sentence that was to be said; without it the returned words make
    the sentence. Scores under `weak`, from 0 to 100, are marked.

    Raises `InvalidArgumentError` for another suffix, `MissingDependencyError` where a picture needs matplotlib or a
    font that is not installed, `FileExistsError` where the file exists and `overwrite` is False, and any other
    `OSError` where it cannot be written.
    """
    target = path_of(path)
    suffix = target.suffix.lower()
    if suffix == ".html":
        data = report_html(assessment, utterance=utterance, weak=weak).encode("utf-8", "replace")
    elif suffix in (".png", ".svg"):
        data = _picture(assessment, utterance, weak, suffix[1:])
    else:
        raise InvalidArgumentError(f"path {str(target)!r} must end in .html, .png or .svg")
    write_whole(target, data, overwrite=overwrite)
    return target


def _picture(assessment: Assessment, utterance: str | None, weak: int, form: str) -> bytes:
    from .picture import plot_assessment  # here, because HTML must do without matplotlib

    figure = plot_assessment(assessment, utterance=utterance, weak=weak)
    # What the picture shows, for those who do not see it.
    metadata = {"Title": "Pronunciation", "Description": _clean(spoken(assessment, utterance, weak))}
    # The same assessment gives the same file on another day.
    dated: dict[str, str | None] = {**metadata, "Date": None} if form == "svg" else {**metadata}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=150, metadata=dated)
    return buffer.getvalue()


def report_html(assessment: Assessment, *, utterance: str | None = None, weak: int = 70) -> str:
    """The assessment as one self-contained HTML page; see `save_report`."""
    if not isinstance(assessment, Assessment):
        raise ArgumentTypeError(
            f"assessment must be an Assessment, such as recognition.assessment, not {assessment!r}",
            argument="assessment",
        )
    check_weak(weak)
    words, others = words_to_show(assessment, utterance)
    sentence = utterance if utterance is not None else " ".join(word.text for word in assessment.words)
    page = _Words("ko" if any("\uac00" <= c <= "\ud7a3" for c in sentence) else "en", weak)
    low, middle, high = (bytes(color).hex() for color in _COLORS)
    title = f"Pronunciation: {_text(sentence)}" if sentence.strip() else "Pronunciation"
    parts = [
        _HEAD.format(title=title, low=low, middle=middle, high=high),
        "<h1>Pronunciation</h1>\n",
        f"<p class='sentence' lang='{page.language}'>{_text(sentence)}</p>\n" if sentence.strip() else "",
        _total(assessment.score),
        page.summary(words),
        f"<h2>Words</h2>\n{page.list_of(words)}",
    ]
    if others:
        extra = [AlignedWord(word.text, word) for word in others]
        parts.append(f"<h2>Returned, but not in the sentence</h2>\n{page.list_of(extra)}")
    parts.append(page.legend(words, others))
    parts.append(f"<h2>Waveforms</h2>\n{_waveforms(assessment)}</main>\n</body>\n</html>\n")
    return "".join(parts)


def _total(score: int | None) -> str:
    if score is None:
        return "<p>Sentence score: none returned</p>\n"
    return (
        f"<p class='total'>Sentence score: <strong>{score}</strong> of 100</p>\n"
        f"<div class='bar' aria-hidden='true'><div style='width:{score}%'></div></div>\n"
    )


# --- words ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Words:
    """Writes the words of one page."""

    language: str
    weak: int

    def summary(self, words: Sequence[AlignedWord]) -> str:
        first = practise_first(words, self.weak)
        said = ", ".join(f"<span>{self._spelled(word.text)} {self._score(word.score)}</span>" for word in first)
        return f"<p class='first'>Practise first: {said}</p>\n" if said else ""

    def list_of(self, words: Sequence[AlignedWord]) -> str:
        if not words:
            return "<p class='note'>The service returned no words.</p>\n"
        return f"<ul class='words' role='list'>\n{''.join(map(self._word, words))}</ul>\n"

    def legend(self, words: Sequence[AlignedWord], others: Sequence[Word]) -> str:
        """What the numbers, the marks and the colours mean, as far as they are there."""
        returned = [*(word.word for word in words if word.word is not None), *others]
        parts = []
        if returned:
            parts.append("A number is the score, from 0 to 100, of the word or the sound that it stands with")
            parts[0] += f"; {_MARK} marks one under {self.weak}."
        if any(not word.returned for word in words):
            parts.append("The service returned nothing for the words without a number.")
        text = f"<p class='note'>{' '.join(parts)}</p>\n" if parts else ""
        if any(phone.score is not None for word in returned for phone in word.phones):
            text += "<p class='note scale'>Colour of a sound: 0 <span></span> 100</p>\n"
        return text

    def _word(self, word: AlignedWord) -> str:
        text = self._spelled(word.text)
        if word.word is None:
            return f"<li class='absent'>{text}</li>\n"
        score = "no score" if word.score is None else self._score(word.score)
        phones = "".join(map(self._phone, word.word.phones))
        inner = f"<ul class='phones' role='list' aria-label='sounds'>{phones}</ul>" if phones else ""
        return f"<li{self._class(word.score)}>{text} <span class='score'>{score}</span>{inner}</li>\n"

    def _phone(self, phone: Phone) -> str:
        style = ""
        if phone.score is not None:
            color = _color(phone.score)
            style = f" style='background:#{bytes(color).hex()};color:{readable_ink(color)}'"
        letters = self._spelled(phone.letters) if phone.letters else "<span>&nbsp;</span>"
        ipa = f"<span lang='{self.language}-fonipa'>/{_text(phone.ipa)}/</span>" if phone.ipa else "<span>&nbsp;</span>"
        score = f"<span>{self._score(phone.score)}</span>"
        return f"<li{self._class(phone.score)}{style}>{letters}{ipa}{score}</li>"

    def _spelled(self, text: str) -> str:
        return f"<span lang='{self.language}'>{_text(text)}</span>"

    def _is_weak(self, score: int | None) -> bool:
        return score is not None and score < self.weak

    def _class(self, score: int | None) -> str:
        return " class='weak'" if self._is_weak(score) else ""

    def _score(self, score: int | None) -> str:
        if score is None:
            return "<abbr title='no score'>–</abbr>"
        return f"{score}{_MARK if self._is_weak(score) else ''}"


_MARK = "<span role='img' aria-label='weak'>!</span>"


def _color(score: int) -> tuple[int, int, int]:
    low, high = (_COLORS[0], _COLORS[1]) if score < 50 else (_COLORS[1], _COLORS[2])
    part = score % 50 / 50 if score < 100 else 1.0
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue


# --- waveforms ------------------------------------------------------------------------------------


def _waveforms(assessment: Assessment) -> str:
    reference, user = assessment.reference_graph or (), assessment.user_graph or ()
    if not (reference or user):
        return "<p class='note'>The service returned no waveforms.</p>\n"
    longest = max(len(reference), len(user), 2)
    highest = max(1, *reference, *user)
    seconds = (longest - 1) / Assessment.graph_rate
    # The colours stand in attributes, too, for readers that do not apply a page's style to its drawings.
    said = [_said("reference", reference), _said("speaker", user)]
    thick = 2 if seconds <= 15 else 1  # the curves of a long recording are so dense that thick lines would cover them
    shapes = ""
    if reference:
        path = _points(reference, longest, highest)
        end = (len(reference) - 1) * _WIDTH / (longest - 1)
        color = f"fill='#9ecae1' stroke='#2171b5' stroke-width='{thick / 2:g}'"
        shapes += f"<polygon class='reference' {color} {_LINE} points='0,{_HEIGHT} {path} {end:.1f},{_HEIGHT}'/>"
    if user:
        line = _points(user, longest, highest)
        color = f"fill='none' stroke='#b34700' stroke-width='{thick}'"
        shapes += f"<polyline class='speaker' {color} {_LINE} points='{line}'/>"
    axis = f"<line class='axis' stroke='#666666' {_LINE} x1='0' x2='{_WIDTH}' y1='{_HEIGHT}' y2='{_HEIGHT}'/>"
    # The curves are stretched to the width there is; the seconds below them keep the size of letters.
    inner = f"width='100%' height='{_HEIGHT}' viewBox='0 0 {_WIDTH} {_HEIGHT}' preserveAspectRatio='none'"
    return (
        f"<figure><svg width='100%' height='{_HEIGHT + _FOOT}' role='img' aria-label='Waveforms: {'; '.join(said)}'>"
        f"<svg {inner} overflow='visible' aria-hidden='true'>{axis}{shapes}</svg>{_ticks(seconds)}</svg>\n"
        f"<figcaption><span><span class='key area'></span>{said[0]}</span> "
        f"<span><span class='key line'></span>{said[1]}</span></figcaption></figure>\n"
    )


_LINE = "vector-effect='non-scaling-stroke'"


def _said(name: str, graph: Sequence[int]) -> str:
    return f"{name}: {len(graph) / Assessment.graph_rate:.2f} s" if graph else f"{name}: no waveform returned"


def _points(graph: Sequence[int], longest: int, highest: int) -> str:
    """The values as SVG points; the first value stands at the left edge, the last of the longer graph at the right."""
    across = _WIDTH / (longest - 1)
    return " ".join(
        f"{i * across:.1f},{_HEIGHT - (_HEIGHT - 4) * max(0, value) / highest:.1f}" for i, value in enumerate(graph)
    )


def _ticks(seconds: float) -> str:
    step = next((step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if seconds / step <= 8), 60)
    ticks = []
    for index in range(int(seconds / step + 1e-9) + 1):
        x = 100 * index * step / seconds
        anchor = "start" if index == 0 else "end" if x > 97 else "middle"
        label = f"{index * step:g}" + (" s" if index == 0 else "")
        ticks.append(f"<text x='{x:.2f}%' y='{_HEIGHT + 15}' font-size='12' text-anchor='{anchor}'>{label}</text>")
    return "".join(ticks)


# --- page -----------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """The text escaped, without what may not stand in HTML: control characters and non-characters."""
    return escape(_clean(text))


def _clean(text: str) -> str:
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cs", "Cn") else " " for c in text)


_HEAD = """<!doctype html>
<html lang='en'>
<head>
<meta charset='utf-8'>
<meta name='viewport' content='width=device-width, initial-scale=1'>
<meta http-equiv='Content-Security-Policy' content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ --ink: #1b1b1b; --paper: #ffffff; --faint: #666666; --edge: #767676;
  --area: #9ecae1; --outline: #2171b5; --line: #b34700; }}
@media screen {{ :root {{ color-scheme: light dark; }} }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --ink: #eeeeee; --paper: #16181b; --faint: #a3a3a3; --edge: #8c8c8c;
    --area: #35617c; --outline: #6baed6; --line: #ffb068; }}
}}
@media (forced-colors: active) {{
  :root {{ --ink: CanvasText; --paper: Canvas; --faint: CanvasText; --edge: CanvasText;
    --area: Canvas; --outline: CanvasText; --line: Highlight; }}
}}
body {{ margin: 0; color: var(--ink); background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 60rem; margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: 1.1rem; margin: 0; }} h2 {{ font-size: 1.1rem; margin: 1.5rem 0 .5rem; break-after: avoid; }}
p {{ margin: .5rem 0; }} p, ul {{ overflow-wrap: anywhere; }}
.sentence {{ font-size: 1.25rem; }} :lang(ko) {{ word-break: keep-all; }} .first > span {{ display: inline-block; }}
.total strong {{ font-size: 2.5rem; line-height: 1; }}
.bar {{ max-width: 20rem; height: .75rem; margin-bottom: 1rem; border: 1px solid var(--edge); }}
.bar div {{ height: 100%; background: var(--ink); }}
.bar div, .scale span, .phones li, .key {{ print-color-adjust: exact; forced-color-adjust: none; }}
ul {{ list-style: none; margin: 0; padding: 0; }}
.words > li {{ display: inline-block; vertical-align: top; margin: 0 .75rem .75rem 0; break-inside: avoid; }}
.words > .weak > span, .phones .weak > :last-child {{ font-weight: bold; }}
.absent, .note, .score, figcaption {{ color: var(--faint); }} .weak > .score {{ color: inherit; }}
.note, .score, .phones li {{ font-size: .85rem; }}
.phones li {{ display: inline-block; min-width: 1.6rem; margin: 0 -1px -1px 0; padding: .1rem .3rem;
  text-align: center; border: 1px solid var(--edge); }}
.phones li > span {{ display: block; }}
.scale span {{ display: inline-block; width: 8rem; height: .8rem; vertical-align: middle; border: 1px solid var(--edge);
  background: linear-gradient(90deg, #{low}, #{middle}, #{high}); }}
figure {{ margin: 0; break-inside: avoid; }} svg {{ display: block; overflow: visible; }}
svg text {{ fill: var(--faint); font-size: 12px; }} .axis {{ stroke: var(--faint); }}
.reference {{ fill: var(--area); stroke: var(--outline); }} .speaker {{ stroke: var(--line); }}
figcaption > span {{ display: inline-block; margin-right: 1rem; }}
.key {{ display: inline-block; width: 1.5rem; margin-right: .4rem; vertical-align: middle; }}
.area {{ height: .8rem; background: var(--area); border: 1px solid var(--outline); box-sizing: border-box; }}
.line {{ border-top: 2px solid var(--line); }}
</style>
</head>
<body>
<main>
"""
