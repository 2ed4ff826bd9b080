"""``clova-speech emulator``: serve the emulated service on a port of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .common import fail_usage, import_emulator, say

__all__ = ["emulator"]

_CAPACITY = "Capacity and faults"


def emulator(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8080,
    any_key: Annotated[bool, typer.Option("--any-key", help="Accept any secret key, not only 'emulator'.")] = False,
    text: Annotated[str | None, typer.Option(help="Answer with this text, without recognising anything.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that recognise side by side.")] = None,
    certfile: Annotated[Path | None, typer.Option(help="Serve https with this certificate (PEM).")] = None,
    keyfile: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    latency: Annotated[
        float, typer.Option(help="Seconds from a request to its reply, at least.", rich_help_panel=_CAPACITY)
    ] = 0.0,
    latency_per_second: Annotated[
        float, typer.Option(help="Seconds more for each second of audio.", rich_help_panel=_CAPACITY)
    ] = 0.0,
    max_parallel: Annotated[
        int | None, typer.Option(help="Requests at once; one more is refused.", rich_help_panel=_CAPACITY)
    ] = None,
    parallel_error: Annotated[
        str, typer.Option(help="How: status/code of the error table.", rich_help_panel=_CAPACITY)
    ] = "429/410",
    requests_per_second: Annotated[
        float | None, typer.Option(help="Rate over which requests are refused.", rich_help_panel=_CAPACITY)
    ] = None,
    burst: Annotated[int, typer.Option(help="Requests above the rate in one go.", rich_help_panel=_CAPACITY)] = 1,
    rate_error: Annotated[
        str, typer.Option(help="How: status/code of the error table.", rich_help_panel=_CAPACITY)
    ] = "429/420",
    quota_seconds: Annotated[
        int | None, typer.Option(help="Billed seconds until the quota is used up.", rich_help_panel=_CAPACITY)
    ] = None,
    retry_after: Annotated[
        float | None, typer.Option(help="Retry-After of every 429 and 503, in seconds.", rich_help_panel=_CAPACITY)
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            help="Fail at random: CODE=PROBABILITY, e.g. STT998=0.01 or 503/500=0.05.", rich_help_panel=_CAPACITY
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random failures.", rich_help_panel=_CAPACITY)] = 0,
) -> None:
    """Serve an emulator of the service, so that programs run without a key and without costs.

    English is heard by PocketSphinx; for the other languages the text says that this is an emulator. Stop it with
    Ctrl-C. It prints what to set for a client; capacity and faults may be changed while it runs (see the README).
    """
    _check_certificate(certfile, keyfile)
    emulators: Any = import_emulator()
    try:
        behaviour = emulators.Behaviour(
            latency=latency,
            latency_per_second=latency_per_second,
            max_parallel=max_parallel,
            parallel_error=parallel_error,
            requests_per_second=requests_per_second,
            burst=burst,
            rate_error=rate_error,
            quota_seconds=quota_seconds,
            retry_after=retry_after,
            failures=_failures(fail or []),
            seed=seed,
        )
    except (ValueError, TypeError) as error:
        fail_usage(_of_option(str(error), emulators.Behaviour))
    options = emulators.ServeOptions(
        host=host,
        port=port,
        secret_key=None if any_key else emulators.SECRET_KEY,
        certfile=certfile,
        keyfile=keyfile,
        behaviour=behaviour,
        recognizer=text,
        workers=workers,
    )
    try:
        emulators.run(options)
    except OSError as error:
        say(f"clova-speech: {error.strerror or error}")
        raise typer.Exit(1) from None


def _check_certificate(certfile: Path | None, keyfile: Path | None) -> None:
    """What would end the server after it has told its address."""
    if keyfile is not None and certfile is None:
        fail_usage("--keyfile goes with --certfile")
    for option, path in (("--certfile", certfile), ("--keyfile", keyfile)):
        if path is not None and not path.is_file():
            fail_usage(f"{option} {path}: {'that is a folder' if path.is_dir() else 'there is no such file'}")


def _of_option(message: str, behaviour: Any) -> str:
    """A message that may begin with the name of a field of a behaviour, about the option that sets it."""
    field, _, rest = message.partition(" ")
    return f"--{field.replace('_', '-')} {rest}" if field in behaviour.__dataclass_fields__ else message


def _failures(pairs: list[str]) -> dict[str, float]:
    failures = {}
    for pair in pairs:
        code, _, probability = pair.rpartition("=")
        try:
            failures[code] = float(probability)
        except ValueError:
            fail_usage(f"--fail: {pair!r} is not CODE=PROBABILITY, e.g. STT998=0.01")
    return failures
