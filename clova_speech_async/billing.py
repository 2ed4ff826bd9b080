"""What the service bills for a request. Pure."""

from __future__ import annotations

import math

__all__ = ["BILLED_UNIT", "billed"]

BILLED_UNIT = 15
"""Seconds; a request is billed by its length rounded up to a multiple of this (user guide, *Billing*)."""


def billed(seconds: float) -> int:
    """The seconds that a request with so many seconds of audio is billed, a multiple of 15."""
    # A tenth of a millisecond is less than a sample at 8 kHz: 15.0 s summed up in floats is still 15 s.
    return max(1, math.ceil((seconds - 1e-4) / BILLED_UNIT)) * BILLED_UNIT
