"""What can be known to be wrong of a plan before anything is sent, and would else be known in the middle of a night."""

from __future__ import annotations

from pathlib import Path

from .common import (
    check_can_be_written,
    check_list,
    check_names,
    check_no_folder,
    check_standard_input,
    fail_usage,
)
from .lists import looks_like_list
from .outputs import prepare
from .plan import Plan

__all__ = ["check_plan"]


def check_plan(plan: Plan) -> None:
    """End the command as wrongly used where something can be known to be wrong before anything is sent."""
    if not plan.names and plan.from_file is None:
        fail_usage("nothing to transcribe: name FILES, folders or patterns, or a list with --from-file")
    check_names(plan.names)
    check_no_folder(plan.journal)
    check_list(plan.from_file, null=plan.null)
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
    check_can_be_written("--failures", path)
    for other in (*plan.names, plan.journal, plan.report):
        if other is not None and Path(other).absolute() == path.absolute():
            fail_usage(f"--failures {path}: that is named for something else, too, and would be written over")
    if path.is_file() and not looks_like_list(path, null=plan.null):
        fail_usage(f"--failures {path}: that is no list of files, and it would be written over; name another file")


def _check_report(plan: Plan, path: Path) -> None:
    """A report is added to what is there, so that must be one."""
    check_can_be_written("--report", path)
    for option, other in (("--failures", plan.failures), ("--journal", plan.journal), ("--from-file", plan.from_file)):
        if other is not None and Path(other).absolute() == path.absolute():
            fail_usage(f"--report {path}: that is what {option} names, too")
    if path.is_file():
        with path.open("rb") as file:
            if file.read(1) not in (b"", b"{"):
                fail_usage(f"--report {path}: that is no report, and lines would be added to it; name another file")
