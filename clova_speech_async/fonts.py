"""Which installed fonts can draw a text, so that no letter comes out as a box. Needs matplotlib (the extra ``plot``).

DejaVu Sans comes with matplotlib and has all of IPA, but no Hangul, Kana or ideographs. For those an installed font
is looked for, first among the well-known ones, then among all.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from .errors import MissingDependencyError

try:
    from matplotlib import font_manager, rcParams
except ImportError as error:
    raise MissingDependencyError("pictures need matplotlib: pip install 'clova-speech-async[plot]'") from error

__all__ = ["drawable", "families_for"]

_WELL_KNOWN = (
    *("Noto Sans CJK KR", "Noto Sans KR", "Noto Sans CJK JP", "Noto Sans JP", "Noto Sans CJK SC", "Noto Sans SC"),
    *(
        "Source Han Sans",
        "Source Han Sans K",
        "Pretendard",
        "NanumGothic",
        "Nanum Gothic",
        "NanumBarunGothic",
        "UnDotum",
    ),
    *("Malgun Gothic", "Yu Gothic", "Meiryo", "Microsoft YaHei", "Apple SD Gothic Neo", "AppleGothic", "Hiragino Sans"),
    *("PingFang SC", "Arial Unicode MS", "IPAexGothic", "TakaoPGothic", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "Unifont"),
)
_BOXES = "lastresort"  # fonts that have every letter, drawn as a box


def drawable(text: str) -> str:
    """The text without what has no shape to draw: control characters, and signs for which no font need be asked."""
    return "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn") or c == " ")


def families_for(texts: Iterable[str]) -> list[str]:
    """The font families, to be tried in this order for each letter, that draw the texts.

    The families set in matplotlib come first, then DejaVu Sans, then what is missing. Raises
    `MissingDependencyError` naming the letters and a font to install where no installed font has them.
    """
    families = [*rcParams["font.family"], "DejaVu Sans"]
    missing = {c for text in texts for c in text if not c.isspace() and unicodedata.category(c) != "Cf"}
    for family in families:
        missing -= _letters_of_family(family)
    if missing:
        for family, path in _candidates():
            found = missing & _letters(path)
            if found:
                families.append(family)
                missing -= found
            if not missing:
                break
    if missing:
        raise MissingDependencyError(_remedy(missing))
    return list(dict.fromkeys(families))


def _candidates() -> Iterator[tuple[str, str]]:
    """Names and files of installed fonts, the well-known ones first, then those newly installed."""
    known = _installed()
    ordered = [name for name in _WELL_KNOWN if name in known]
    ordered += sorted(known.keys() - set(ordered))
    yield from ((name, known[name]) for name in ordered)
    _look_for_new_fonts()
    yield from ((name, path) for name, path in sorted(_installed().items()) if name not in known)


def _installed() -> dict[str, str]:
    fonts: dict[str, str] = {}
    for entry in font_manager.fontManager.ttflist:
        if not _draws_boxes(entry.name):
            fonts.setdefault(entry.name, str(entry.fname))
    return fonts


def _draws_boxes(name: str) -> bool:
    return name.replace(" ", "").lower().startswith(_BOXES)


def _look_for_new_fonts() -> None:
    known = {str(entry.fname) for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError, ValueError):
                continue  # a broken font file is no font


def _letters_of_family(family: str) -> frozenset[str]:
    try:
        path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
    except ValueError:
        return frozenset()  # not installed; matplotlib goes on to the next family, too
    return _letters(str(path))


@lru_cache(maxsize=512)
def _letters(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


def _remedy(missing: set[str]) -> str:
    letters = "".join(sorted(missing))
    shown = letters if len(letters) <= 20 else letters[:20] + "…"
    east_asian = any(unicodedata.east_asian_width(c) in "WF" for c in letters)
    font = "Noto Sans CJK" if east_asian else "Noto Sans"
    package = "fonts-noto-cjk" if east_asian else "fonts-noto-core"
    return (
        f"no installed font can draw {shown!r}: install {font} (Debian and Ubuntu: apt install {package}; others: "
        f"https://fonts.google.com/noto), or save the report as .html, which uses the reader's fonts"
    )
