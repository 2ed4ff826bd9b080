"""The one error tree. This file uses nothing of the rest of the library.

ClovaSpeechError
├── InvalidArgumentError (also ValueError)      an argument has a value that cannot be
├── ArgumentTypeError (also TypeError)          an argument is of the wrong type
├── ConfigurationError (also ValueError)        key or Invoke URL is missing or malformed
├── MissingDependencyError (also ImportError)   an extra of this package is not installed
├── AudioError                                  found before a request was sent
│   ├── AudioReadError                          it cannot be read: missing, a folder, no permission, closed …
│   ├── EmptyAudioError                         no bytes, or no samples
│   ├── UnsupportedFormatError                  not audio, or a format that needs an extra
│   ├── CorruptAudioError                       known by its first bytes, not decodable
│   ├── AudioTooLongError                       over the limit of the call (`duration`, `limit`: seconds)
│   └── AudioTooLargeError                      over the limit of the call (`size`, `limit`: bytes)
├── JournalError                                the journal cannot be opened, read or written
├── ClientClosedError                           the client was closed before or while the call ran
├── QueueFullError                              `max_waiting` calls are waiting already
├── BatchStoppedError                           a batch ended before its sources did
├── NetworkError                                no whole reply came
│   ├── ConnectError                            no connection, so nothing was sent
│   ├── ConnectionLostError                     broke after the request was, or may have been, sent
│   └── RequestTimeoutError (also TimeoutError)
│       ├── ConnectTimeoutError                 no connection in time, so nothing was sent
│       ├── ReplyTimeoutError                   sent or being sent, no reply in time
│       └── DeadlineExceededError               the time-out over all tries and waits ran out
├── InvalidReplyError                           status 2xx, but not the reply it must be
│   └── ReplyTooLargeError                      over the cap on a reply's size
└── ServiceError                                the service answered with an error (any other status)
    ├── BadRequestError                         400/400, 400/100 and every other 4xx
    │   ├── InvalidContentTypeError             STT002
    │   ├── EmptySoundDataError                 STT003
    │   ├── EmptyLanguageError                  STT004
    │   ├── InvalidLanguageError                STT005
    │   └── SoundDataTooShortError              STT007
    ├── SoundDataTooLongError                   413/STT001
    ├── PayloadTooLargeError                    413/STT000, 413/430 and every other 413
    ├── AuthenticationError                     401
    ├── PermissionDeniedError                   401/210, 403
    ├── NotFoundError                           404
    ├── QuotaExceededError                      429/400: waiting does not heal it
    ├── ThrottledError                          429/410, 429/420 and every other 429
    ├── PreprocessingError                      500/STT006: the audio is bad
    ├── RecognitionFailedError                  500/STT998
    ├── InternalServerError                     500/STT999, 500/900 and every other 5xx
    ├── ServiceUnavailableError                 502, 503
    └── GatewayTimeoutError                     504
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .transcript import Transcript


@dataclass(frozen=True)
class Attempt:
    """One try of a request that did not succeed."""

    number: int
    """1 for the first try."""
    outcome: str
    """What it met, in a few words, e.g. ``"ThrottledError (429/410)"``."""
    status: int | None = None
    """HTTP status, or None where no reply came."""
    code: str | None = None
    """The service's error code, or None."""
    ambiguous: bool = False
    """The service may have heard, and billed, this try."""
    waited: float = 0.0
    """Seconds waited after this try before the next one."""


class ClovaSpeechError(Exception):
    """Every error of this library is one of these.

    ``str(error)`` is its message, and `account` in brackets behind it.
    """

    argument: str | None = None
    """The argument to look at, where one is known. A message that names it begins with it."""
    remedy: str = ""
    """What a program does about it, where the message ends with that. Who is no program has words of its own for it."""
    account: str = ""
    """What the tries of a request met, and why there was no other; empty where there is nothing to tell."""
    attempts: tuple[Attempt, ...] = ()
    """The tries of the request that ended in this error; empty where none was sent."""
    out_of_retry_budget: bool = False
    """Whether there would have been another try, had not too many requests of the client failed of late."""
    partial: Transcript | None = None
    """What had been recognised and paid for before this error ended a call."""

    def __init__(self, *args: object, argument: str | None = None, remedy: str = "") -> None:
        super().__init__(*args)
        if argument is not None:
            self.argument = argument
        if remedy:
            self.remedy = remedy

    @property
    def problem(self) -> str:
        """What is wrong: the message without `remedy` and `account`."""
        message = super().__str__()
        return message.removesuffix(self.remedy).rstrip(" ;:") if self.remedy else message

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} [{self.account}]" if self.account else message

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        return (_restore, (type(self), self.args), self.__dict__)


def _restore(cls: type[ClovaSpeechError], args: tuple[Any, ...]) -> ClovaSpeechError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class InvalidArgumentError(ClovaSpeechError, ValueError):
    """An argument has a value that cannot be; nothing was sent."""


class ArgumentTypeError(ClovaSpeechError, TypeError):
    """An argument is of the wrong type; nothing was sent."""


class ConfigurationError(ClovaSpeechError, ValueError):
    """The key or the Invoke URL is missing or malformed. Its value is never shown."""


class MissingDependencyError(ClovaSpeechError, ImportError):
    """An optional part was used whose extra is not installed; the message names the extra."""


# --- audio, before a request is sent ------------------------------------------------------------


class AudioError(ClovaSpeechError):
    """The audio cannot be transcribed; found before a request was sent for it."""


class AudioReadError(AudioError):
    """The audio cannot be read: missing, a folder, no permission, closed, or its iterator raised."""


class EmptyAudioError(AudioError):
    """The audio has no bytes or no samples."""


class UnsupportedFormatError(AudioError):
    """The first bytes are not those of a format that can be read here."""


class CorruptAudioError(AudioError):
    """The format is known, but the audio cannot be decoded."""


class AudioTooLongError(AudioError):
    """The audio is longer than this call takes."""

    def __init__(
        self, message: str, *, duration: float | None = None, limit: float, argument: str | None = None
    ) -> None:
        super().__init__(message, argument=argument)
        self.duration = duration
        """Seconds, or None where reading stopped before the end was known."""
        self.limit = limit
        """Seconds."""


class AudioTooLargeError(AudioError):
    """The audio has more bytes than this call takes."""

    def __init__(self, message: str, *, size: int | None = None, limit: int) -> None:
        super().__init__(message)
        self.size = size
        """Bytes, or None where reading stopped before the end was known."""
        self.limit = limit
        """Bytes."""


# --- ours ---------------------------------------------------------------------------------------


class JournalError(ClovaSpeechError):
    """The journal cannot be opened, read or written; the message says what to do."""


class ClientClosedError(ClovaSpeechError):
    """The client was closed, or left, before or while this call ran."""


class QueueFullError(ClovaSpeechError):
    """`max_waiting` calls are waiting for a slot already; nothing was sent."""

    def __init__(self, message: str, *, waiting: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.waiting = waiting
        """How many calls are waiting."""
        self.retry_after = retry_after
        """A guess, in seconds, of when there will be room; for a web backend's ``Retry-After``."""


class BatchStoppedError(ClovaSpeechError):
    """A batch ended before its sources did; what was done is in the journal. `__cause__` tells why."""

    def __init__(self, message: str, *, reason: str = "", argument: str | None = None) -> None:
        super().__init__(message, argument=argument)
        self.reason = reason
        """Why the batch stopped, as a part of the message; empty where it is about one source of it."""


# --- no whole reply -----------------------------------------------------------------------------


class NetworkError(ClovaSpeechError):
    """No whole reply came."""

    retryable: bool = True
    """Whether the same request may succeed later."""
    request_id: str | None = None
    retry_after: float | None = None


class ConnectError(NetworkError):
    """No connection could be made; nothing was sent, nothing is billed."""


class ConnectionLostError(NetworkError):
    """The connection broke after the request was, or may have been, sent: it may be billed."""


class RequestTimeoutError(NetworkError, TimeoutError):
    """Something took longer than its time-out."""


class ConnectTimeoutError(RequestTimeoutError):
    """No connection was made in time; nothing was sent, nothing is billed."""


class ReplyTimeoutError(RequestTimeoutError):
    """The request was sent, or was being sent, and no reply came in time: it may be billed."""


class DeadlineExceededError(RequestTimeoutError):
    """The time-out over all tries and all waits of a call ran out."""


# --- a reply that is not what it must be ----------------------------------------------------------


class InvalidReplyError(ClovaSpeechError):
    """The service said success, but its reply is not what it must be; it was probably billed."""

    retryable: bool = True

    def __init__(
        self, message: str, *, status: int, snippet: str = "", request_id: str | None = None, truncated: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status."""
        self.snippet = snippet
        """The first characters of the reply, with everything secret taken out."""
        self.request_id = request_id
        self.truncated = truncated
        """The reply ended before its announced length."""


class ReplyTooLargeError(InvalidReplyError):
    """The reply is larger than the cap on a reply's size (8 MiB)."""

    retryable = False


# --- what the service answered --------------------------------------------------------------------


class ServiceError(ClovaSpeechError):
    """The service answered with an error status."""

    retryable: bool = False
    """Whether the same request may succeed later."""

    def __init__(
        self,
        text: str,
        *,
        status: int,
        code: str | None = None,
        message: str = "",
        timestamp: datetime | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.status = status
        """HTTP status."""
        self.code = code
        """The service's `errorCode` as a string, or None where the body had none."""
        self.message = message
        """The service's own words, or a short redacted snippet of a body that was not its form."""
        self.timestamp = timestamp
        """When the service says it happened (aware, UTC), or None."""
        self.request_id = request_id
        self.retry_after = retry_after
        """Seconds the service asks to wait, or None."""


class BadRequestError(ServiceError):
    """The service did not accept the request (400/400, 400/100, other 4xx)."""


class InvalidContentTypeError(BadRequestError):
    """STT002: the content type was not application/octet-stream."""


class EmptySoundDataError(BadRequestError):
    """STT003: the request had no audio."""


class EmptyLanguageError(BadRequestError):
    """STT004: the request named no language."""


class InvalidLanguageError(BadRequestError):
    """STT005: the language is not one of the service's."""


class SoundDataTooShortError(BadRequestError):
    """STT007: the audio is too short to be recognised."""


class SoundDataTooLongError(ServiceError):
    """413/STT001: the audio is longer than 60 seconds."""


class PayloadTooLargeError(ServiceError):
    """413: the request has too many bytes."""


class AuthenticationError(ServiceError):
    """401: the key is wrong."""


class PermissionDeniedError(ServiceError):
    """401/210 or 403: the key is right, but may not do this."""


class NotFoundError(ServiceError):
    """404: there is no such address; most often a wrong Invoke URL."""


class QuotaExceededError(ServiceError):
    """429/400: the quota is used up, or the API is not ticked for the application. Waiting does not heal it."""


class ThrottledError(ServiceError):
    """429: too many requests at once; slow down."""

    retryable = True


class PreprocessingError(ServiceError):
    """500/STT006: the service could not read the audio. A retry does not cure it."""


class RecognitionFailedError(ServiceError):
    """500/STT998: recognition failed."""

    retryable = True


class InternalServerError(ServiceError):
    """500/STT999, 500/900 or any other 5xx: the service failed."""

    retryable = True


class ServiceUnavailableError(ServiceError):
    """502 or 503: the service, or what stands behind the gateway, is not there."""

    retryable = True


class GatewayTimeoutError(ServiceError):
    """504: the gateway waited too long; the request may be billed."""

    retryable = True
