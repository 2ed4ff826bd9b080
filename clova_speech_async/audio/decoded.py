"""Sound on its way out of a decoder, and the judgement of what it was all together. No format is known here.

The law: the samples that come out are counted, never the header believed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from clova_speech_async.errors import EmptyAudioError

from .options import Flaws
from .samples import Block
from .source import Source

__all__ = ["LEAST_MISSING", "LEAST_RATE", "Decoded", "block_frames", "judged", "nothing_in"]

LEAST_RATE = 16_000
"""Hz that the service's sibling asks for; what has fewer is not passed on, but re-encoded at this rate."""
LEAST_MISSING = 0.05
"""Seconds less than announced that are worth a word: more than a rounding or a frame."""
_MOST_SAMPLES = 1 << 20
"""In a block, over all channels."""
_logger = logging.getLogger("clova_speech_async")


@dataclass
class Decoded:
    """Sound that is being decoded."""

    rate: int
    """Hz; 0 where nothing here can decode it."""
    channels: int
    blocks: Iterator[Block]
    """Shape (frames, channels), int16 or float32 of full scale 1; can be walked once."""
    source: Source | None
    """Where the bytes come from; None for an array."""
    name: str
    passable: bool
    """The bytes themselves may go to the service, where they are few and short enough. Final when all is decoded."""
    claimed: float | None = None
    """Seconds by its own account, of a file that cannot be decoded here, but that the service takes; else None."""
    flaws: Flaws = field(default_factory=Flaws)
    """What is wrong with it all the same. Final when all is decoded."""


def block_frames(rate: int, channels: int) -> int:
    """Frames of a block: a second of them, fewer where a header claims so many channels that it would be large."""
    return max(1, min(rate, _MOST_SAMPLES // channels))


def nothing_in(source: Source) -> EmptyAudioError:
    """The error for a source without bytes."""
    if source.start:
        return EmptyAudioError(f"{source.name} stands at its end, at byte {source.start}: seek(0) before it is given")
    return EmptyAudioError(f"{source.name} is empty: it has no bytes")


def judged(
    decoded: Decoded, blocks: Iterator[Block], *, least: float = LEAST_MISSING, sure: bool, alone: bool = True
) -> Iterator[Block]:
    """The same blocks; behind the last one the flaws of `decoded` are settled, and told in the log.

    `blocks`: of `decoded`; by their end they have filled in what the file announces, its holes and how it ends.
    `least`: so many seconds fewer than announced make a recording a truncated one. `sure`: what is announced was there
    once, so that what is missing is lost, and not a header that was always wrong. `alone`: a length that is too short
    says so by itself; else only where the file also breaks off within a frame.
    """
    frames = 0
    for block in blocks:
        frames += len(block)
        yield block
    if frames:
        _judge(decoded, frames, least, sure=sure, alone=alone)


def _judge(decoded: Decoded, frames: int, least: float, *, sure: bool, alone: bool) -> None:
    """Settle the flaws of a recording of which `frames` were decoded, and tell in the log what is missing."""
    flaws, seconds = decoded.flaws, frames / decoded.rate
    less = flaws.announced is not None and flaws.announced - seconds > least and (alone or flaws.broken_off)
    flaws.short = flaws.short or (less and sure)
    flaws.truncated = flaws.truncated or less or flaws.lacks_end
    if less:
        _logger.warning(
            "%s has %.2f of the %.2f seconds that its header announces: cut off? What is there is transcribed",
            decoded.name,
            seconds,
            flaws.announced,
        )
    elif flaws.truncated:
        _logger.warning(
            "%s breaks off after %.2f seconds: cut off? What is there is transcribed", decoded.name, seconds
        )
    if flaws.holes:
        _logger.warning(
            "%s is damaged: about %.2f seconds are lost in %d places, the first at %.1f s; they are taken as silence",
            decoded.name,
            flaws.lost_seconds,
            len(flaws.holes),
            flaws.holes[0].at,
        )
