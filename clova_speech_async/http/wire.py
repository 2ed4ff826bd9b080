"""The service's words: what a request says, and what a reply means.

Pure: no clock, no socket, no file. All that the library knows of the service's form of request and reply is here
and in `parameters`; the facts are those of the API guide (v1.0.1, and the Korean one as of 2026-10).
"""

from __future__ import annotations

import codecs
import functools
import html
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from clova_speech_async import errors as e
from clova_speech_async.models import Recognition

__all__ = ["REPLY_LIMIT", "Reply", "Secrets", "parse_reply", "parse_retry_after"]

REPLY_LIMIT = 8 * 1024 * 1024
"""Bytes; a larger reply is not read to its end."""
_MOST_SECONDS = 86_400
"""A request has 60 seconds: what says that it is billed more than a day is no billed length."""
_DECODED = 64 * 1024
"""Bytes of a strange reply that are looked at for its first characters; more than all secrets may have."""
SNIPPET = 200
"""Characters of a strange reply that are shown."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it came: status, header fields, body."""

    status: int
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    truncated: bool = False
    """The body ended before its announced length."""


class Secrets:
    """Texts that no message may repeat, in the forms in which a server may echo them; none of them in its `repr`."""

    __slots__ = ("_texts",)

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def __repr__(self) -> str:
        return f"<{len(self._texts)} secrets>"

    def redact(self, text: str, most: int) -> str:
        """Return the beginning of a text that somebody else wrote, at most so many characters.

        Every secret and every control character is taken out of it.
        """
        forms = _written(self._texts)
        longest = max(map(len, forms), default=0)
        # A text may have millions of characters, and a secret many forms: no more is looked through than may be needed.
        needed = 2 * (most + longest)
        is_cut, text = len(text) > needed, text[:needed]
        for form in forms:
            text = text.replace(form, "[redacted]")
        if is_cut:
            part = max((_overlap(text, form) for form in forms), default=0)
            text = text[: len(text) - part]
        return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).strip()[:most]


def _overlap(text: str, secret: str) -> int:
    """How many characters at the end of a text are the beginning of a secret."""
    return next((length for length in range(len(secret) - 1, 0, -1) if text.endswith(secret[:length])), 0)


@functools.lru_cache(maxsize=32)
def _written(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Texts as they may be written, the longest first; the same are asked for at each failure of a program."""
    # A shorter one would blot out every text.
    found = {form for text in texts if len(text) > 2 for form in _forms(text)}
    return tuple(sorted(found, key=len, reverse=True))


def _forms(text: str) -> Iterator[str]:
    """A text as it is, and as it stands in URLs, forms, HTML and JSON."""
    yield text
    for encoded in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield encoded
        yield re.sub("%..", lambda match: match.group().lower(), encoded)
    yield html.escape(text)
    yield json.dumps(text)[1:-1]


_NONE = Secrets()

# --- a reply of success ---------------------------------------------------------------------------


_ABSENT = msgspec.Raw(b"null")


class _Wire(msgspec.Struct):
    """`Recognition` as it comes. Whatever stands beside the text, still raw, never fails a reply that is paid for."""

    text: str
    quota: msgspec.Raw = _ABSENT
    assessment_score: msgspec.Raw = _ABSENT
    assessment_details: msgspec.Raw = _ABSENT
    ref_graph: msgspec.Raw = _ABSENT
    usr_graph: msgspec.Raw = _ABSENT


_NO_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises; the last for brackets within brackets, a thousand deep."""
_decode = msgspec.json.Decoder(_Wire).decode


def parse_reply(reply: Reply, *, now: float | None = None, secrets: Secrets = _NONE) -> Recognition:
    """Return what a reply says, or raise the error that it is.

    `now` (Unix seconds) is what a ``Retry-After`` with a date is measured against; without it such a date is
    ignored. `secrets` are taken out of every text that is shown.

    Raises a `ServiceError` for every status but 2xx, and an `InvalidReplyError` for a 2xx that is no recognition.
    """
    if not 200 <= reply.status < 300:
        raise _service_error(reply, now, secrets)
    if reply.truncated:
        raise _invalid(reply, "ended before its announced length", secrets)
    try:
        wire = _decoded(reply.body.removeprefix(codecs.BOM_UTF8))
        return Recognition(
            text=wire.text,
            quota=_whole(wire.quota),
            assessment_score=_number(wire.assessment_score),
            assessment_details=_details(wire.assessment_details),
            ref_graph=_graph(wire.ref_graph),
            usr_graph=_graph(wire.usr_graph),
        )
    except _NO_JSON as error:
        problem = str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
    # Out here, so that the decoder's error, which quotes the reply, is no part of it.
    raise _invalid(reply, f"is not a recognition ({secrets.redact(problem, SNIPPET)})", secrets)


def _decoded(body: bytes) -> _Wire:
    """The fields of a reply, also of one that is JSON only by Python's measure: NaN, a lone surrogate, a raw tab."""
    try:
        return _decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        try:
            found = json.loads(body.decode("utf-8"), strict=False, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise
        return _decode(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))


def _value(raw: msgspec.Raw) -> Any:
    """The value of a field; None where it is absent, or a number that is none."""
    if raw is _ABSENT:
        return None
    try:
        return msgspec.json.decode(raw)
    except _NO_JSON:
        return None


def _number(raw: msgspec.Raw) -> int | float | None:
    """A number, as JSON or another gateway's text may write it; None for all else."""
    value = _value(raw)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if type(value) in (int, float) else None


def _whole(raw: msgspec.Raw) -> int | None:
    """A billed length in seconds: 15.0 is 15; what cannot be one is None, as if it were not told."""
    quota = _number(raw)
    return int(quota) if quota is not None and 0 <= quota <= _MOST_SECONDS and quota == int(quota) else None


def _graph(raw: msgspec.Raw) -> tuple[int | float, ...] | None:
    """A waveform; None where it is not numbers all through."""
    values = _value(raw)
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        return None
    return tuple(values)


def _details(raw: msgspec.Raw) -> str | None:
    """The details as the service's string; of any other JSON its own text, so that nothing is thrown away."""
    value = _value(raw)
    if value is None or isinstance(value, str):
        return value
    return bytes(raw).decode()


def _invalid(reply: Reply, problem: str, secrets: Secrets) -> e.InvalidReplyError:
    snippet = _snippet(reply.body, secrets)
    return e.InvalidReplyError(
        f"the service answered {reply.status}, but the reply {problem}: {snippet or 'an empty body'!r}",
        status=reply.status,
        snippet=snippet,
        request_id=_request_id(reply, secrets),
        truncated=reply.truncated,
    )


# --- a reply of failure -----------------------------------------------------------------------------

_BY_STATUS_AND_CODE: dict[tuple[int, str], type[e.ServiceError]] = {
    (400, "400"): e.BadRequestError,
    (400, "100"): e.BadRequestError,
    (400, "STT002"): e.InvalidContentTypeError,
    (400, "STT003"): e.EmptySoundDataError,
    (400, "STT004"): e.EmptyLanguageError,
    (400, "STT005"): e.InvalidLanguageError,
    (400, "STT007"): e.SoundDataTooShortError,
    (401, "401"): e.AuthenticationError,
    (401, "200"): e.AuthenticationError,
    (401, "210"): e.PermissionDeniedError,
    (403, "230"): e.PermissionDeniedError,
    (404, "300"): e.NotFoundError,
    (413, "STT000"): e.PayloadTooLargeError,
    (413, "STT001"): e.SoundDataTooLongError,
    (413, "430"): e.PayloadTooLargeError,
    (429, "400"): e.QuotaExceededError,
    (429, "410"): e.ThrottledError,
    (429, "420"): e.ThrottledError,
    (500, "STT006"): e.PreprocessingError,
    (500, "STT998"): e.RecognitionFailedError,
    (500, "STT999"): e.InternalServerError,
    (500, "900"): e.InternalServerError,
    (503, "500"): e.ServiceUnavailableError,
    (504, "510"): e.GatewayTimeoutError,
}
_BY_STATUS: dict[int, type[e.ServiceError]] = {
    401: e.AuthenticationError,
    403: e.PermissionDeniedError,
    404: e.NotFoundError,
    413: e.PayloadTooLargeError,
    429: e.ThrottledError,
    502: e.ServiceUnavailableError,
    503: e.ServiceUnavailableError,
    504: e.GatewayTimeoutError,
}
_REMEDIES: dict[type[e.ServiceError], str] = {
    e.AuthenticationError: "check the secret key of the domain",
    e.PermissionDeniedError: "the key may not use this API: check the domain's settings and its subscription",
    e.NotFoundError: "check the Invoke URL (its path ends in /recog/v1/stt)",
    e.QuotaExceededError: "the quota is used up or the API is not ticked for the application; waiting does not heal it",
    e.ThrottledError: "too many requests at once; fewer at a time, or try again later",
    e.PreprocessingError: "the service could not read the audio; a retry does not cure it",
    e.SoundDataTooLongError: "one request takes at most 60 seconds; transcribe() takes any length",
}


def _service_error(reply: Reply, now: float | None, secrets: Secrets) -> e.ServiceError:
    code, message, timestamp = _error_body(reply.body, secrets)
    shown = secrets.redact(message, SNIPPET) if message is not None else _snippet(reply.body, secrets)
    kind = _error_class(reply.status, code)
    text = f"{reply.status}{f'/{code}' if code else ''}: {shown or 'no message'}"
    if 300 <= reply.status < 400:
        text += f" (a redirect{_redirect_host(reply)}; redirects are never followed: check the Invoke URL)"
    elif kind in _REMEDIES:
        text += f" ({_REMEDIES[kind]})"
    error = kind(
        text,
        status=reply.status,
        code=code,
        message=shown,
        timestamp=timestamp,
        request_id=_request_id(reply, secrets),
        retry_after=parse_retry_after(_header(reply, b"retry-after"), now=now),
    )
    if reply.status == 408:
        error.retryable = True
    return error


def _error_class(status: int, code: str | None) -> type[e.ServiceError]:
    """The class for a status and a code; where the code is not one of that status, the status decides."""
    found = _BY_STATUS_AND_CODE.get((status, code or "")) or _BY_STATUS.get(status)
    if found is not None:
        return found
    if status >= 500:
        return e.InternalServerError
    return e.BadRequestError if status >= 400 else e.ServiceError


def _error_body(body: bytes, secrets: Secrets) -> tuple[str | None, str | None, datetime | None]:
    """Code, message and time from an error's body; None for what it does not say in a known way."""
    try:
        value: Any = msgspec.json.decode(body)
    except _NO_JSON:
        return None, None, None
    if not isinstance(value, dict):
        return None, None, None
    inner = value.get("error")
    error = inner if isinstance(inner, dict) else value
    code = error.get("errorCode")
    message = error.get("message", error.get("errorMessage"))
    return (
        secrets.redact(str(code), 32) or None if isinstance(code, (int, str)) and not isinstance(code, bool) else None,
        message if isinstance(message, str) else None,
        _timestamp(value.get("timestamp")),
    )


def _timestamp(value: object) -> datetime | None:
    """Unix milliseconds to an aware datetime."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(value / 1000, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


# --- header fields, and what may be shown -----------------------------------------------------------

_REQUEST_IDS = (b"x-request-id", b"x-ncp-request-id", b"x-ncp-trace-id", b"x-correlation-id", b"request-id")


def _header(reply: Reply, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in reply.headers if key.lower() == name), None)


def _request_id(reply: Reply, secrets: Secrets) -> str | None:
    """The gateway's id of the request; whether it sends one, and under which name, is unknown."""
    found = next((value for name in _REQUEST_IDS if (value := _header(reply, name))), None)
    return secrets.redact(found, 128) if found else None


def _redirect_host(reply: Reply) -> str:
    """Where a redirect points, its host alone: the rest may repeat the query."""
    match = re.match(r"https?://[\w.:\-\[\]]{1,253}(?=[/?#]|$)", _header(reply, b"location") or "", re.IGNORECASE)
    return f" to {match.group()}" if match else ""


def parse_retry_after(value: str | None, *, now: float | None) -> float | None:
    """Return the seconds that a ``Retry-After`` (seconds or a date) asks for; None for one that says nothing usable.

    NaN, negative, infinite and unreadable values say nothing; a date that is past is 0.
    """
    if value is None:
        return None
    try:
        seconds = float(value.replace("_", "?"))  # which Python would take for a number
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
            if now is None:
                return None
            return max(0.0, when.replace(tzinfo=when.tzinfo or timezone.utc).timestamp() - now)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _snippet(body: bytes, secrets: Secrets) -> str:
    text = secrets.redact(body[:_DECODED].decode("utf-8", "replace"), SNIPPET + 1)
    return text if len(text) <= SNIPPET else text[:SNIPPET] + "…"
