"""What the service accepts and what it answers, as data and pure functions.

Law of this file: it knows nothing of HTTP servers, audio libraries or the rest of this package. The client has its own
reading of the same facts; neither imports the other, so a misreading on one side fails a test.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

ADDRESS = "/recog/v1/stt"
"""The path under any Invoke URL."""
SECRET_KEY = "emulator"  # noqa: S105 - it opens nothing but an emulator
"""The key an emulator accepts unless told otherwise."""
CSR_KEY_ID = "emulator-id"
"""The key id an emulator accepts, with `SECRET_KEY` as its key, from clients of the sibling service CSR."""
LANGUAGES = ("Kor", "Eng", "Jpn", "Chn")
ASSESSED = ("Kor", "Eng")
MAX_BYTES = 10_000_000
"""10 MB. The guide does not say which megabyte; this is the smaller one, so what passes here passes either way."""
MAX_SECONDS = 60.0
MAX_BOOSTING_CHARACTERS = 512
CONTENT_TYPE = "application/octet-stream"
PARAMETERS = ("lang", "assessment", "utterance", "graph", "boostings")


@dataclass(frozen=True)
class Row:
    """One row of the service's error table."""

    status: int
    code: str
    message: str

    def body(self, timestamp_ms: int) -> bytes:
        """The reply's body in the shape the service documents."""
        error = {"errorCode": self.code, "message": self.message}
        return json.dumps({"timestamp": timestamp_ms, "error": error}).encode()


ROWS = (
    Row(400, "400", "Invalid request parameters"),
    Row(401, "401", "Invalid secret"),
    Row(413, "STT001", "Exceed Sound Data length"),
    Row(400, "STT002", "Invalid Content Type"),
    Row(400, "STT003", "Empty Sound Data"),
    Row(400, "STT004", "Empty Language"),
    Row(400, "STT005", "Invalid Language"),
    Row(500, "STT006", "Failed to pre-processing"),
    Row(500, "STT998", "Failed to STT"),
    Row(500, "STT999", "Internal Server Error"),
    Row(413, "STT000", "Request Entity Too Large"),
    Row(400, "STT007", "Too Short Sound Data"),
    Row(400, "100", "Bad Request Exception"),
    Row(401, "200", "Authentication Failed"),
    Row(401, "210", "Permission Denied"),
    Row(403, "230", "Forbidden"),
    Row(404, "300", "Not Found Exception"),
    Row(429, "400", "Quota Exceeded"),
    Row(429, "410", "Throttle Limited"),
    Row(429, "420", "Rate Limited"),
    Row(413, "430", "Request Entity Too Large"),
    Row(503, "500", "Endpoint Error"),
    Row(504, "510", "Endpoint Timeout"),
    Row(500, "900", "Unexpected Error"),
)
"""Every row of the table, in the order in which it is documented."""

_BY_NAME: dict[str, Row] = {f"{row.status}/{row.code}": row for row in ROWS}
for _row in ROWS:
    _BY_NAME.setdefault(_row.code, _row)


def row(name: str | int) -> Row:
    """The row of that name: a code (``"STT998"``, ``410``) or, where a code has two, status and code (``"429/400"``).

    A bare ``400`` is the first row, "Invalid request parameters". Raises `ValueError` for a name that is no row's.
    """
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise TypeError(f"an error is named by its code, such as 'STT998' or '429/400', not by {name!r}")
    found = _BY_NAME.get(str(name))
    if found is None:
        raise ValueError(f"{name!r} is no row of the service's error table; its rows are {', '.join(_names())}")
    return found


def _names() -> Iterable[str]:
    return (f"{row.status}/{row.code}" for row in ROWS)


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure of the emulator
    """The request is answered with this row instead of a transcript."""

    def __init__(self, name: str, *, retry_after: float | None = None, because: str = "") -> None:
        """`because`: stands behind the service's message, where the reason is the emulator's own."""
        found = row(name)
        self.row = replace(found, message=f"{found.message} ({because})") if because else found
        self.retry_after = retry_after
        super().__init__(f"{self.row.status}/{self.row.code} {self.row.message}")


@dataclass(frozen=True)
class Wanted:
    """What a request's query asks for, after every check of it."""

    lang: str
    assessment: bool = False
    utterance: str | None = None
    graph: bool = False
    boostings: tuple[str, ...] = ()


def read_parameters(pairs: Iterable[tuple[str, str]]) -> Wanted:
    """The query's parameters, checked as strictly as the documents allow; raises `Refusal`.

    A missing language is STT004, one that is none of the four (letter case counts) STT005, everything else 400/400:
    a flag that is neither ``true`` nor ``false``, assessment in a language that has none, boostings over 512 characters
    or in another language than Korean, a parameter given twice, and a parameter the service does not have, which in a
    test is a misspelt one.
    """
    given: dict[str, str] = {}
    twice = False
    for name, value in pairs:
        twice = twice or name in given
        given[name] = value
    lang = given.get("lang", "")
    if not lang:
        raise Refusal("STT004")
    if lang not in LANGUAGES:
        raise Refusal("STT005")
    if twice or not given.keys() <= set(PARAMETERS):
        raise Refusal("400/400")
    assessment = _flag(given, "assessment")
    boostings = given.get("boostings", "")
    if assessment and lang not in ASSESSED:
        raise Refusal("400/400")
    if boostings and (lang != "Kor" or len(boostings) > MAX_BOOSTING_CHARACTERS):
        raise Refusal("400/400")
    return Wanted(
        lang=lang,
        assessment=assessment,
        utterance=given.get("utterance") or None,
        graph=_flag(given, "graph"),
        boostings=tuple(word for word in boostings.split("\t") if word),
    )


def _flag(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "false")
    if value not in ("true", "false"):
        raise Refusal("400/400")
    return value == "true"


@dataclass(frozen=True)
class Keys:
    """Which keys open the emulator: any of ``secret_keys``, or any at all where that is None."""

    secret_keys: frozenset[str] | None
    csr: frozenset[tuple[str, str]] | None

    def check(self, headers: Mapping[str, str]) -> bool:
        """Whether the request is one of CSR; raises `Refusal` where its key is missing or wrong.

        CSR is the sibling service: another address, two headers, and a reply of nothing but the text.
        """
        key = headers.get("x-clovaspeech-api-key")
        key_id = headers.get("x-ncp-apigw-api-key-id")
        if key is None and key_id is not None:
            pair = (key_id, headers.get("x-ncp-apigw-api-key", ""))
            if not all(pair) or (self.csr is not None and pair not in self.csr):
                raise Refusal("401/200")
            return True
        if not key or (self.secret_keys is not None and key not in self.secret_keys):
            raise Refusal("401/401")
        return False


def billed_seconds(seconds: float) -> int:
    """The length a request of so many seconds of audio is billed: rounded up to 15, and at least 15."""
    return max(1, math.ceil(seconds / 15.0)) * 15


_APOLOGY = {
    "Kor": "에뮬레이터입니다. {0:.1f}초 길이의 음성을 받았으며, 한국어는 인식하지 않습니다.",
    "Jpn": "エミュレーターです。{0:.1f}秒の音声を受け取りました。日本語は認識しません。",
    "Chn": "这是模拟器。收到了{0:.1f}秒的音频,不识别中文。",
    "Eng": "this is an emulator and it was sent {0:.1f} seconds of audio",
}


def apology(lang: str, seconds: float) -> str:
    """What the emulator says, in the language asked for, where it cannot recognise that language."""
    return _APOLOGY[lang].format(seconds)


def transcript_body(fields: Mapping[str, Any]) -> bytes:
    """A 200 reply's body."""
    return json.dumps(dict(fields), ensure_ascii=False).encode()
