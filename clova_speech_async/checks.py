"""Numbers that a caller gives, checked: what cannot be is an error that names the argument, the value and the remedy.

Pure. A truth value is no number here, though Python takes it for one.
"""

from __future__ import annotations

import functools
import math

from .errors import ArgumentTypeError, InvalidArgumentError

__all__ = ["check_number", "check_seconds", "check_whole"]


def check_whole(name: str, value: object, *, least: int = 1, most: int | None = None, remedy: str = "") -> int:
    """A whole number of at least `least`, and at most `most`; `remedy` is the end of the message."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError(f"{name} must be a whole number, not {value!r:.80}{remedy}", argument=_argument(name))
    if value < least or (most is not None and value > most):
        wanted = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidArgumentError(f"{name} must be {wanted}, not {value!r:.80}{remedy}", argument=_argument(name))
    return value


def check_number(
    name: str,
    value: object,
    *,
    unit: str = "",
    least: float = 0.0,
    most: float = math.inf,
    above: bool = False,
    endless: bool = False,
    remedy: str = "",
) -> float:
    """A number of a `unit` from `least`, or `above` it, to `most`; infinity only where it may be `endless`."""
    of = f" {unit}" if unit else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        number = f"a number of {unit}" if unit else "a number"
        raise ArgumentTypeError(f"{name} must be {number}, not {value!r:.80}{remedy}", argument=_argument(name))
    try:
        given = float(value)
    except OverflowError:
        given = math.inf if value > 0 else -math.inf
    if (least < given if above else least <= given) and given <= most and (endless or given != math.inf):
        return given
    if most != math.inf:
        wanted = f"from {least:g} to {most:g}{of}"
    else:
        wanted = f"above {least:g}{of}" if above else f"at least {least:g}{of}"
        if not endless:
            wanted += ", and finite"
    raise InvalidArgumentError(f"{name} must be {wanted}, not {value!r:.80}{remedy}", argument=_argument(name))


check_seconds = functools.partial(check_number, unit="seconds")
"""The same for a number of seconds."""


def _argument(name: str) -> str:
    """The argument itself, of a name such as ``"timeout: read"``."""
    return name.rpartition(": ")[2]
