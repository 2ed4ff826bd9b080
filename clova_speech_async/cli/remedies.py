"""What a person at the command line can do about an error: the library's own words speak of Python calls. Pure."""

from __future__ import annotations

from clova_speech_async.errors import (
    AudioTooLargeError,
    AudioTooLongError,
    AuthenticationError,
    BatchStoppedError,
    ClientClosedError,
    ClovaSpeechError,
    ConfigurationError,
    JournalError,
    NetworkError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QuotaExceededError,
    SoundDataTooLongError,
    ThrottledError,
)

__all__ = ["for_one_request", "in_words", "reason_of", "remedy_of", "stops_the_run"]

_STOPS: tuple[tuple[type[Exception], str], ...] = (
    (PermissionDeniedError, "let the key use this domain, in the NAVER Cloud console"),
    (AuthenticationError, "set CLOVA_SPEECH_SECRET_KEY to the domain's secret key"),
    (NotFoundError, "correct --invoke-url (or CLOVA_SPEECH_INVOKE_URL)"),
    (QuotaExceededError, "raise the quota, or tick the API for the application, in the NAVER Cloud console"),
    (JournalError, ""),  # its message says it, and there are many
    (ConfigurationError, "correct that"),
    (ClientClosedError, ""),
)
"""Errors that every other file must meet, too, and what to do before the next run."""

_PASSING: tuple[tuple[type[Exception], str], ...] = (
    (ThrottledError, "wait a while, or lower --concurrency"),
    (
        NetworkError,
        "see that the service can be reached (--invoke-url or CLOVA_SPEECH_INVOKE_URL, the network, a proxy)",
    ),
)
"""Errors that stop a run where there is nothing else, and what to do about them; the others pass by themselves."""

_WORDS = (
    ("pass secret_key=…, or set", "set"),
    ("pass invoke_url=…, or set", "give --invoke-url, or set"),
    ("max_billed_seconds=", "--max-billed "),
    ("are given as PCM(data, sample_rate=…)", "need --raw and their --rate, e.g. --raw --rate 8000 --encoding mulaw"),
    ("PCM(data): ", ""),
    ("give it as it is, without PCM", "leave out --raw"),
    ("sample_format=", "--encoding "),
    ("sample_rate=", "--rate "),
    ("channels=", "--raw-channels "),
)


def in_words(text: object) -> str:
    """A message with options of the command in the place of arguments of Python calls."""
    words = str(text)
    for python, command in _WORDS:
        words = words.replace(python, command)
    return words


def stops_the_run(error: Exception | None) -> bool:
    """Whether it is no matter of one file: a run stops at it, and says so itself."""
    return isinstance(error, tuple(kind for kind, _ in _STOPS))


def reason_of(stop: Exception) -> str:
    """Why a run stopped, without the remedy. `stop`: what stopped it, or the `BatchStoppedError` that came of it."""
    cause = stop.__cause__ if isinstance(stop, BatchStoppedError) else stop
    if isinstance(cause, Exception) and stops_the_run(cause):
        return in_words(cause).rstrip(".")
    return in_words(str(stop).removeprefix("the batch stopped: ").partition(". To go on, ")[0])


def remedy_of(stop: Exception, *, journal: bool) -> str:
    """What is to be done before a run that stopped is gone on with; empty where that is nothing."""
    cause = stop.__cause__ if isinstance(stop, BatchStoppedError) else stop
    if cause is None:
        # A budget is that of a run: the next one has it anew, and with a journal spends it on what is left.
        return "" if journal else "raise --max-billed"
    if not isinstance(cause, ClovaSpeechError):  # what the sources raised, or the reading of a list
        return "correct the list of files"
    return next((remedy for kind, remedy in (*_STOPS, *_PASSING) if isinstance(cause, kind)), "wait a while")


def for_one_request(error: Exception) -> str:
    """An error of a request in which a whole recording must have room."""
    if isinstance(error, BatchStoppedError) and isinstance(error.__cause__, BatchStoppedError):
        return f"not sent: {reason_of(error.__cause__)}"
    limit = _REQUEST.get(type(error))
    if limit is None:
        return in_words(error)
    return (
        f"it has more than the {limit} that can be assessed at once: cut it into sentences, a file each, and list them "
        "for --from-file; for its text alone: clova-speech transcribe"
    )


_REQUEST: dict[type[Exception], str] = {
    AudioTooLongError: "60 seconds",
    SoundDataTooLongError: "60 seconds",
    AudioTooLargeError: "10 MB",
    PayloadTooLargeError: "10 MB",
}
