from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager, rc_context

from clova_speech_async import fonts
from clova_speech_async.assessment import Assessment, Phone, Word
from clova_speech_async.errors import MissingDependencyError
from clova_speech_async.fonts import drawable, families_for
from clova_speech_async.plot import plot_assessment

MakeFont = Callable[[str, str], Path]


@pytest.fixture
def only_our_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fonts that come with matplotlib, and none of this machine."""
    manager = font_manager.fontManager
    own = [entry for entry in manager.ttflist if "mpl-data" in str(entry.fname)]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)


@pytest.fixture
def make_font(tmp_path: Path) -> MakeFont:
    """A font of squares that has the letters named, and no others."""

    def make(name: str, letters: str) -> Path:
        pen = TTGlyphPen(None)
        pen.moveTo((100, 0))
        for point in ((100, 700), (800, 700), (800, 0)):
            pen.lineTo(point)
        pen.closePath()
        square = pen.glyph()
        names = [".notdef", *(f"u{ord(letter):04x}" for letter in letters)]
        builder = FontBuilder(1000, isTTF=True)
        builder.setupGlyphOrder(names)
        builder.setupCharacterMap({ord(letter): f"u{ord(letter):04x}" for letter in letters})
        builder.setupGlyf(dict.fromkeys(names, square))
        builder.setupHorizontalMetrics(dict.fromkeys(names, (900, 100)))
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": name, "styleName": "Regular"})
        builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
        builder.setupPost()
        path = tmp_path / f"{name}.ttf"
        builder.save(path)
        return path

    return make


def test_ipa_needs_nothing_but_what_comes_with_matplotlib(only_our_fonts: None) -> None:
    assert families_for(["ɔːoʊɪŋərɹʃʒθðæɑɛʌʊɜˈˌɡʔtʰ", "false"]) == ["sans-serif", "DejaVu Sans"]


def test_the_families_set_in_matplotlib_come_first(only_our_fonts: None) -> None:
    with rc_context({"font.family": ["Nowhere Sans", "DejaVu Serif"]}):
        assert families_for(["a"]) == ["Nowhere Sans", "DejaVu Serif", "DejaVu Sans"]


def test_letters_that_no_font_has_are_named_with_a_remedy(only_our_fonts: None) -> None:
    with pytest.raises(MissingDependencyError, match=r"'녕안': install Noto Sans CJK .*fonts-noto-cjk.*\.html"):
        families_for(["안녕 hello"])
    with pytest.raises(MissingDependencyError, match=r"install Noto Sans \(.*fonts-noto-core"):
        families_for(["\u1200"])
    with pytest.raises(MissingDependencyError, match="…'"):
        families_for(["".join(map(chr, range(0xAC00, 0xAC40)))])


def test_an_installed_font_that_has_the_letters_is_found(only_our_fonts: None, make_font: MakeFont) -> None:
    font_manager.fontManager.addfont(make_font("Zz Hangul", "안녕"))
    font_manager.fontManager.addfont(make_font("Aa Latin", "ab"))
    assert families_for(["안녕 hello"]) == ["sans-serif", "DejaVu Sans", "Zz Hangul"]


def test_well_known_fonts_come_before_others_and_as_many_as_it_takes(only_our_fonts: None, make_font: MakeFont) -> None:
    for name, letters in (("Aa", "안녕"), ("NanumGothic", "안"), ("Last Resort", "안녕か"), ("Kana", "か")):
        font_manager.fontManager.addfont(make_font(name, letters))
    assert families_for(["안녕か"]) == ["sans-serif", "DejaVu Sans", "NanumGothic", "Aa", "Kana"]


def test_a_font_installed_since_matplotlib_last_looked_is_found(
    only_our_fonts: None, make_font: MakeFont, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    known = str(font_manager.fontManager.ttflist[0].fname)
    found = [known, str(broken), str(make_font("New Hangul", "안녕"))]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: found)
    assert families_for(["안녕"]) == ["sans-serif", "DejaVu Sans", "New Hangul"]
    assert fonts._letters(str(broken)) == frozenset()


def test_a_picture_is_drawn_with_the_font_that_was_found(only_our_fonts: None, make_font: MakeFont) -> None:
    font_manager.fontManager.addfont(make_font("Zz Hangul", "안녕하세요"))
    figure = plot_assessment(Assessment(1, (Word("안녕하세요", (Phone("안", "a", 1),)),)))
    figure.savefig(io.BytesIO(), format="png")  # a letter drawn as a box would be a warning, and so an error
    figure.savefig(io.BytesIO(), format="svg")


def test_what_has_no_shape_is_not_drawn() -> None:
    assert drawable("a\x00\x1b\ud800\ue000\uffffb c") == "ab c"
