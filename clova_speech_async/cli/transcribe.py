"""``clova-speech transcribe``: speech files in, transcripts out."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from clova_speech_async.batch import BatchTranscriber
from clova_speech_async.journal import Journal

from .common import (
    ChannelsOption,
    EmulatorOption,
    FilesArgument,
    FromFileOption,
    InvokeURLOption,
    LangOption,
    check_list,
    fail_usage,
    make_client,
    may_be_many,
    parse_language,
    run_async,
    usage_errors,
)
from .outputs import prepare
from .runner import Plan, Runner

__all__ = ["transcribe"]


class Format(str, enum.Enum):
    """How a transcript is written."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"
    JSONL = "jsonl"


def transcribe(
    files: FilesArgument = None,
    lang: LangOption = "Kor",
    format: Annotated[Format, typer.Option("--format", "-f", help="Form of the output.")] = Format.TXT,  # noqa: A002
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-o", help="Write a file for each into this folder; else to standard output."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over outputs that are there; else their inputs are passed over.")
    ] = False,
    from_file: FromFileOption = None,
    failures: Annotated[
        Path | None, typer.Option(help="Write the names of the files that failed here, for --from-file.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Keep every reply here: what it holds is not sent, nor paid for, again.")
    ] = None,
    max_billed: Annotated[
        int | None, typer.Option(min=0, help="Stop before more than so many seconds of audio would be billed.")
    ] = None,
    channels: ChannelsOption = "mix",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 8,
    emulator: EmulatorOption = False,
    invoke_url: InvokeURLOption = None,
) -> None:
    """Transcribe FILES: text to standard output or into a folder, everything else to standard error.

    Exit status: 0; 1 where a file failed (the others still come out) or the run had to stop; 2 for wrong usage;
    130 after Ctrl-C.
    """
    language = parse_language(lang)
    plan = Plan(
        names=tuple(files or ()),
        from_file=from_file,
        format=format.value,
        output_dir=output_dir,
        force=force,
        failures=failures,
        journal=journal,
        many=may_be_many(files or [], from_file),
    )
    try:
        _check(plan)
    except (OSError, ValueError) as error:
        fail_usage(str(error))
    runner = Runner(plan)
    try:
        run_async(
            _run,
            runner,
            {"emulator": emulator, "invoke_url": invoke_url, "concurrency": concurrency},
            {
                "lang": language,
                "journal": journal,
                "max_billed_seconds": max_billed,
                "channels": channels,
                "max_concurrency": concurrency,
                "ordered": output_dir is None,
            },
        )
    except KeyboardInterrupt:
        runner.interrupted()
    if runner.status:
        raise typer.Exit(runner.status)


async def _run(runner: Runner, client_options: dict[str, Any], batch_options: dict[str, Any]) -> None:
    async with make_client(**client_options) as client:
        with usage_errors():
            if batch_options["journal"] is not None:
                # What is wrong with the file is said at once, and not as a batch that has stopped.
                async with Journal(batch_options["journal"]):
                    pass
            batch = BatchTranscriber(client, **batch_options)
        await runner.run(batch)


def _check(plan: Plan) -> None:
    """What can be known to be wrong before anything is sent."""
    if not plan.names and plan.from_file is None:
        fail_usage("nothing to transcribe: name FILES, folders or patterns, or a list with --from-file")
    check_list(plan.from_file)
    if plan.force and plan.output_dir is None:
        fail_usage("--force goes with --output-dir")
    if plan.output_dir is not None and plan.output_dir.exists() and not plan.output_dir.is_dir():
        fail_usage(f"--output-dir {plan.output_dir}: that is a file, not a folder")
    if plan.failures is not None and plan.failures.is_dir():
        fail_usage(f"--failures {plan.failures}: that is a folder, not a file")
    if plan.failures is not None and not plan.failures.parent.is_dir():
        fail_usage(f"--failures {plan.failures}: there is no folder {plan.failures.parent}")
    if plan.output_dir is not None:
        try:
            prepare(plan.output_dir)
        except OSError as error:
            fail_usage(f"--output-dir {plan.output_dir}: nothing can be written there: {error.strerror or error}")
