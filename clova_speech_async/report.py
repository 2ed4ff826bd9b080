"""An assessment as a report in a file. The HTML form is made here and needs nothing; the pictures need matplotlib.

The HTML is one file without scripts and without anything to load: the words and their phones are real text that a
screen reader reads, the waveforms are inline SVG, and it follows the reader's choice of light or dark. Everything
that came from outside is escaped.
"""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Sequence
from html import escape
from pathlib import Path

from .assessment import AlignedWord, Assessment, words_to_show
from .details import Phone
from .errors import ArgumentTypeError, InvalidArgumentError
from .transcript import write_whole

__all__ = ["readable_ink", "report_html", "save_report"]

_WIDTH, _HEIGHT, _FOOT = 720, 120, 20  # of the waveforms, in CSS pixels
_COLORS = ((0, 32, 77), (124, 123, 120), (255, 234, 70))  # at 0, 50 and 100; told apart by colour-blind people, too


def save_report(
    assessment: Assessment, path: str | os.PathLike[str], *, utterance: str | None = None, overwrite: bool = True
) -> Path:
    """Write the assessment as .html, .png or .svg, whichever the path ends in, and return the file's path.

    The file is written whole or not at all. This blocks, for a picture some tenths of a second: in a coroutine use
    ``anyio.to_thread.run_sync``. `utterance` is the sentence that was to be said; without it the returned words make
    the sentence.

    Raises `InvalidArgumentError` for another suffix, `MissingDependencyError` where a picture needs matplotlib or a
    font that is not installed, `FileExistsError` where the file exists and `overwrite` is False, and any other
    `OSError` where it cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix == ".html":
        data = report_html(assessment, utterance=utterance).encode("utf-8", "replace")
    elif suffix in (".png", ".svg"):
        data = _picture(assessment, utterance, suffix[1:])
    else:
        raise InvalidArgumentError(f"path {str(target)!r} must end in .html, .png or .svg")
    write_whole(target, data, overwrite=overwrite)
    return target


def _picture(assessment: Assessment, utterance: str | None, form: str) -> bytes:
    from .plot import plot_assessment  # here, because HTML must do without matplotlib

    buffer = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else None  # the same assessment gives the same file on another day
    plot_assessment(assessment, utterance=utterance).savefig(buffer, format=form, dpi=150, metadata=metadata)
    return buffer.getvalue()


def report_html(assessment: Assessment, *, utterance: str | None = None) -> str:
    """The assessment as one self-contained HTML page; see `save_report`."""
    if not isinstance(assessment, Assessment):
        raise ArgumentTypeError(f"assessment must be an Assessment, such as recognition.assessment, not {assessment!r}")
    words, others = words_to_show(assessment, utterance)
    sentence = utterance if utterance is not None else " ".join(word.text for word in assessment.words)
    language = "ko" if any("\uac00" <= c <= "\ud7a3" for c in sentence) else "en"
    score = "none returned" if assessment.score is None else f"<strong>{assessment.score}</strong> of 100"
    missing = any(not word.returned for word in words)
    parts = [
        _HEAD.format(title=f"Pronunciation: {_text(sentence)}" if sentence.strip() else "Pronunciation"),
        f"<h1>Pronunciation</h1>\n<p>Sentence score: {score}</p>\n",
        f"<h2>Words</h2>\n{_words(words, language)}",
        "<p class='note'>The service returned nothing for the words without a number.</p>\n" if missing else "",
    ]
    if others:
        extra = [AlignedWord(word.text, word) for word in others]
        parts.append(f"<h2>Returned, but not in the sentence</h2>\n{_words(extra, language)}")
    parts.append(f"<h2>Waveforms</h2>\n{_waveforms(assessment)}</main>\n</body>\n</html>\n")
    return "".join(parts)


# --- words ----------------------------------------------------------------------------------------


def _words(words: Sequence[AlignedWord], language: str) -> str:
    if not words:
        return "<p class='note'>The service returned no words.</p>\n"
    return f"<ul class='words'>\n{''.join(_word(word, language) for word in words)}</ul>\n"


def _word(word: AlignedWord, language: str) -> str:
    text = f"<span lang='{language}'>{_text(word.text)}</span>"
    if word.word is None:
        return f"<li class='absent'>{text}</li>\n"
    score = "no score" if word.score is None else str(word.score)
    phones = "".join(map(_phone, word.word.phones))
    inner = f"<ul class='phones' aria-label='sounds'>{phones}</ul>" if phones else ""
    return f"<li>{text} <span class='score'>{score}</span>{inner}</li>\n"


def _phone(phone: Phone) -> str:
    if phone.score is None:
        style, score = "", "<abbr title='no score'>–</abbr>"
    else:
        color = _color(phone.score)
        style = f" style='background:#{bytes(color).hex()};color:{readable_ink(color)}'"
        score = str(phone.score)
    ipa = f"/{_text(phone.ipa)}/" if phone.ipa else "&nbsp;"
    return f"<li{style}><span>{_text(phone.letters) or '&nbsp;'}</span><span>{ipa}</span><span>{score}</span></li>"


def _color(score: int) -> tuple[int, int, int]:
    low, high = (_COLORS[0], _COLORS[1]) if score < 50 else (_COLORS[1], _COLORS[2])
    part = score % 50 / 50 if score < 100 else 1.0
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue


def readable_ink(background: tuple[float, float, float]) -> str:
    """Black or white, whichever stands out more from a background of red, green and blue from 0 to 255 (WCAG 2)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in background]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"


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
    shapes = ""
    if reference:
        path = _points(reference, longest, highest)
        end = (len(reference) - 1) * _WIDTH / (longest - 1)
        shapes += f"<polygon class='reference' fill='#9ecae1' points='0,{_HEIGHT} {path} {end:.1f},{_HEIGHT}'/>"
    if user:
        line = _points(user, longest, highest)
        shapes += f"<polyline class='speaker' fill='none' stroke='#b34700' stroke-width='2' points='{line}'/>"
    axis = f"<line class='axis' stroke='#666666' x1='0' x2='{_WIDTH}' y1='{_HEIGHT}' y2='{_HEIGHT}'/>"
    return (
        f"<figure><svg viewBox='0 0 {_WIDTH} {_HEIGHT + _FOOT}' role='img' aria-label='Waveforms: {'; '.join(said)}'>"
        f"{axis}{shapes}{_ticks(seconds)}</svg>\n"
        f"<figcaption><span class='key area'></span>{said[0]}; <span class='key line'></span>{said[1]}</figcaption>"
        f"</figure>\n"
    )


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
        x = index * step / seconds * _WIDTH
        anchor = "start" if index == 0 else "end" if x > _WIDTH - 20 else "middle"
        label = f"{index * step:g}" + (" s" if index == 0 else "")
        ticks.append(f"<text x='{x:.1f}' y='{_HEIGHT + 15}' font-size='12' text-anchor='{anchor}'>{label}</text>")
    return "".join(ticks)


# --- page -----------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """The text escaped, without what may not stand in HTML: control characters and non-characters."""
    return escape("".join(c if unicodedata.category(c) not in ("Cc", "Cs", "Cn") else " " for c in text))


_HEAD = """<!doctype html>
<html lang='en'>
<head>
<meta charset='utf-8'>
<meta name='viewport' content='width=device-width, initial-scale=1'>
<title>{title}</title>
<style>
:root {{ color-scheme: light dark;
  --ink: #1b1b1b; --paper: #ffffff; --faint: #666666; --area: #9ecae1; --line: #b34700; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #eeeeee; --paper: #16181b; --faint: #a3a3a3; --area: #35617c; --line: #ffb068; }}
}}
body {{ margin: 0; color: var(--ink); background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }}
main {{ max-width: 60rem; margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.1rem; margin: 1.5rem 0 .5rem; }}
ul {{ list-style: none; margin: 0; padding: 0; overflow-wrap: anywhere; }}
.words > li {{ display: inline-block; vertical-align: top; margin: 0 .75rem .75rem 0; break-inside: avoid; }}
.absent, .note, .score, figcaption {{ color: var(--faint); }}
.score {{ font-size: .85rem; }}
.phones li {{ display: inline-block; min-width: 1.6rem; margin: 0 1px 1px 0; padding: .1rem .3rem; font-size: .85rem;
  text-align: center; border: 1px dashed var(--faint); print-color-adjust: exact; }}
.phones li > span {{ display: block; }}
.phones li[style] {{ border-color: transparent; }}
figure {{ margin: 0; }} svg {{ width: 100%; height: auto; overflow: visible; }}
svg text {{ fill: var(--faint); font-size: 12px; }} .axis {{ stroke: var(--faint); }}
.reference {{ fill: var(--area); }} .speaker {{ fill: none; stroke: var(--line); stroke-width: 2; }}
.key {{ display: inline-block; width: 1.5rem; margin-right: .4rem; vertical-align: middle; }}
.area {{ height: .8rem; background: var(--area); }} .line {{ border-top: 2px solid var(--line); }}
</style>
</head>
<body>
<main>
"""
