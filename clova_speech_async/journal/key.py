"""What makes two requests the same request. Pure: bytes and strings in, a digest out.

Law of this file: nothing that identifies the payer goes in (no key, no secret), and everything that can change the
reply does: the audio, the address, the language and every other parameter. A change of the recipe makes every journal
in the world forget what was paid for, so `_RECIPE` changes only together with it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError

__all__ = ["journal_key"]

_RECIPE = b"clova-speech-async journal key 1"


def journal_key(digest: bytes, url: str, query: str) -> bytes:
    """The 32 bytes under which the reply to a request is kept.

    `digest`: a digest of the piece's audio (SHA-256, 32 bytes; at least 16). `url`: the address it is sent to; the
    case of its host, a query and a fragment do not count. `query`: language and parameters, percent-encoded or not,
    in any order.
    """
    if not isinstance(digest, bytes):
        raise ArgumentTypeError(f"digest must be bytes, not {type(digest).__name__}", argument="digest")
    if len(digest) < 16:
        raise InvalidArgumentError(
            f"digest has {len(digest)} bytes; give a whole digest of the audio, e.g. SHA-256", argument="digest"
        )
    for name, value in (("url", url), ("query", query)):
        if not isinstance(value, str):
            raise ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}", argument=name)
    try:
        key = hashlib.sha256(_request_prefix(url, query))
    except ValueError:  # no address, or half a character; not its cause, whose text may be what was said
        raise InvalidArgumentError("url or query is none that a request can have") from None
    key.update(digest)
    return key.digest()


@lru_cache(maxsize=256)
def _request_prefix(url: str, query: str) -> bytes:
    """Everything but the audio; each part behind its length, so that no two requests share a prefix."""
    scheme, host, path, _, _ = urlsplit(url)
    address = urlunsplit((scheme.lower(), host.lower(), path, "", ""))
    parts = [_RECIPE, address.encode()]
    for name, value in sorted(parse_qsl(query.removeprefix("?"), keep_blank_values=True)):
        parts += [name.encode(), value.encode()]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts) + len(parts).to_bytes(8, "big")
