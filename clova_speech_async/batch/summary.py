"""What a batch has done, in figures. Pure: results in, a frozen `Summary` out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from clova_speech_async.errors import BatchStoppedError
from clova_speech_async.outcome import Outcome

from .items import Result

__all__ = ["Summary", "Tally"]


class _Counts(dict[str, int]):
    """Figures that stay as they are. A dict, not a proxy of one: it can be pickled, copied, and written as JSON."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a summary is a snapshot: its figures cannot be changed")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (dict(self),)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a batch has done so far, or in all."""

    done: int
    """Sources that were transcribed."""
    failed: Mapping[str, int]
    """Sources that failed, by the name of the error's class."""
    unfinished: int
    """Sources that were taken and not sent, or not wholly, because the batch stopped."""
    from_journal: int
    """Of the done ones, those that the journal had."""
    incomplete: int = 0
    """Of the done ones, those whose audio is cut off or damaged: `truncated` and `lost_seconds` of a transcript."""
    tries: int
    """Requests sent."""
    billed_seconds: int
    """What the service billed."""
    maybe_billed_seconds: int = 0
    """What it may have billed beside that, for tries that it heard and that got no readable reply."""
    saved_seconds: int
    """What it would have billed for what the journal had."""
    audio_seconds: float
    """Length of what was transcribed."""
    wall_seconds: float
    """Seconds since the batch began, or from its beginning to its end."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed", _Counts(self.failed))

    @property
    def failures(self) -> int:
        """Sources that failed."""
        return sum(self.failed.values())

    @property
    def total(self) -> int:
        """Sources that have a result."""
        return self.done + self.failures + self.unfinished

    @property
    def real_time_factor(self) -> float | None:
        """Seconds taken for one second of audio: 0.01 is a hundred times faster than listening. None without audio."""
        return self.wall_seconds / self.audio_seconds if self.audio_seconds else None

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON knows it: its fields, and failures, total and real_time_factor."""
        found = asdict(self) | {"failed": dict(self.failed)}
        return found | {"failures": self.failures, "total": self.total, "real_time_factor": self.real_time_factor}

    def __str__(self) -> str:
        parts = [f"{self.done} done"]
        if self.from_journal:
            parts[0] += f" ({self.from_journal} from the journal)"
        if self.incomplete:
            parts.append(f"{self.incomplete} of them cut off or damaged")
        if self.failed:
            kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.failed.items()))
            parts.append(f"{self.failures} failed ({kinds})")
        if self.unfinished:
            parts.append(f"{self.unfinished} unfinished")
        perhaps = f", and perhaps {self.maybe_billed_seconds} s more" if self.maybe_billed_seconds else ""
        parts.append(f"{self.billed_seconds} s billed{perhaps}")
        if self.saved_seconds:
            parts.append(f"{self.saved_seconds} s saved by the journal")
        factor = self.real_time_factor
        speed = f", {1 / factor:.1f} times real time" if factor else ""
        parts.append(f"{self.audio_seconds:.1f} s of audio in {self.wall_seconds:.1f} s{speed}")
        return "; ".join(parts)


class Tally:
    """Counts results; belongs to one batch."""

    def __init__(self) -> None:
        self._failed: Counter[str] = Counter()
        self._done = self._unfinished = self._from_journal = self._incomplete = 0
        self._tries = self._billed_seconds = self._maybe_billed_seconds = self._saved_seconds = 0
        self._audio_seconds = 0.0

    def add(self, result: Result) -> None:
        """Count one more."""
        self._tries += result.tries
        self._billed_seconds += result.billed_seconds
        self._maybe_billed_seconds += result.maybe_billed_seconds
        self._saved_seconds += result.saved_seconds
        if result.transcript is not None:
            self._done += 1
            self._from_journal += result.from_journal
            self._incomplete += result.transcript.truncated or result.transcript.lost_seconds > 0
            self._audio_seconds += result.transcript.duration
        elif isinstance(result.error, BatchStoppedError):
            self._unfinished += 1
        else:
            self._failed[type(result.error).__name__] += 1

    def cut_off(self, outcome: Outcome) -> None:
        """Count what an item had cost that was cancelled on its way."""
        self._unfinished += 1
        self._tries += outcome.tries
        self._billed_seconds += outcome.billed_seconds
        self._maybe_billed_seconds += outcome.maybe_billed_seconds
        self._saved_seconds += outcome.saved_seconds

    def summary(self, wall_seconds: float) -> Summary:
        """A snapshot."""
        return Summary(
            done=self._done,
            failed=self._failed,
            unfinished=self._unfinished,
            from_journal=self._from_journal,
            incomplete=self._incomplete,
            tries=self._tries,
            billed_seconds=self._billed_seconds,
            maybe_billed_seconds=self._maybe_billed_seconds,
            saved_seconds=self._saved_seconds,
            audio_seconds=self._audio_seconds,
            wall_seconds=wall_seconds,
        )
