"""What the service says, as msgspec Structs, and the languages it knows. Decodes nothing itself."""

from __future__ import annotations

import difflib
from enum import Enum
from typing import Any

import msgspec

from .assessment import Assessment
from .errors import ArgumentTypeError, InvalidArgumentError

__all__ = ["Language", "Recognition"]


class Language(str, Enum):
    """A language of the service; its value is what the service calls it."""

    KOREAN = "Kor"
    ENGLISH = "Eng"
    JAPANESE = "Jpn"
    CHINESE = "Chn"

    def __str__(self) -> str:
        return self.value

    @property
    def can_be_assessed(self) -> bool:
        """Pronunciation is scored in English since 2021 and in Korean since 2024-09-26 (current Korean guide)."""
        return self in (Language.ENGLISH, Language.KOREAN)

    @classmethod
    def parse(cls, value: str | Language) -> Language:
        """Return the language that `value` names.

        Takes a `Language`, the service's own name (``"Kor"``), or an ISO 639 code with or without a region or
        script (``"ko"``, ``"kor"``, ``"ko-KR"``, ``"zh-Hans-CN"``), in any case of letters.

        Raises `ArgumentTypeError` when it is not a string and `InvalidArgumentError` when it names none.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ArgumentTypeError(
                f"lang must be a string such as 'Kor' or a Language, not {type(value).__name__}", argument="lang"
            )
        named = _NAMES.get(value)
        if named is not None:
            return named
        code = value.strip().replace("_", "-").lower()
        primary = code.partition("-")[0]
        found = _CODES.get(code) or _CODES.get(primary)
        if found is not None:
            return found
        if primary in _UNKNOWN:
            raise InvalidArgumentError(
                f"lang: {value!r} names no language, and the service does not detect it: "
                "pass the one that is spoken, 'Kor', 'Eng', 'Jpn' or 'Chn'",
                argument="lang",
            )
        raise InvalidArgumentError(f"lang: {value!r} is not a language of the service{_hint(primary)}", argument="lang")


_NAMES = {language.value: language for language in Language}
_CODES = {
    "kor": Language.KOREAN,
    "ko": Language.KOREAN,
    "eng": Language.ENGLISH,
    "en": Language.ENGLISH,
    "jpn": Language.JAPANESE,
    "ja": Language.JAPANESE,
    "chn": Language.CHINESE,
    "zh": Language.CHINESE,
    "zho": Language.CHINESE,
    "chi": Language.CHINESE,
    "cmn": Language.CHINESE,
}
_MISTAKEN = {
    **_CODES,
    "kr": Language.KOREAN,
    "korean": Language.KOREAN,
    "hangul": Language.KOREAN,
    "한국어": Language.KOREAN,
    "us": Language.ENGLISH,
    "uk": Language.ENGLISH,
    "english": Language.ENGLISH,
    "영어": Language.ENGLISH,
    "jp": Language.JAPANESE,
    "jap": Language.JAPANESE,
    "japanese": Language.JAPANESE,
    "日本語": Language.JAPANESE,
    "cn": Language.CHINESE,
    "chinese": Language.CHINESE,
    "mandarin": Language.CHINESE,
    "中文": Language.CHINESE,
}


_UNKNOWN = frozenset(
    ("", "any", "auto", "autodetect", "automatic", "detect", "mixed", "mul", "multi", "multilingual", "und", "unknown")
)
"""What others call a language that is to be found out, or that is more than one; ISO 639 has `mul` and `und`."""


def _hint(code: str) -> str:
    close = difflib.get_close_matches(code, _MISTAKEN, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {_MISTAKEN[close[0]].value!r}?"
    return ": it knows 'Kor', 'Eng', 'Jpn' and 'Chn'"


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """One reply of the service to one request of at most 60 seconds.

    Fields that the service does not send are None; those it sends and that are not known here are passed over.
    """

    text: str
    """The recognised text; may be empty."""
    quota: int | None = None
    """Billed length in seconds, a multiple of 15; None from CSR, which does not tell."""
    assessment_score: int | float | None = None
    """The whole sentence, 0 to 100; None unless asked for."""
    assessment_details: str | None = None
    """Words, phones and scores as the service sent them; see `assessment`."""
    ref_graph: tuple[int | float, ...] | None = None
    """Waveform of the reference pronunciation, 50 values a second; None unless asked for."""
    usr_graph: tuple[int | float, ...] | None = None
    """Waveform of the speaker, 50 values a second; None unless asked for."""

    @property
    def assessment(self) -> Assessment | None:
        """The pronunciation assessment, parsed; None where the reply holds none."""
        parts = (self.assessment_score, self.assessment_details, self.ref_graph, self.usr_graph)
        if all(part is None for part in parts):
            return None
        return Assessment.from_reply(*parts)

    def to_dict(self) -> dict[str, Any]:
        """The reply as JSON knows it: text, quota, and assessment, which is `Assessment.to_dict` or None."""
        assessment = self.assessment
        return {
            "text": self.text,
            "quota": self.quota,
            "assessment": None if assessment is None else assessment.to_dict(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON, its letters unescaped; on one line unless `indent` spaces are asked for."""
        encoded = msgspec.json.encode(self.to_dict())
        return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()
