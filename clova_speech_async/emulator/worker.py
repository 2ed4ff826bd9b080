"""One PocketSphinx in a process of its own, asked over its standard input and answering over its standard output.

Law of this file: it is run as a script and imports nothing of this package, so that a process is ready in the time
PocketSphinx takes to load. PocketSphinx holds Python's global lock while it searches; in a process of its own it stops
nobody. The process ends with its input: when its owner closes it, or is gone.

A message is a line of JSON, followed by as many bytes of PCM as its ``"pcm"`` says; the answer is a line of JSON.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import warnings
from typing import Any, BinaryIO

_LOG_BASE = math.log(1.0001)
"""PocketSphinx counts probabilities as logarithms to this base, where it does not call them probabilities."""
_LONGEST_PHONE, _LENGTHENING = 25, 15
"""Frames of 10 ms: the longest that phones are spoken on average, and what a speaker may add before a pause. Words said
alone by four synthetic voices have 7 to 24 frames a phone; the one word that is found in steady noise, all of it."""


class Recogniser:
    """Text from speech, by the en-US models that come with PocketSphinx."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(loglevel="FATAL")

    def __call__(self, pcm: bytes) -> str:
        _listen(self._decoder, pcm)
        found = self._decoder.hyp()
        return found.hypstr if found is not None and not self._is_drawn_out() else ""

    def _is_drawn_out(self) -> bool:
        """Whether the words were found by stretching them over sound that is no speech.

        PocketSphinx must say something, and fits one short word to all of a hum or of a noise. Its own confidence does
        not tell: it is 1.0 there as often as for speech, because no other word fits better. The tempo does.
        """
        words = [segment for segment in self._decoder.seg() if segment.word[0] not in "<["]
        frames = sum(word.end_frame - word.start_frame + 1 for word in words)
        phones = sum(len((self._decoder.lookup_word(word.word) or "").split()) for word in words)
        return bool(words) and frames > _LONGEST_PHONE * phones + _LENGTHENING


class Aligner:
    """How well each phone of a known text fits the speech, compared with the phones that fit it best.

    Every Gaussian is computed for every frame (``compallsen``), because scores are normalised by the best one looked
    at, and the two searches must look at the same ones. No beam and no best path: a bad fit is what we want to see.
    """

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        wide = {"beam": 1e-300, "wbeam": 1e-300, "pbeam": 1e-300}
        self._decoder = Decoder(loglevel="FATAL", lm=None, compallsen=True, bestpath=False, **wide)
        self._decoder.add_allphone_file("free", None)

    def __call__(self, pcm: bytes, words: list[list[str]]) -> list[list[list[Any]]] | None:
        """Each word's phones, as ``[name, start frame, frames, fit]``; None where the text does not fit at all.

        ``words`` are pairs of a word and a guess of its phones, for a word that is not in the dictionary. A fit is
        the difference of the two searches' log scores a frame: about 10 for clear speech, below -50 for other words.
        """
        decoder = self._decoder
        for word, guess in words:
            if decoder.lookup_word(word) is None:
                # Without making its searches anew for each word: the one for this text is made below.
                decoder.add_word(word, guess, False)
        try:
            decoder.set_align_text(" ".join(word for word, _ in words))
            _listen(decoder, pcm)
            if decoder.hyp() is None:
                return None
            decoder.set_alignment()
            _listen(decoder, pcm)
            aligned = [
                (entry.name, [(p.name, p.start, p.duration, p.score) for p in entry])
                for entry in decoder.get_alignment()
            ]
        except RuntimeError:
            return None
        spoken = [phones for name, phones in aligned if name[0] not in "<["]
        if len(spoken) != len(words):
            return None
        free = self._free_loop(pcm)
        return [
            [[name, at, count, (score - sum(free[at : at + count])) / max(count, 1)] for name, at, count, score in word]
            for word in spoken
        ]

    def _free_loop(self, pcm: bytes) -> list[float]:
        """The log score of each frame where any phone may follow any other."""
        self._decoder.activate_search("free")
        _listen(self._decoder, pcm)
        frames: list[float] = []
        for segment in self._decoder.seg():
            count = segment.end_frame - segment.start_frame + 1
            score = math.log(max(segment.ascore, 1e-300)) / _LOG_BASE
            frames += [score / count] * count
        return frames


def _listen(decoder: Any, pcm: bytes) -> None:
    """Let the decoder hear these samples, as if it had heard nothing before them."""
    # Called unnecessary and deprecated, but without it the noise estimate of the speech before changes what is heard
    # now, and the same audio would not always give the same text.
    reset = getattr(decoder, "start_stream", None)
    if reset is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            reset()
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, full_utt=True)
    finally:
        decoder.end_utt()


def serve(source: BinaryIO, sink: BinaryIO, *, load: bool) -> None:
    """Answer messages until the source ends."""
    recognise = Recogniser() if load else None
    align: Aligner | None = None
    while line := source.readline():
        message = json.loads(line)
        pcm = source.read(message["pcm"])
        try:
            if message["do"] == "recognise":
                recognise = recognise or Recogniser()
                answer: dict[str, Any] = {"text": recognise(pcm)}
            else:
                align = align or Aligner()
                answer = {"words": align(pcm, message["words"])}
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other side must be told, and the next is served
            answer = {"failed": f"{type(exc).__name__}: {exc}"}
        sink.write(json.dumps(answer).encode() + b"\n")
        sink.flush()


def main() -> None:
    """Serve standard input, with everything a C library prints sent away from the answers."""
    # Ctrl-C in a terminal reaches every process in front; the owner decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers, load="--load" in sys.argv)


if __name__ == "__main__":
    # A script's own folder stands first on the path, where a file of this room could hide a module of another's.
    del sys.path[0]
    main()
