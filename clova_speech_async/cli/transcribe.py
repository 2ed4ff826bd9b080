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
    EncodingOption,
    FilesArgument,
    FromFileOption,
    InvokeURLOption,
    LangOption,
    NullOption,
    RateOption,
    RawChannelsOption,
    RawOption,
    check_list,
    check_standard_input,
    fail_usage,
    make_client,
    may_be_many,
    parse_language,
    parse_raw,
    run_async,
    usage_errors,
)
from .inputs import looks_like_list
from .outputs import prepare
from .plan import Plan
from .reporting import RunReport
from .runner import Runner
from .signals import leave

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
        Path | None, typer.Option(help="Write the names of the files that failed here, for --from-file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Add a line of JSON to this file for each recording as it ends.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Keep every reply here: what it holds is not sent, nor paid for, again.")
    ] = None,
    max_billed: Annotated[
        int | None, typer.Option(min=0, help="Stop before more than so many seconds of audio would be billed.")
    ] = None,
    channels: ChannelsOption = "mix",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 8,
    raw: RawOption = False,
    rate: RateOption = None,
    raw_channels: RawChannelsOption = 1,
    encoding: EncodingOption = "s16le",
    emulator: EmulatorOption = False,
    invoke_url: InvokeURLOption = None,
) -> None:
    """Transcribe FILES: text to standard output or into a folder, everything else to standard error.

    Exit status: 0; 1 where a file failed (the others still come out) or the run had to stop; 2 for wrong usage;
    130 after Ctrl-C, 143 after SIGTERM: what is under way has a moment to end, a second signal ends it at once.
    """
    language = parse_language(lang)
    plan = Plan(
        names=tuple(files or ()),
        from_file=from_file,
        format=format.value,
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
    try:
        _check(plan)
    except (OSError, ValueError) as error:
        fail_usage(str(error))
    rows = None if report is None else _open_report(report)
    runner = Runner(plan, report=rows)
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
    finally:
        if rows is not None:
            rows.close()
    if runner.signals.number is not None:
        leave(runner.status)
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
    check_standard_input(list(plan.names), plan.from_file)
    if plan.null and plan.from_file is None and plan.failures is None:
        fail_usage("--null goes with --from-file or --failures")
    if plan.adopt and (plan.output_dir is None or plan.force):
        fail_usage("--adopt goes with --output-dir, and not with --force")
    if plan.force and plan.output_dir is None:
        fail_usage("--force goes with --output-dir")
    if plan.output_dir is not None and plan.output_dir.exists() and not plan.output_dir.is_dir():
        fail_usage(f"--output-dir {plan.output_dir}: that is a file, not a folder")
    if plan.report is not None:
        _check_report(plan, plan.report)
    if plan.failures is not None:
        _check_failures(plan, plan.failures)
    if plan.output_dir is not None:
        try:
            prepare(plan.output_dir)
        except OSError as error:
            fail_usage(f"--output-dir {plan.output_dir}: nothing can be written there: {error.strerror or error}")


def _check_failures(plan: Plan, path: Path) -> None:
    """The list is written anew, so what is there must be one: a shell makes two names of a pattern behind it."""
    if path.is_dir():
        fail_usage(f"--failures {path}: that is a folder, not a file")
    if not path.parent.is_dir():
        fail_usage(f"--failures {path}: there is no folder {path.parent}")
    for other in (*plan.names, plan.journal, plan.report):
        if other is not None and Path(other).absolute() == path.absolute():
            fail_usage(f"--failures {path}: that is named for something else, too, and would be written over")
    if path.is_file() and not looks_like_list(path, null=plan.null):
        fail_usage(f"--failures {path}: that is no list of files, and it would be written over; name another file")


def _check_report(plan: Plan, path: Path) -> None:
    """A report is added to what is there, so that must be one."""
    if path.is_dir():
        fail_usage(f"--report {path}: that is a folder, not a file")
    if not path.parent.is_dir():
        fail_usage(f"--report {path}: there is no folder {path.parent}")
    for option, other in (("--failures", plan.failures), ("--journal", plan.journal), ("--from-file", plan.from_file)):
        if other is not None and Path(other).absolute() == path.absolute():
            fail_usage(f"--report {path}: that is what {option} names, too")
    if path.is_file():
        with path.open("rb") as file:
            if file.read(1) not in (b"", b"{"):
                fail_usage(f"--report {path}: that is no report, and lines would be added to it; name another file")


def _open_report(path: Path) -> RunReport:
    try:
        return RunReport(path)
    except OSError as error:
        fail_usage(f"--report {path}: it cannot be written: {error.strerror or error}")
