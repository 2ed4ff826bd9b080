"""``clova-speech check``: what can be known of address and key without paying.

Law of this file: one request, right in all but that it has no audio. The service bills by the length of the audio, and
documents the answer to such a request as an error (400/STT003), so nothing is billed; and it claims no more than that
answer says. What each answer means is by the service's error table: the API guide (v1.0.1), the guide of CSR (STT007)
and NAVER Cloud's common codes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import typer

from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.errors import (
    AuthenticationError,
    BadRequestError,
    ClovaSpeechError,
    ConnectError,
    ConnectTimeoutError,
    EmptySoundDataError,
    InvalidReplyError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    PreprocessingError,
    QuotaExceededError,
    ServiceError,
    SoundDataTooShortError,
    ThrottledError,
)
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.retry import RetryPolicy

from .common import make_client, run, write_out
from .inputs import shown
from .options import EmulatorOption, InvokeURLOption
from .remedies import in_words

__all__ = ["check"]

_MEANINGS: tuple[tuple[tuple[type[Exception], ...], bool, str], ...] = (
    (
        (EmptySoundDataError, SoundDataTooShortError, PreprocessingError),
        True,
        "the address is the service's, and the key was not refused: what it misses is audio, of which none was sent",
    ),
    ((PermissionDeniedError,), False, "the key is known, but may not use this: allow it in the NAVER Cloud console"),
    (
        (AuthenticationError,),
        False,
        "the address answers, and refuses the key: set CLOVA_SPEECH_SECRET_KEY to the secret key of its domain",
    ),
    ((NotFoundError,), False, "there is no such address: correct --invoke-url (or CLOVA_SPEECH_INVOKE_URL)"),
    (
        (QuotaExceededError,),
        False,
        "the quota is used up, or the API is not ticked for the application: see the NAVER Cloud console",
    ),
    ((ThrottledError,), False, "the service is there, and asks to slow down: nothing is known of the key; try again"),
    (
        (BadRequestError,),
        False,
        "something answers, and refuses the request for another reason than that it has no audio: the key was not "
        "refused, but whether it was looked at is not known",
    ),
    ((ServiceError,), False, "the address answers, but does not work at the moment: try again later"),
    (
        (InvalidReplyError,),
        False,
        "something answers, but not as this service does: correct --invoke-url (or CLOVA_SPEECH_INVOKE_URL)",
    ),
    (
        (ConnectError, ConnectTimeoutError),
        False,
        "nobody was reached, so nothing is known of the key: see the address, the network and, where there is one, the "
        "proxy",
    ),
    ((NetworkError,), False, "a connection was made, but no answer came: nothing is known of the key"),
)
"""By the error that came, the first that fits: whether all is right as far as is known, and what it means."""


_UNKNOWN = (
    "whether it looks at the key before the audio (no document says), whether there is quota left, and how your audio "
    "is understood: only audio tells, and that is paid for"
)


@dataclass(frozen=True, kw_only=True)
class _Finding:
    address: str
    answer: str
    meaning: str
    right: bool


def check(emulator: EmulatorOption = False, invoke_url: InvokeURLOption = None) -> None:
    """Check the address and the key, without audio and so without costs.

    One request without audio is sent, which the service is documented to refuse (400/STT003): the way it refuses tells
    whether the address and the key are right. It cannot tell whether there is quota left, or whether your audio is
    understood. Exit status: 0 where the address is the service's and the key was not refused; 1 where not; 2 for wrong
    usage, also where key or address are missing or malformed; 130 after Ctrl-C, 143 after SIGTERM.
    """
    finding = run(_ask, emulator, invoke_url)
    write_out(f"address: {shown(finding.address)}\nanswer:  {shown(finding.answer)}\nmeaning: {finding.meaning}\n")
    if finding.right:
        write_out(f"unknown: {_UNKNOWN}\n")
    else:
        raise typer.Exit(1)


async def _ask(emulator: bool, invoke_url: str | None) -> _Finding:
    once = RetryPolicy(max_attempts=1)
    async with make_client(emulator=emulator, invoke_url=invoke_url, retry=once, timeout=20.0) as client:
        began = time.monotonic()
        error = await _error_of(client)
        return _finding(client._url, error, time.monotonic() - began)


async def _error_of(client: ClovaSpeechClient) -> ClovaSpeechError | int | None:
    """What a request without audio meets; where it is no error, what it billed."""
    try:
        sent = await client._sender.send(Parameters.check(lang="Kor"), b"", seconds=0.0)
    except ClovaSpeechError as error:
        return error
    return sent.recognition.quota


def _finding(address: str, met: ClovaSpeechError | int | None, seconds: float) -> _Finding:
    after = f", after {seconds:.2f} s"
    if not isinstance(met, ClovaSpeechError):
        billed = "" if met is None else f", and billed {met} s"
        meaning = "the address is the service's, and the key was not refused; it took the request as if it had audio"
        return _Finding(address=address, answer=f"200{billed}{after}", meaning=meaning, right=True)
    right, meaning = next((right, meaning) for kinds, right, meaning in _MEANINGS if isinstance(met, kinds))
    if isinstance(met, ServiceError):
        code = f"{met.status}/{met.code}" if met.code else str(met.status)
        answer = f"{code}: {met.message}" if met.message else code
    else:
        after, answer = "", in_words(met)
    return _Finding(address=address, answer=f"{answer}{after}", meaning=meaning, right=right)
