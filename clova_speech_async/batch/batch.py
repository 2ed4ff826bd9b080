"""`BatchTranscriber`: the options, checked; and `BatchRun`: what its reader holds."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING

from clova_speech_async.audio import AudioInput, Channels, Splitting
from clova_speech_async.background import BackgroundStream
from clova_speech_async.checks import check_whole
from clova_speech_async.client import UNSET, ClovaSpeechClient, JournalInput, TimeoutInput, Unset
from clova_speech_async.errors import ArgumentTypeError
from clova_speech_async.http.timeouts import Timeout
from clova_speech_async.models import Language

from .items import Item, Result
from .run import Options, Run
from .summary import Summary
from .work import Work

if TYPE_CHECKING:
    from clova_speech_async.background import Host

__all__ = ["BatchRun", "BatchTranscriber"]


class BatchRun(BackgroundStream[Result]):
    """The results of one run, as an async iterator, and an async context manager around it.

    Ends when every source has its result. Raises `BatchStoppedError` when the batch had to stop before that; every
    source that was taken by then has its result all the same. Leaving the block, or dropping the iterator, cancels
    what is under way: every reply that has come is in the journal, or in `unread`, but requests that are cancelled may
    be billed, and are sent again by the next run. Who has a moment calls `stop` and reads on to the end.
    """

    _name = "run"
    _holding = "async with batch.run(…) as results"

    def __init__(self, run: Run, host: Host, *, buffer: int) -> None:
        super().__init__(run, host, buffer=buffer)
        self._run = run

    @property
    def summary(self) -> Summary:
        """What has been done so far, or in all; a snapshot."""
        return self._run.summary()

    async def __anext__(self) -> Result:
        """Return the next result; raises `BatchStoppedError` at the end of a batch that had to stop."""
        while True:
            result = await super().__anext__()
            if self._run.read(result.index) is not None:  # else `unread` has given it
                return result

    def unread(self) -> list[Result]:
        """What is done and has not been read, also what was held back for its order; it does not come again.

        For a reader who cannot wait for the end, and leaves the block: all of it is paid for. Asked again after the
        block it gives, for every source that was cut off, a `BatchStoppedError` with what there is in `partial`.
        """
        return self._run.unread()

    def stop(self) -> None:
        """Take no more sources and send no more requests; what is under way is finished, and the iterator then ends.

        Sources that were taken and not sent have a `BatchStoppedError` for their result. To be called in the event
        loop.
        """
        self._run.stop()


class BatchTranscriber:
    """Transcribes many recordings, short and hours-long ones mixed, side by side.

    Args:
        client: the client that sends. Its `concurrency` bounds the requests under way.
        lang: language of all that are not an `Item` with a language of its own. None where all are: what is not has
            an `ArgumentTypeError` for its result.
        journal: a `Journal`, or the path of one, into which every reply goes before its result is seen. What it holds
            is not sent again: a batch that ended halfway is gone on with by running it again.
        max_concurrency: recordings under way at once; each long one may have several requests under way.
        ordered: results in the order of the sources instead of as they are done.
        max_billed_seconds: the most a run may cost, in billed seconds of audio; checked before every request.
        assessment, graph, boostings: as for `ClovaSpeechClient.recognize`. With `assessment` or `graph` every
            recording goes out in one request, so must have at most 60 seconds.
        channels, max_duration, splitting: as for `ClovaSpeechClient.transcribe`.
        timeout: as for `ClovaSpeechClient.transcribe`, but the time in line does not count: a batch has it.

    Raises:
        InvalidArgumentError, ArgumentTypeError: an option that cannot be (also a `ValueError`, a `TypeError`).
    """

    def __init__(
        self,
        client: ClovaSpeechClient,
        *,
        lang: str | Language | None,
        journal: JournalInput | None = None,
        max_concurrency: int = 32,
        ordered: bool = False,
        max_billed_seconds: int | None = None,
        assessment: bool = False,
        graph: bool = False,
        boostings: Iterable[str] | None = None,
        channels: Channels | None = None,
        max_duration: float | None = None,
        splitting: Splitting | None = None,
        timeout: TimeoutInput | Unset = UNSET,
    ) -> None:
        if not isinstance(client, ClovaSpeechClient):
            raise ArgumentTypeError(
                f"client must be a ClovaSpeechClient, not {type(client).__name__}", argument="client"
            )
        check_whole("max_concurrency", max_concurrency)
        if max_billed_seconds is not None:
            check_whole("max_billed_seconds", max_billed_seconds, least=0, remedy="; None sets no bound")
        self._client = client
        self._options = Options(
            max_concurrency=max_concurrency, ordered=bool(ordered), max_billed_seconds=max_billed_seconds
        )
        self._work = Work(
            client._engine,
            lang=lang,
            assessment=assessment,
            graph=graph,
            boostings=boostings,
            splitting=Splitting.of(splitting, channels, max_duration),
            timeout=None if isinstance(timeout, Unset) else Timeout.of(timeout),
            journal=client._journals.get(journal),
        )

    def run(self, sources: Iterable[AudioInput | Item] | AsyncIterable[AudioInput | Item]) -> BatchRun:
        """Transcribe `sources`, taken lazily, and give a `Result` for each.

        Read it with ``async for`` in an entered client, or under ``async with batch.run(sources) as results``.
        `sources`: an iterable or async iterable of audio or of `Item`s. The next of a generator is asked for in a
        worker thread, since it may block; of a list, tuple or set at once.

        Raises, while it is read, `BatchStoppedError`: a wrong key, a used-up quota or budget, a journal that takes
        nothing, a service that cannot be reached or throws everything back, or sources that raise; the error tells how
        to go on.
        """
        return BatchRun(
            Run(sources, self._work, self._options), self._client._host, buffer=self._options.max_concurrency
        )
