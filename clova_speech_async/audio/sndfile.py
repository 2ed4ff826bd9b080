"""What libsndfile reads, straight through (straight.py), with what it makes of damage and of appended files put right.

FLAC and MP3 are read from a pipe, too (forward.py). The others need a real end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .claims import NEXT, Claim, claim_of, find
from .convert import alike
from .decoded import block_frames
from .ends import OGG_TAIL, Account, account_of, has_last_page, mended
from .formats import FLAC, HEAD, MP3, OGG, Kind
from .forward import Forward
from .frames import Frames
from .samples import Block
from .source import Source
from .straight import Straight, open_straight
from .track import Opened, Track, damage
from .view import Patch, View, raise_kept

__all__ = ["Opened", "open_sound"]


_LEAST_HEAD = 64
"""Bytes; shorter than that is what was cut off within its header, whatever its format."""
_UNKNOWN = 1 << 60
_STREAMINFO = b"\0\0\x22"
"""Length of the first block of every FLAC."""


def open_sound(source: Source, start: int, kind: Kind) -> Opened:
    """Open the file that begins at byte `start` of `source`; the blocks are about a second each.

    Of MP3 and of FLAC from a pipe, `source` must stand there. Raises `CorruptAudioError` and `UnsupportedFormatError`.
    """
    what = f"{source.name}: {kind.name}"
    frames: Frames | None = None
    account: Account | None = None
    view: View | Forward
    if kind is MP3:
        frames = Frames(source)
        head = frames.peek(HEAD)
        claim = claim_of(head, kind)
        view = Forward(frames, claim.patch)
    elif kind is FLAC and not source.seekable:
        head = source.peek(HEAD)
        claim = claim_of(head, kind)
        view = Forward(source, claim.patch)
    else:
        view = source.view(start)
        head = view.at(0, HEAD)
        claim = claim_of(head, kind)
        account = account_of(view.at, view.size, kind.name)
        mend = mended(view.at, view.size, kind.name)
        view.patch = claim.patch if mend is None else Patch(*mend)
    whole = len(head) >= _LEAST_HEAD and (kind is not FLAC or head[5:8] == _STREAMINFO)
    file = open_straight(view, kind, what, whole=whole)
    rate, channels = int(file.samplerate), int(file.channels)
    opened = Opened(rate, channels, iter(()), _announced(file, claim, kind))
    opened.account = account
    opened.blocks = _links(opened, file, view, claim, kind, what, frames)
    return opened


def _announced(file: Straight, claim: Claim, kind: Kind) -> float | None:
    """Seconds by its header, or by the last page of an OGG."""
    samples = int(file.frames) if kind is OGG else claim.samples
    return samples / int(file.samplerate) if 0 < samples < _UNKNOWN else None


def _links(
    opened: Opened, file: Straight, view: View | Forward, claim: Claim, kind: Kind, what: str, frames: Frames | None
) -> Iterator[Block]:
    """The blocks of a file, and of those that were simply appended to it, as FLAC, OGG and MP3 allow."""
    yield from _blocks(opened, file, view, claim, kind, what)
    if frames is not None and not view.at_end:
        # Never seen; but it would be speech that vanishes.
        raise damage(opened, None, what)
    while (following := _next(view, kind, frames)) is not None:
        view, claim = following
        opened.honest = False
        file = open_straight(view, kind, what)
        further = _announced(file, claim, kind)
        known = opened.announced is not None and further is not None
        opened.announced = (opened.announced or 0.0) + (further or 0.0) if known else None
        blocks = _blocks(opened, file, view, claim, kind, what)
        yield from alike(blocks, int(file.samplerate), opened.rate, opened.channels)
    if frames is not None:
        opened.holes, opened.cut_off = tuple(frames.holes), opened.cut_off or frames.cut_off
        opened.honest = opened.honest and frames.clean and not frames.cut_off
    elif kind is OGG:
        opened.unended = not has_last_page(view.tail(OGG_TAIL))
    elif opened.account is not None:
        opened.announced = opened.account.seconds(opened.heard)
    raise_kept(view)


def _next(view: View | Forward, kind: Kind, frames: Frames | None) -> tuple[View | Forward, Claim] | None:
    """The next file in this one, ready to be opened, or None."""
    if frames is not None:
        if not frames.turn():
            return None
        claim = claim_of(frames.peek(HEAD), kind)
        return Forward(frames, claim.patch), claim
    pattern = NEXT.get(kind)
    at = None if pattern is None else find(view, pattern)
    if at is None:
        return None
    view.rebase(at)
    view.patch = None
    head = bytearray(HEAD)
    claim = claim_of(bytes(head[: view.readinto(head)]), kind)
    view.patch = claim.patch
    view.seek(0)
    return view, claim


def _blocks(
    opened: Opened, file: Straight, view: View | Forward, claim: Claim, kind: Kind, what: str
) -> Iterator[Block]:
    """Block after block, and held against the claim: what is beyond it by no more than an encoder adds is left out."""
    rate, most = int(file.samplerate), block_frames(int(file.samplerate), int(file.channels))
    counted, beyond = 0, np.zeros((0, int(file.channels)), np.float32)
    track = Track(opened, file, view, kind, what)
    with track:
        while True:
            left = claim.samples - counted if claim.samples else 0
            if kind is FLAC and claim.samples and left == 0 and find(view, NEXT[FLAC], view.tell()) is not None:
                # Left to itself the decoder takes the next file's frames for more of this one's, whatever their rate.
                break
            block, error = track.read(left if 0 < left < most else most)
            # Where all that was announced has been heard, what follows in a FLAC is a tag or some other addition.
            broken = error is not None and not (kind is FLAC and left == 0)
            if not len(block) and not broken:
                break
            if claim.margin and left == 0 and len(beyond) + len(block) <= claim.margin:
                beyond = np.concatenate((beyond, block))
                continue
            if len(beyond):
                counted += len(beyond)
                yield beyond
                beyond = beyond[:0]
            counted += len(block)
            yield block
            opened.heard += len(block) / rate
            if broken:
                ends = view.at_end or (kind is FLAC and find(view, NEXT[FLAC]) is not None)
                raise_kept(view)
                if not opened.heard or not ends:
                    raise damage(opened, error, what) from error
                opened.cut_off = True
                break
        if kind is FLAC and (not claim.samples or counted < claim.samples):
            track.look_at_end(claim)
    if claim.patch is not None and counted != claim.samples:
        opened.honest = False
