"""Audio in: every input people have, one pass, pieces that hurt no word and bill least. Everything here blocks."""

from __future__ import annotations

from .cutting import cut, measure
from .options import Channels, Estimate, Flaws, Hole, Piece, Splitting
from .pcm import PCM, AsyncFile, BinaryFile, Samples
from .samples import SampleFormat
from .single import load, quick, quick_cut
from .source import AudioInput

__all__ = [
    "PCM",
    "AsyncFile",
    "AudioInput",
    "BinaryFile",
    "Channels",
    "Estimate",
    "Flaws",
    "Hole",
    "Piece",
    "SampleFormat",
    "Samples",
    "Splitting",
    "cut",
    "load",
    "measure",
    "quick",
    "quick_cut",
]
