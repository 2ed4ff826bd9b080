"""``clova-speech assess``: how well a sentence was said, to read and to see."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import typer
from rich.console import Console
from rich.table import Table

from clova_speech_async.batch import BatchRun, BatchTranscriber, Item, Result
from clova_speech_async.errors import BatchStoppedError, ClovaSpeechError, MissingDependencyError
from clova_speech_async.http.parameters import Parameters
from clova_speech_async.http.timeouts import Timeout
from clova_speech_async.models import Language, Recognition
from clova_speech_async.report import save_report
from clova_speech_async.terminal import AssessmentView

from .about import about, words_for
from .audio import audio_of
from .common import (
    Heed,
    check_can_be_written,
    check_journal,
    check_no_folder,
    check_standard_input,
    fail_usage,
    make_client,
    run,
    say,
    table_console,
    usage_errors,
)
from .inputs import shown
from .options import (
    ConcurrencyOption,
    EmulatorOption,
    InvokeURLOption,
    JournalOption,
    LangOption,
    RequestsPerSecondOption,
    TimeoutOption,
    given_path,
    parse_above_zero,
    parse_concurrency,
    parse_language,
)
from .progress import Retries
from .remedies import for_one_request, reason_of, remedy_of, stops_the_run
from .scores import Rows, row_of_reply, row_of_result
from .sentences import Sentence, read_sentences
from .signals import GRACE

__all__ = ["assess"]


def assess(
    file: Annotated[
        Path | None,
        typer.Argument(parser=given_path, help="A speech file of at most 60 seconds; '-': standard input."),
    ] = None,
    utterance: Annotated[str | None, typer.Option("--utterance", "-u", help="What was to be said.")] = None,
    lang: LangOption = "Eng",
    format: Annotated[Literal["text", "json"], typer.Option("--format", "-f", help="Form of the output.")] = "text",  # noqa: A002
    weak: Annotated[int, typer.Option(min=0, max=100, help="A phone under this score is shown below its word.")] = 70,
    save: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            metavar="FILE",
            help="Draw a report into this file: .html, or .png or .svg (extra 'plot').",
        ),
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option(
            help="Many at once: a CSV or JSONL with the columns file and utterance, and lang and id if wanted ('-': "
            "standard input). Results come as JSONL, a table of them on standard error."
        ),
    ] = None,
    journal: JournalOption = None,
    concurrency: ConcurrencyOption = "8",
    requests_per_second: RequestsPerSecondOption = None,
    timeout: TimeoutOption = None,
    emulator: EmulatorOption = False,
    invoke_url: InvokeURLOption = None,
) -> None:
    """Score the pronunciation of FILE against a sentence.

    Exit status: 0; 1 where a file failed (the others still come out); 2 for wrong usage; 130 after Ctrl-C, 143 after
    SIGTERM.
    """
    language = parse_language(lang)
    if (file is None) == (from_file is None):
        fail_usage("assess takes one FILE with --utterance, or --from-file with many")
    if from_file is not None and (save is not None or utterance is not None):
        fail_usage("--save and --utterance go with one FILE; --from-file names the utterances itself")
    check_no_folder(journal)
    if save is not None:
        _check_save(save)
    heed = Heed(grace=GRACE)
    options: dict[str, Any] = {
        "emulator": emulator,
        "invoke_url": invoke_url,
        "concurrency": parse_concurrency(concurrency),
        "requests_per_second": parse_above_zero("--requests-per-second", requests_per_second, "2.5"),
        "timeout": parse_above_zero("--timeout", timeout, "120") or Timeout(),
        "on_event": Retries(),
    }
    if from_file is not None:
        sentences = read_sentences(from_file)
        failed = run(_many, sentences, language, journal, options, heed, heed=heed)
        heed.leave_if_stopped()
        raise typer.Exit(1 if failed else 0)
    assert file is not None
    check_standard_input([str(file)], None)
    with usage_errors():
        Parameters.check(lang=language, assessment=True, utterance=utterance, graph=True)
    recognition = run(_one, file, language, utterance, journal, options, heed=heed)
    try:
        if save is not None:  # first: what it is shown on may take nothing any more
            _save(recognition, utterance, save, weak)
    finally:
        _show(recognition, file, utterance, format, weak)
    heed.leave_if_stopped()


# --- one ------------------------------------------------------------------------------------------


async def _one(
    file: Path, language: Language, utterance: str | None, journal: Path | None, options: dict[str, Any]
) -> Recognition:
    async with make_client(**options) as client:
        await check_journal(journal)
        try:
            return await client.recognize(
                audio_of(file, None), lang=language, assessment=True, utterance=utterance, graph=True, journal=journal
            )
        except ClovaSpeechError as error:
            if stops_the_run(error):
                _say_stop(error, journal)
            else:
                say(f"clova-speech: {about(file, words_for(file, error, for_one_request))}", style="red")
            raise typer.Exit(1) from None


def _say_stop(error: ClovaSpeechError, journal: Path | None) -> None:
    say(f"clova-speech: {reason_of(error)}", style="red")
    remedy = remedy_of(error, journal=journal is not None)
    kept = "" if journal is None else f": what {shown(journal)} holds is not sent again"
    say(f"To go on, {f'{remedy}, and ' if remedy else ''}run the same command again{kept}.")


def _show(recognition: Recognition, file: Path, utterance: str | None, format: str, weak: int) -> None:  # noqa: A002
    if format == "json":
        rows = Rows()
        rows.put(row_of_reply(str(file), utterance, recognition))
        if rows.lost:
            raise typer.Exit(1)
        return
    assessment = recognition.assessment
    if assessment is None:
        say(f"clova-speech: {shown(file)}: the service returned no assessment; it heard: {recognition.text}")
        return
    console = Console(highlight=False, emoji=False)
    console.print(f"Heard: {recognition.text}", markup=False)
    console.print(AssessmentView(assessment, utterance=utterance, weak=weak))


def _check_save(path: Path) -> None:
    """What would keep a report from being drawn, found before the request is paid for."""
    suffix = path.suffix.lower()
    if suffix not in (".html", ".png", ".svg"):
        fail_usage(f"--save {path}: give a file that ends in .html, .png or .svg")
    check_can_be_written("--save", path)
    if suffix != ".html":
        try:
            importlib.import_module("clova_speech_async.plot")
        except MissingDependencyError as error:
            fail_usage(str(error))


def _save(recognition: Recognition, utterance: str | None, path: Path, weak: int) -> None:
    assessment = recognition.assessment
    if assessment is None:
        say(f"clova-speech: nothing to draw into {path}: the service returned no assessment")
        raise typer.Exit(1)
    try:
        save_report(assessment, path, utterance=utterance, weak=weak)
    except MissingDependencyError as error:
        fail_usage(str(error))
    except (ClovaSpeechError, OSError) as error:
        say(f"clova-speech: {shown(path)}: {getattr(error, 'strerror', None) or error}", style="red")
        raise typer.Exit(1) from None
    say(f"report: {path}")


# --- many -----------------------------------------------------------------------------------------


async def _many(
    sentences: list[Sentence],
    language: Language,
    journal: Path | None,
    options: dict[str, Any],
    heed: Heed,
) -> int:
    taken = _Taken(sentences, heed, journal)
    async with make_client(**options) as client:
        await check_journal(journal)
        limit = options["concurrency"]
        at_once = limit if isinstance(limit, int) else limit.maximum
        batch = BatchTranscriber(client, lang=language, journal=journal, max_concurrency=at_once, ordered=True)
        items = [
            Item(one.file, lang=one.lang, assessment=True, utterance=one.utterance, graph=False, id=one.id)
            for one in sentences
        ]
        try:
            async with batch.run(items) as results:
                heed.stop = results.stop
                if heed.signals.number is not None:
                    results.stop()
                try:
                    async for result in results:
                        taken.take(results, result)
                except anyio.get_cancelled_exc_class():
                    for result in results.unread():  # held back for the order, and paid for
                        taken.take(results, result)
                    taken.say()
                    raise
        except ClovaSpeechError as error:
            _say_stop(error, journal)
            taken.failed += 1
    taken.say()
    return taken.failed


class _Taken:
    """What came of a list: its rows go to standard output as they come, and a table to standard error at the end."""

    def __init__(self, sentences: list[Sentence], heed: Heed, journal: Path | None) -> None:
        self._sentences = sentences
        self._heed = heed
        self._journal = journal
        self._table = Table("file", "score", "weakest words", "heard", box=None, pad_edge=False)
        self._rows = Rows()
        self._count = 0
        self.failed = 0

    def take(self, results: BatchRun, result: Result) -> None:
        """Give a result; where nobody takes it, `results` is stopped."""
        if isinstance(result.error, BatchStoppedError) and self._heed.signals.number is not None:
            return  # it was not sent
        self._count += 1
        one = self._sentences[result.index]
        self._rows.put(row_of_result(one, result))
        self.failed += result.error is not None
        if self._rows.lost:
            self.failed += 1
            results.stop()
        self._table.add_row(shown(one.file), *_summary(one.file, result))

    def say(self) -> None:
        """Print the table and, after a signal, what is left to be done."""
        table_console(to_stderr=True).print(self._table)
        unfinished = len(self._sentences) - self._count
        if unfinished and self._heed.signals.number is not None:
            kept = "" if self._journal is None else f": what {shown(self._journal)} holds is not sent again"
            say(f"{unfinished} unfinished. To go on, run the same command again{kept}.")


def _summary(file: str, result: Result) -> tuple[str, str, str]:
    recognition = result.recognition
    assessment = recognition.assessment if recognition is not None else None
    if recognition is None or assessment is None:
        error = result.error
        told = "no assessment" if error is None else f"failed: {words_for(Path(file), error, for_one_request)}"
        return ("-", "", shown(told))
    scored = sorted((word.score, word.text) for word in assessment.words if word.score is not None)
    weakest = ", ".join(f"{text} {score}" for score, text in scored[:3])
    return ("-" if assessment.score is None else str(assessment.score), weakest, recognition.text)
