"""What is done with one item: its options checked, its audio transcribed, whole or in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from clova_speech_async.audio import Splitting
from clova_speech_async.errors import ArgumentTypeError
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.models import Language
from clova_speech_async.order import Order
from clova_speech_async.outcome import to_segment

from .items import lasting

if TYPE_CHECKING:
    from clova_speech_async.engine import Engine
    from clova_speech_async.http.timeouts import Timeout
    from clova_speech_async.journal import Journal
    from clova_speech_async.models import Recognition
    from clova_speech_async.order import Guard
    from clova_speech_async.outcome import Outcome
    from clova_speech_async.transcript import Transcript

    from .items import Item

__all__ = ["Work"]


class Work:
    """Transcribes items with the options of a batch, where they have none of their own.

    Raises, when it is made, `InvalidArgumentError` or `ArgumentTypeError` for options that cannot be.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        lang: str | Language | None,
        assessment: bool,
        graph: bool,
        boostings: Iterable[str] | None,
        splitting: Splitting,
        timeout: Timeout | None,
        journal: Journal | None,
    ) -> None:
        self._engine = engine
        self._lang = lang
        self._assessment = assessment
        self._graph = graph
        self._boostings = lasting(boostings)
        self._splitting = splitting
        self._timeout = timeout
        self._journal = journal
        # Without a language the rest is checked all the same, in the one for which there is all of it.
        usual = Language.KOREAN if lang is None else lang
        self._usual = Parameters.check(lang=usual, assessment=assessment, graph=graph, boostings=self._boostings)

    @property
    def kept(self) -> bool:
        """Whether replies go into a journal."""
        return self._journal is not None

    @property
    def was_answered(self) -> bool:
        """Whether the service has ever answered the client, be it with an error."""
        return self._engine.was_answered

    def look_again(self) -> None:
        """Have every item that waits for something ask whether it may go on."""
        self._engine.look_again()

    async def do(self, item: Item, guard: Guard, outcome: Outcome) -> tuple[Transcript, Recognition | None]:
        """The transcript of an item, and the reply itself where more than text was asked for."""
        assessment = self._assessment if item.assessment is None else item.assessment
        graph = self._graph if item.graph is None else item.graph
        splitting = self._splitting if item.channels is None else replace(self._splitting, channels=item.channels)
        order = Order(
            self._parameters(item, assessment, graph),
            splitting=splitting,
            timeout=self._timeout,
            journal=self._journal,
            label=item.label,
            patient=True,
        )
        with await self._engine.enter_patiently(guard) as place:
            job = self._engine.job(order, place, guard=guard, outcome=outcome)
            if not (assessment or graph):
                return await job.transcribe(item.audio), None
            done = await job.recognize(item.audio)
            return outcome.transcript([to_segment(done)], order.parameters.lang, done.end), done.recognition

    def _parameters(self, item: Item, assessment: bool, graph: bool) -> Parameters:
        lang = self._lang if item.lang is None else item.lang
        if lang is None:
            raise ArgumentTypeError(
                "lang is given neither to the batch nor to this source: BatchTranscriber(…, lang='Kor'), or "
                "Item(audio, lang='Kor')",
                argument="lang",
            )
        own = (item.lang, item.assessment, item.utterance, item.graph, item.boostings)
        if all(option is None for option in own):
            return self._usual
        return Parameters.check(
            lang=lang,
            assessment=assessment,
            utterance=item.utterance,
            graph=graph,
            boostings=self._boostings if item.boostings is None else item.boostings,
        )
