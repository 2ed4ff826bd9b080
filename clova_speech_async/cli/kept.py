"""What has been recognised of recordings that are not at their end: who ends the command by Ctrl-C has paid for it.

Law of this file: a reply is remembered at the moment it is there, in whatever order replies come, and forgotten when
its recording has a result; so what is held is never more than the recordings under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.engine import Done, Engine, Usage, to_segment, to_transcript

if TYPE_CHECKING:
    from clova_speech_async.audio import Piece
    from clova_speech_async.http.parameters import Parameters
    from clova_speech_async.http.timeouts import Timeout
    from clova_speech_async.journal import Journal
    from clova_speech_async.models import Language
    from clova_speech_async.transcript import Transcript

__all__ = ["Kept"]


class Kept:
    """The pieces of the recordings under way, by the labels of their items."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def watch(self, client: ClovaSpeechClient) -> None:
        """Remember what `client` gets from now on; to be called before a batch is made of it."""
        client._engine = _Watched(client._engine, self)

    def add(self, done: Done, language: Language, usage: Usage) -> None:
        """Remember a piece."""
        call = self._calls.get(usage.label)
        if call is None:
            call = self._calls[usage.label] = _Call(language, usage)
        call.done.append(done)

    def forget(self, label: str) -> Transcript | None:
        """The recording has its result: what there was of it, or None."""
        call = self._calls.pop(label, None)
        return None if call is None else call.transcript()

    def take(self) -> list[tuple[str, Transcript]]:
        """What there is of each recording without a result, in time order; it is not given again."""
        calls, self._calls = self._calls, {}
        return [(label, call.transcript()) for label, call in calls.items()]


class _Call:
    """One recording under way."""

    def __init__(self, language: Language, usage: Usage) -> None:
        self._language = language
        self._usage = usage
        self.done: list[Done] = []

    def transcript(self) -> Transcript:
        return to_transcript(map(to_segment, self.done), self._language, self._usage)


class _Watched(Engine):
    """Carries out calls as its parent does, and tells of each piece."""

    def __init__(self, engine: Engine, kept: Kept) -> None:
        super().__init__(engine._sender, engine._limiter, engine._url, engine._journals)
        self._kept = kept

    async def _send(
        self, piece: Piece, parameters: Parameters, timeout: Timeout | None, journal: Journal | None, usage: Usage
    ) -> Done:
        done = await super()._send(piece, parameters, timeout, journal, usage)
        self._kept.add(done, parameters.lang, usage)
        return done
