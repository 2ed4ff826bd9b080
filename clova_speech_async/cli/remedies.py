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
    DeadlineExceededError,
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
    (ThrottledError, "wait a while, or lower --concurrency (auto finds what the service bears)"),
    (
        NetworkError,
        "see that the service can be reached (--invoke-url or CLOVA_SPEECH_INVOKE_URL, the network, a proxy)",
    ),
)
"""Errors that stop a run where there is nothing else, and what to do about them; the others pass by themselves."""

_OPTIONS = {
    "boostings": "--boosting",
    "channels": "--raw-channels",
    "lang": "--lang",
    "max_billed_seconds": "--max-billed",
    "sample_format": "--encoding",
    "sample_rate": "--rate",
    "utterance": "--utterance",
    "PCM(data)": "",
}
"""By the argument that an error is about: the option that sets it; empty where the file itself is meant."""

_INSTEAD = {
    "secret_key": (
        "set CLOVA_SPEECH_SECRET_KEY; it stands in the NAVER Cloud console under CLOVA Speech, your domain, Settings, "
        "Secret Key; or try the command without one: --emulator"
    ),
    "invoke_url": (
        "give --invoke-url, or set CLOVA_SPEECH_INVOKE_URL; e.g. https://clovaspeech-gw.ncloud.com/recog/v1/stt"
    ),
    "sample_rate": "samples without a header need --raw and their --rate, e.g. --raw --rate 8000 --encoding mulaw",
    "sample_format": "see that --encoding is right",
    "PCM(data)": "leave out --raw",
}
"""By the same: what to do at a command, in the place of what a program does."""


def in_words(error: Exception) -> str:
    """The message of an error, with options in the place of arguments, and what to do at a command. Of what others
    said, a file is called, or the service answered, not a letter is changed.
    """
    if not isinstance(error, ClovaSpeechError):
        return str(error)
    if isinstance(error, AudioTooLongError) and error.argument == "max_duration":
        return f"it is longer than --max-duration {error.limit:g}"
    told = _of_option(error.problem, error.argument)
    if isinstance(error, DeadlineExceededError):
        told = f"{told}; --timeout gives it longer"
    if error.remedy:
        told = f"{told}: {_INSTEAD.get(error.argument or '', error.remedy)}"
    return f"{told} [{error.account}]" if error.account else told


def _of_option(message: str, argument: str | None) -> str:
    """A message that may begin with the name of `argument`, about the option that sets it."""
    option = _OPTIONS.get(argument or "")
    if option is None or argument is None or not message.startswith(argument):
        return message
    rest = message.removeprefix(argument)
    if not option:
        return rest.lstrip(" :")
    return f"{option} {rest[1:]}" if rest.startswith("=") else option + rest


def stops_the_run(error: Exception | None) -> bool:
    """Whether it is no matter of one file: a run stops at it, and says so itself."""
    return isinstance(error, tuple(kind for kind, _ in _STOPS))


def reason_of(stop: Exception) -> str:
    """Why a run stopped, without the remedy. `stop`: what stopped it, or the `BatchStoppedError` that came of it."""
    cause = stop.__cause__ if isinstance(stop, BatchStoppedError) else stop
    if isinstance(cause, Exception) and stops_the_run(cause):
        return in_words(cause).rstrip(".")
    if isinstance(stop, BatchStoppedError) and stop.reason:
        return _of_option(stop.reason, stop.argument)
    return in_words(stop)


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
