from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.http.control import Adaptive, Control, Rate, Signal

GOOD, BAD, NOTHING = Signal.SUCCESS, Signal.OVERLOAD, Signal.NOTHING


def end(control: Control, signal: Signal, *, started: float = 0.0, now: float = 0.0, in_flight: int = 10**6) -> bool:
    return control.ended(signal, started=started, now=now, in_flight=in_flight, random=0.5)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"maximum": 0}, InvalidArgumentError, "maximum must be at least 1, not 0"),
        ({"start": -1}, InvalidArgumentError, "start must be at least 1, not -1"),
        ({"maximum": 2.5}, ArgumentTypeError, "maximum must be a whole number, not 2.5"),
        ({"maximum": 4, "start": 9}, InvalidArgumentError, "start=9 is above maximum=4: give a smaller start"),
        ({"maximum": 2, "start": 3}, InvalidArgumentError, "start=3 is above maximum=2"),
        ({"start": True}, ArgumentTypeError, "start must be a whole number, not True"),
    ],
)
def test_adaptive_checks_itself(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Adaptive(**options)


def test_a_maximum_below_the_usual_start_is_where_it_starts() -> None:
    assert Control(Adaptive(maximum=2)).limit == 2
    assert Control(Adaptive(maximum=9, start=9)).limit == 9


def test_it_starts_at_four_and_grows_by_one_a_success_until_the_first_signal() -> None:
    control = Control(Adaptive(maximum=64))
    assert (control.limit, control.maximum) == (4, 64)
    for expected in (5, 6, 7):
        end(control, GOOD)
        assert control.limit == expected
    assert end(control, BAD)
    assert control.limit == 3  # half of 7, in slow start
    for _ in range(3):
        end(control, GOOD)
    assert control.limit == 4  # 1/limit a success, not 1


def test_it_never_leaves_its_bounds() -> None:
    control = Control(Adaptive(maximum=6))
    for _ in range(10):
        end(control, GOOD)
    assert control.limit == 6
    for now in range(20):
        end(control, BAD, started=now + 0.5, now=now + 1)
    assert control.limit == 1
    assert Control(Adaptive(maximum=2)).limit == 2


def test_a_cut_is_a_tenth_after_a_success_and_half_without_one() -> None:
    control = Control(Adaptive(maximum=100, start=100))
    end(control, BAD, started=0, now=1)
    assert control.limit == 50
    end(control, GOOD, started=2, now=3)
    end(control, BAD, started=2, now=4)
    assert control.limit == 45  # 50.02 · 0.9
    end(control, BAD, started=5, now=6)
    assert control.limit == 22  # nothing succeeded since


def test_requests_from_before_a_cut_do_not_cut_again() -> None:
    control = Control(Adaptive(maximum=64, start=64))
    assert [end(control, BAD, started=0, now=now) for now in (1, 1.1, 1.2)] == [True, False, False]
    assert control.limit == 32


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    control = Control(Adaptive(maximum=64, start=10))
    end(control, GOOD, in_flight=4)
    assert control.limit == 10
    end(control, GOOD, in_flight=5)
    assert control.limit == 11


def test_what_says_nothing_changes_nothing() -> None:
    control = Control(Adaptive(maximum=64))
    assert not end(control, NOTHING)
    assert (control.limit, control.pause(0)) == (4, 0)


def test_after_a_cut_there_is_a_pause_of_half_a_second_to_one() -> None:
    for random, pause in ((0.0, 0.5), (0.5, 0.75), (1.0, 1.0)):
        control = Control(8)
        control.ended(BAD, started=0, now=10, in_flight=1, random=random)
        assert control.pause(10) == pytest.approx(pause)
        assert control.pause(10.4) == pytest.approx(pause - 0.4)
        assert control.pause(11) == 0
        assert control.limit == 8  # fixed


@pytest.mark.parametrize("concurrency", [8, Adaptive(maximum=8)])
def test_a_rest_is_as_long_as_a_request_and_twice_that_while_nothing_gets_through(concurrency: Any) -> None:
    """Requests of 0.1 s, and a rest of 0.75 s after each congestion: the service would be idle most of the time."""
    control = Control(concurrency)
    for start in range(60):
        end(control, GOOD, started=start, now=start + 0.1)
    rests = []
    for now in range(100, 106):
        assert end(control, BAD, started=now, now=now)
        rests.append(control.pause(now))
    assert rests == pytest.approx([0.075, 0.15, 0.3, 0.6, 0.75, 0.75])
    end(control, GOOD, started=110, now=110.1)
    end(control, BAD, started=111, now=111)
    assert control.pause(111) == pytest.approx(0.075)
    for start in range(200, 260):  # of 5 s
        end(control, GOOD, started=start, now=start + 5)
    end(control, BAD, started=300, now=300)
    assert control.pause(300) == pytest.approx(0.75)


def test_the_longer_of_two_pauses_stays() -> None:
    control = Control(8)
    control.hold(5, now=0)
    control.hold(1, now=1)
    assert control.pause(1) == 4
    control.hold(10, now=1)
    assert control.pause(1) == 10


def test_a_clock_that_begins_anew_does_not_stop_everything() -> None:
    control = Control(Adaptive(maximum=64, start=64))
    end(control, BAD, started=1e6, now=1e6)
    control.hold(100, now=1e6)
    assert control.pause(5) == 0
    assert end(control, BAD, started=5, now=6)
    assert control.pause(6) == 0.75
    rate = Rate(1)
    rate.delay(1e6)
    rate.take()
    assert rate.delay(5) == 1
    assert rate.delay(6) == 0


# --- the rate -------------------------------------------------------------------------------------------


def test_a_rate_lets_a_burst_of_one_second_pass_and_then_spreads() -> None:
    rate = Rate(4)
    for _ in range(4):
        assert rate.delay(0) == 0
        rate.take()
    assert rate.delay(0) == pytest.approx(0.25)
    assert rate.delay(0.1) == pytest.approx(0.15)
    assert rate.delay(0.25) == 0
    rate.take()
    assert rate.delay(100) == 0
    slow = Rate(0.1)
    assert slow.delay(0) == 0
    slow.take()
    assert slow.delay(0) == pytest.approx(10)


@settings(max_examples=40, deadline=None)
@given(per_second=st.floats(0.05, 100), steps=st.lists(st.floats(0, 3), min_size=1, max_size=25))
def test_no_window_of_time_has_more_starts_than_the_rate_allows(per_second: float, steps: list[float]) -> None:
    rate, now, starts = Rate(per_second), 0.0, []
    for step in steps:
        now += step
        for _ in range(50):
            delay = rate.delay(now)
            if delay:
                break
            rate.take()
            starts.append(now)
        else:
            continue
        now += delay
        assert rate.delay(now) <= 1e-5
    for i, first in enumerate(starts):
        for j in range(i, len(starts)):
            allowed = max(1.0, per_second) + (starts[j] - first) * per_second
            assert j - i + 1 <= allowed + 1 + 1e-6


# --- whatever happens ---------------------------------------------------------------------------------------


class ControlMachine(RuleBasedStateMachine):
    """Any history of ends, in any order: the limit stays within its bounds, the pause within reason."""

    def __init__(self) -> None:
        super().__init__()
        self.maximum = 20
        self.control = Control(Adaptive(maximum=self.maximum))
        self.now = 0.0
        self.cuts_in_a_row = 0

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(signal=st.sampled_from(Signal), ago=st.floats(0, 5), in_flight=st.integers(1, 20), random=st.floats(0, 1))
    def end(self, signal: Signal, ago: float, in_flight: int, random: float) -> None:
        before = self.control.limit
        cut = self.control.ended(signal, started=self.now - ago, now=self.now, in_flight=in_flight, random=random)
        after = self.control.limit
        if signal is Signal.SUCCESS:
            assert before <= after <= before + 1
        elif signal is Signal.NOTHING:
            assert after == before
        assert cut <= (signal is Signal.OVERLOAD)
        if cut:
            assert after <= before
            # At least half of a request of 10 ms, and twice that each time that nothing has got through since.
            least = min(1.0, 0.01 * 2**self.cuts_in_a_row)
            assert self.control.pause(self.now) >= 0.5 * least - 1e-9
            self.cuts_in_a_row += 1
        if signal is Signal.SUCCESS:
            self.cuts_in_a_row = 0

    @invariant()
    def within_bounds(self) -> None:
        assert 1 <= self.control.limit <= self.maximum
        assert 0 <= self.control.pause(self.now) <= 1 + 1e-9
        assert math.isfinite(self.control.limit)


ControlMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestControl = ControlMachine.TestCase
