"""What a request asks for, checked before anything is sent. Pure."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from clova_speech_async.errors import ArgumentTypeError, ConfigurationError, InvalidArgumentError
from clova_speech_async.models import Language

__all__ = ["URL_VARIABLE", "Parameters", "endpoint", "is_loopback"]

URL_VARIABLE = "CLOVA_SPEECH_INVOKE_URL"
BOOSTINGS_LIMIT = 512
"""Characters of all keywords together, the tabs between them included (Korean API guide, 2025-06-19)."""
PATH = "/recog/v1/stt"
LONG_SENTENCES = ("/recognizer/upload", "/recognizer/url", "/recognizer/object-storage")
"""What the addresses of the sibling API for long sentences end in, whose requests are others."""


@dataclass(frozen=True)
class Parameters:
    """The checked query parameters of one request; the same for every piece of a recording."""

    lang: Language
    query: str = field(repr=False)
    """Percent-encoded, ready for the URL. Holds what the user said: never shown."""
    private: tuple[str, ...] = field(repr=False, default=())
    """Texts of the user that no message may repeat."""

    @classmethod
    def check(
        cls,
        *,
        lang: str | Language,
        assessment: bool = False,
        utterance: str | None = None,
        graph: bool = False,
        boostings: Iterable[str] | None = None,
    ) -> Parameters:
        """Return the parameters of a request, checked.

        Raises `InvalidArgumentError` or `ArgumentTypeError`, naming the argument and the remedy, for everything that
        the service is known not to accept.
        """
        keywords = _keywords(boostings)
        try:
            return _checked(lang, assessment, utterance, graph, keywords)
        except TypeError as error:
            if isinstance(error, ArgumentTypeError):
                raise
        # What cannot be hashed is none of the right types, of which this tells.
        return _check(lang, assessment, utterance, graph, keywords)


def _check(
    lang: str | Language, assessment: bool, utterance: str | None, graph: bool, keywords: tuple[str, ...]
) -> Parameters:
    if not (utterance is None or isinstance(utterance, str)):
        raise ArgumentTypeError(f"utterance must be a string, not {type(utterance).__name__}", argument="utterance")
    if not isinstance(assessment, bool):
        raise ArgumentTypeError(f"assessment must be True or False, not {assessment!r}", argument="assessment")
    if not isinstance(graph, bool):
        raise ArgumentTypeError(f"graph must be True or False, not {graph!r}", argument="graph")
    language = Language.parse(lang)
    if assessment and not language.can_be_assessed:
        raise InvalidArgumentError(
            f"assessment: the service scores pronunciation in 'Eng' and 'Kor' only, not in {language.value!r}",
            argument="assessment",
        )
    if utterance is not None:
        _check_utterance(utterance, language, assessment)
    if keywords:
        _check_keywords(keywords, language)
    pairs = [f"lang={language.value}"]
    if assessment:
        pairs.append("assessment=true")
    if utterance is not None:
        pairs.append(f"utterance={quote(utterance, safe='')}")
    if graph:
        pairs.append("graph=true")
    if keywords:
        pairs.append(f"boostings={quote(chr(9).join(keywords), safe='')}")
    private = (utterance, *keywords) if utterance else keywords
    return Parameters(lang=language, query="&".join(pairs), private=private)


_checked = functools.lru_cache(maxsize=256, typed=True)(_check)
"""The same parameters come with every request of a program: they are checked and encoded once."""


# --- utterance ----------------------------------------------------------------------------------------


def _check_utterance(utterance: str, language: Language, assessment: bool) -> None:
    _check_letters("utterance", utterance)
    if not assessment:
        raise InvalidArgumentError(
            "utterance is what an assessment scores against: pass assessment=True with it", argument="utterance"
        )
    scripts = {script for letter in utterance if (script := _script(letter))}
    if not scripts:
        raise InvalidArgumentError(
            "utterance has no letter in it: pass the sentence to be said, or leave it out", argument="utterance"
        )
    wanted = "HANGUL" if language is Language.KOREAN else "LATIN"
    # Korean sentences do hold Latin words; English ones hold no Hangul.
    if wanted not in scripts or (language is Language.ENGLISH and scripts & _EAST_ASIAN):
        found = ", ".join(sorted(script.title() for script in scripts))
        raise InvalidArgumentError(
            f"utterance is written in {found}, but lang is {language.value!r}: "
            f"pass it in {wanted.title()} letters, or the language it is in",
            argument="utterance",
        )


def _check_letters(name: str, text: str) -> None:
    """Refuse half a character, as a text cut in the middle of UTF-16 or read with ``surrogateescape`` holds it."""
    bad = next((letter for letter in text if "\ud800" <= letter <= "\udfff"), None)
    if bad is not None:
        raise InvalidArgumentError(
            f"{name} has {bad!r} at position {text.index(bad) + 1}, half a character that cannot be sent: "
            "decode the text anew, or leave that out",
            argument=name.partition(":")[0],
        )


_EAST_ASIAN = {"HANGUL", "HIRAGANA", "KATAKANA", "CJK"}


def _script(letter: str) -> str | None:
    """The script of a letter by its Unicode name; None for what is not a letter."""
    if not letter.isalpha():
        return None
    first = unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
    return "LATIN" if first == "FULLWIDTH" else "HANGUL" if first == "HALFWIDTH" else first


# --- boostings ----------------------------------------------------------------------------------------


def _keywords(boostings: Iterable[str] | None) -> tuple[str, ...]:
    if boostings is None:
        return ()
    if isinstance(boostings, (str, bytes)):
        raise ArgumentTypeError(
            "boostings must be an iterable of keywords, not one string: pass [keyword]", argument="boostings"
        )
    if isinstance(boostings, Mapping):
        raise ArgumentTypeError(
            f"boostings must be an iterable of keywords, not {type(boostings).__name__}: the service takes no weights, "
            "so pass the keywords alone, list(boostings)",
            argument="boostings",
        )
    try:
        # A set has another order in each process: the journal would not know the same request again.
        keywords = tuple(sorted(boostings, key=str) if isinstance(boostings, (set, frozenset)) else boostings)
    except TypeError:
        raise ArgumentTypeError(
            f"boostings must be an iterable of keywords, not {type(boostings).__name__}", argument="boostings"
        ) from None
    for keyword in keywords:
        if not isinstance(keyword, str):
            raise ArgumentTypeError(
                f"boostings: a keyword must be a string, not {type(keyword).__name__}", argument="boostings"
            )
    return keywords


def _check_keywords(keywords: tuple[str, ...], language: Language) -> None:
    if language is not Language.KOREAN:
        raise InvalidArgumentError(
            f"boostings: the service favours keywords in 'Kor' only, not in {language.value!r}", argument="boostings"
        )
    for keyword in keywords:
        _check_letters("boostings: a keyword", keyword)
        if not keyword.strip():
            raise InvalidArgumentError(
                f"boostings: {keyword!r} is an empty keyword: leave it out", argument="boostings"
            )
        if any(unicodedata.category(letter) == "Cc" for letter in keyword):
            raise InvalidArgumentError(
                f"boostings: {keyword!r} has a tab, line break or control character in it: the service parts "
                "keywords by tabs, so pass each as an item of its own",
                argument="boostings",
            )
        if not any(_script(letter) == "HANGUL" for letter in keyword):
            raise InvalidArgumentError(
                f"boostings: {keyword!r} is not Korean: the service favours Korean keywords only, "
                "so write it as it is said, in Hangul",
                argument="boostings",
            )
    length = sum(map(len, keywords)) + len(keywords) - 1
    if length > BOOSTINGS_LIMIT:
        raise InvalidArgumentError(
            f"boostings: {length} characters in {len(keywords)} keywords, the tabs between them included; "
            f"the service takes at most {BOOSTINGS_LIMIT} in all: pass fewer",
            argument="boostings",
        )


# --- the address --------------------------------------------------------------------------------------


def endpoint(url: str) -> str:
    """Return the full address for any form of an Invoke URL that people paste.

    Takes the bare host, the domain's Invoke URL, the full ``…/recog/v1/stt``, and that with a query behind it; a
    missing scheme is https.

    Raises `ConfigurationError` for what is no such address, for one of the API for long sentences, for plain http to
    another host than loopback (the key would travel in the clear), and for an address with a user name or password.
    """
    if not isinstance(url, str):
        raise ArgumentTypeError(f"the Invoke URL must be a string, not {type(url).__name__}", argument="invoke_url")
    text = url.strip().strip("'\"<>").strip()
    where = f"pass invoke_url=…, or set {URL_VARIABLE}; e.g. https://clovaspeech-gw.ncloud.com/recog/v1/stt"
    if not text:
        raise ConfigurationError(f"the Invoke URL is empty: {where}", argument="invoke_url", remedy=where)
    try:
        parts = urlsplit(text if "://" in text else f"https://{text.lstrip('/')}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(
            f"the Invoke URL is not an address: {where}", argument="invoke_url", remedy=where
        ) from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"the Invoke URL has a user name or password in it: {where}", argument="invoke_url", remedy=where
        )
    if parts.scheme not in ("https", "http"):
        raise ConfigurationError(
            f"the Invoke URL begins with {parts.scheme!r}, not with https: {where}", argument="invoke_url", remedy=where
        )
    if not host or not _is_clean(host + parts.path):
        raise ConfigurationError(
            f"the Invoke URL names no host, or has spaces in it: {where}", argument="invoke_url", remedy=where
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"the Invoke URL is plain http to {host!r}: the key would travel in the clear; use https "
            "(plain http is for loopback only)",
            argument="invoke_url",
        )
    base = _base_path(parts.path)
    long = next((end for end in LONG_SENTENCES if base.lower().endswith(end)), None)
    if long is not None:
        raise ConfigurationError(
            f"the Invoke URL ends in {long!r}: that is the address of the API for long sentences, and this is a client "
            f"of the one for short sentences (`transcribe` cuts long recordings itself): {where}",
            argument="invoke_url",
            remedy=where,
        )
    authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    return f"{parts.scheme}://{authority}{base}{PATH}"


def _base_path(path: str) -> str:
    """The path before `PATH`, of which people also paste only the beginning."""
    path = path.rstrip("/")
    for known in (PATH, "/recog/v1", "/recog"):
        if path.endswith(known):
            return path[: -len(known)]
    return path


def _is_clean(text: str) -> bool:
    return all("!" <= letter <= "~" and letter not in '"<>\\^`{|}' for letter in text)


def is_loopback(host: str) -> bool:
    """Whether a host's name, or address, is that of this machine."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())
