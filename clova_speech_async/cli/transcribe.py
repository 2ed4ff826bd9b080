"""``clova-speech transcribe``: speech files in, transcripts out."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from clova_speech_async.client import ClovaSpeechClient
from clova_speech_async.errors import ClovaSpeechError
from clova_speech_async.transcript import Transcript

from .common import EmulatorOption, InvokeURLOption, LangOption, make_client, parse_language, say

__all__ = ["transcribe"]


class Format(str, enum.Enum):
    """How a transcript is written."""

    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    JSON = "json"
    JSONL = "jsonl"


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Speech files of any length and any common format.")],
    lang: LangOption = "Kor",
    format: Annotated[Format, typer.Option("--format", "-f", help="Form of the output.")] = Format.TXT,  # noqa: A002
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 8,
    emulator: EmulatorOption = False,
    invoke_url: InvokeURLOption = None,
) -> None:
    """Transcribe FILES: text to standard output, everything else to standard error.

    Exit status: 0; 1 where a file failed (the others still come out); 2 for wrong usage.
    """
    language = parse_language(lang)

    async def main() -> int:
        failed = 0
        async with make_client(emulator=emulator, invoke_url=invoke_url, concurrency=concurrency) as client:
            for path in files:
                failed += not await _one(client, path, language.value, format, many=len(files) > 1)
        return failed

    if anyio.run(main):
        raise typer.Exit(1)


async def _one(client: ClovaSpeechClient, path: Path, lang: str, format: Format, *, many: bool) -> bool:  # noqa: A002
    try:
        transcript = await client.transcribe(path, lang=lang)
    except ClovaSpeechError as error:
        say(f"clova-speech: {path}: {error}", style="red")
        return False
    if many and format is not Format.JSONL:
        sys.stdout.write(f"==> {path} <==\n")
    _write(transcript, format)
    return True


def _write(transcript: Transcript, format: Format) -> None:  # noqa: A002
    sys.stdout.write(transcript.to_format(format.value))
    sys.stdout.flush()
