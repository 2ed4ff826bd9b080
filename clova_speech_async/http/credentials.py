"""Who asks. Everything that holds a key, and nothing else does: no key is in a repr, a message or a log line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from clova_speech_async.errors import ArgumentTypeError, ConfigurationError

__all__ = ["KEY_VARIABLE", "CSRKeys", "Credentials", "SecretKey"]

KEY_VARIABLE = "CLOVA_SPEECH_SECRET_KEY"
_QUOTES = "'\"`"
_REMEDY = (
    f"pass secret_key=…, or set {KEY_VARIABLE}; it stands in the NAVER Cloud console under CLOVA Speech, your domain, "
    "Settings, Secret Key"
)


@runtime_checkable
class Credentials(Protocol):
    """What a client needs to know of its keys. A class of your own may stand in for the ones here."""

    @property
    def default_url(self) -> str:
        """The service's address when no Invoke URL is given."""
        ...

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The request headers that carry the keys."""
        ...

    def secrets(self) -> Sequence[str]:
        """Every value that must never be shown."""
        ...


@dataclass(frozen=True)
class SecretKey:
    """The secret key of a CLOVA Speech domain, sent as ``X-CLOVASPEECH-API-KEY``.

    Raises `ConfigurationError` when it is empty or not printable ASCII without spaces; the key is not shown.
    """

    key: str = field(repr=False)

    default_url = "https://clovaspeech-gw.ncloud.com"

    def __post_init__(self) -> None:
        check_key(self.key, "secret key", _REMEDY)

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The header of the service."""
        return ((b"X-CLOVASPEECH-API-KEY", self.key.encode("ascii")),)

    def secrets(self) -> Sequence[str]:
        """The key."""
        return (self.key,)


@dataclass(frozen=True)
class CSRKeys:
    """The two keys of CSR, the sibling service: the same engine, languages and codes, a reply with only a text.

    Raises `ConfigurationError` when one is empty or not printable ASCII without spaces; the keys are not shown.
    """

    key_id: str = field(repr=False)
    """``X-NCP-APIGW-API-KEY-ID``."""
    key: str = field(repr=False)
    """``X-NCP-APIGW-API-KEY``."""

    default_url = "https://naveropenapi.apigw.ntruss.com"

    def __post_init__(self) -> None:
        remedy = "it stands in the NAVER Cloud console under AI·NAVER API, Application, Authentication information"
        check_key(self.key_id, "CSR key id (Client ID)", remedy)
        check_key(self.key, "CSR key (Client Secret)", remedy)

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The two headers of the API gateway."""
        return (
            (b"X-NCP-APIGW-API-KEY-ID", self.key_id.encode("ascii")),
            (b"X-NCP-APIGW-API-KEY", self.key.encode("ascii")),
        )

    def secrets(self) -> Sequence[str]:
        """Both keys."""
        return (self.key, self.key_id)


def check_key(key: object, name: str, remedy: str) -> None:
    """Raise unless `key` can be a header's value; says what is wrong with it, never what it is."""
    if not isinstance(key, str):
        raise ArgumentTypeError(f"the {name} must be a string, not {type(key).__name__}")
    if not key:
        raise ConfigurationError(f"the {name} is empty: {remedy}", remedy=remedy)
    if key != key.strip():
        raise ConfigurationError(
            f"the {name} begins or ends with white space (a line break, perhaps): {remedy}", remedy=remedy
        )
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        raise ConfigurationError(
            f"the {name} begins or ends with a quotation mark, which is no part of it (`docker --env-file` keeps those "
            f"in the file): take them off; {remedy}",
            remedy=remedy,
        )
    # h11's own error about a bad header value prints the value: it must never come that far.
    bad = next((position for position, letter in enumerate(key) if not "!" <= letter <= "~"), None)
    if bad is not None:
        raise ConfigurationError(
            f"the {name} has a character at position {bad + 1} that is not printable ASCII or is a space: {remedy}",
            remedy=remedy,
        )


def from_environment(environment: dict[str, str]) -> SecretKey:
    """Return the secret key that the environment names.

    Raises `ConfigurationError` when there is none.
    """
    key = environment.get(KEY_VARIABLE)
    if key is None:
        raise ConfigurationError(f"no secret key: {_REMEDY}", argument="secret_key", remedy=_REMEDY)
    try:
        return SecretKey(key)
    except ConfigurationError as error:
        raise ConfigurationError(f"{KEY_VARIABLE}: {error}", argument="secret_key", remedy=error.remedy) from None
