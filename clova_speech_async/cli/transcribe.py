"""``clova-speech transcribe``: speech files in, transcripts out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from clova_speech_async.batch import BatchTranscriber
from clova_speech_async.http.timeouts import Timeout

from .checks import check_plan
from .common import check_journal, fail_usage, make_client, may_be_many, run_async, usage_errors
from .inputs import shown
from .options import (
    BoostingFileOption,
    BoostingOption,
    ChannelsOption,
    ConcurrencyOption,
    EmulatorOption,
    EncodingOption,
    FilesArgument,
    FromFileOption,
    InvokeURLOption,
    JournalOption,
    LangOption,
    MaxDurationOption,
    NullOption,
    RateOption,
    RawChannelsOption,
    RawOption,
    RequestsPerSecondOption,
    TimeoutOption,
    given_path,
    parse_above_zero,
    parse_boostings,
    parse_concurrency,
    parse_language,
    parse_raw,
)
from .plan import Plan
from .progress import Retries
from .reporting import RunReport
from .runner import Runner
from .signals import leave

__all__ = ["transcribe"]


def transcribe(
    files: FilesArgument = None,
    lang: LangOption = "Kor",
    format: Annotated[  # noqa: A002
        Literal["txt", "srt", "vtt", "json", "jsonl"], typer.Option("--format", "-f", help="Form of the output.")
    ] = "txt",
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir",
            "-o",
            parser=given_path,
            metavar="FOLDER",
            help="Write a file for each into this folder; else to standard output.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Transcribe again, and write over, what has its output in the folder; else it is passed over. Never "
            "over the output of another recording.",
        ),
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Take outputs of which the folder's record knows nothing for those of the files with their names; "
            "else such files are transcribed under another name.",
        ),
    ] = False,
    from_file: FromFileOption = None,
    null: NullOption = False,
    failures: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, metavar="FILE", help="Write the names of the files that failed here, for --from-file."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, metavar="FILE", help="Add a line of JSON to this file for each recording as it ends."
        ),
    ] = None,
    journal: JournalOption = None,
    max_billed: Annotated[
        int | None, typer.Option(min=0, help="Stop before more than so many seconds of audio would be billed.")
    ] = None,
    max_duration: MaxDurationOption = None,
    channels: ChannelsOption = "mix",
    boosting: BoostingOption = None,
    boosting_file: BoostingFileOption = None,
    concurrency: ConcurrencyOption = "8",
    requests_per_second: RequestsPerSecondOption = None,
    timeout: TimeoutOption = None,
    raw: RawOption = False,
    rate: RateOption = None,
    raw_channels: RawChannelsOption = 1,
    encoding: EncodingOption = "s16le",
    emulator: EmulatorOption = False,
    invoke_url: InvokeURLOption = None,
) -> None:
    """Transcribe FILES: text to standard output or into a folder, everything else to standard error.

    Exit status: 0; 1 where a file failed (the others still come out) or the run had to stop; 2 for wrong usage;
    130 after Ctrl-C, 143 after SIGTERM, 129 when the terminal hangs up: what is under way has a moment to end, a second
    signal ends it at once.
    """
    language = parse_language(lang)
    plan = Plan(
        names=tuple(files or ()),
        from_file=from_file,
        format=format,
        output_dir=output_dir,
        force=force,
        adopt=adopt,
        failures=failures,
        report=report,
        journal=journal,
        raw=parse_raw(raw, rate, raw_channels, encoding),
        null=null,
        many=may_be_many(files or [], from_file),
    )
    limit = parse_concurrency(concurrency)
    client_options = {
        "emulator": emulator,
        "invoke_url": invoke_url,
        "concurrency": limit,
        "requests_per_second": parse_above_zero("--requests-per-second", requests_per_second, "2.5"),
        "timeout": parse_above_zero("--timeout", timeout, "120") or Timeout(),
        "on_event": Retries(),
    }
    batch_options = {
        "lang": language,
        "journal": journal,
        "max_billed_seconds": max_billed,
        "max_duration": parse_above_zero("--max-duration", max_duration, "3600"),
        "channels": channels,
        "boostings": parse_boostings(language, boosting, boosting_file),
        "max_concurrency": limit if isinstance(limit, int) else limit.maximum,
        "ordered": output_dir is None,
    }
    try:
        check_plan(plan)
    except OSError as error:
        fail_usage(f"{shown(error.filename)}: {error.strerror}" if error.filename else str(error))
    except ValueError as error:
        fail_usage(str(error))
    _carry_out(plan, client_options, batch_options)


def _carry_out(plan: Plan, client_options: dict[str, Any], batch_options: dict[str, Any]) -> None:
    rows = None if plan.report is None else _open_report(plan.report)
    runner = Runner(plan, report=rows)
    try:
        run_async(_run, runner, client_options, batch_options)
    except KeyboardInterrupt:
        runner.interrupted()
    finally:
        if rows is not None:
            rows.close()
    if runner.signals.number is not None:
        leave(runner.status)
    if runner.status:
        raise typer.Exit(runner.status)


async def _run(runner: Runner, client_options: dict[str, Any], batch_options: dict[str, Any]) -> None:
    async with make_client(**client_options) as client:
        await check_journal(batch_options["journal"])
        with usage_errors():
            batch = BatchTranscriber(client, **batch_options)
        await runner.run(batch, client.stats)


def _open_report(path: Path) -> RunReport:
    try:
        return RunReport(path)
    except OSError as error:
        fail_usage(f"--report {path}: it cannot be written: {error.strerror or error}")
