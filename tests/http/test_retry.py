"""The table of flow-control.md, row by row; the budget as a state machine."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clova_speech_async import errors as e
from clova_speech_async.http.control import Signal
from clova_speech_async.http.retry import (
    Failure,
    Kind,
    RetryBudget,
    RetryDecision,
    RetryPolicy,
    classify,
    decide,
    override,
    signal_of,
)
from clova_speech_async.http.wire import Reply, parse_reply


def service(status: int, code: str | None, retry_after: float | None = None) -> e.ServiceError:
    body = b"" if code is None else b'{"error": {"errorCode": "%b", "message": "m"}}' % code.encode()
    headers = [] if retry_after is None else [(b"retry-after", str(retry_after).encode())]
    with pytest.raises(e.ServiceError) as caught:
        parse_reply(Reply(status, headers, body))
    return caught.value


def kind_of(error: e.ClovaSpeechError, *, heard: bool = True, reused: bool = False, begun: bool = False) -> Kind:
    return classify(error, heard=heard, reused=reused, reply_begun=begun)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (408, None, Kind.TRANSIENT),
        (502, None, Kind.TRANSIENT),
        (503, "500", Kind.TRANSIENT),
        (500, "STT998", Kind.TRANSIENT),
        (500, "STT999", Kind.TRANSIENT),
        (500, "900", Kind.TRANSIENT),
        (500, None, Kind.TRANSIENT),
        (500, "STT006", Kind.FATAL),
        (504, "510", Kind.UNCERTAIN),
        (504, None, Kind.UNCERTAIN),
        (429, "410", Kind.THROTTLED),
        (429, "420", Kind.THROTTLED),
        (429, None, Kind.THROTTLED),
        (429, "400", Kind.FATAL),
        (401, "401", Kind.FATAL),
        (403, None, Kind.FATAL),
        (404, "300", Kind.FATAL),
        (400, "STT002", Kind.FATAL),
        (413, "STT001", Kind.FATAL),
        (302, None, Kind.FATAL),
    ],
)
def test_what_the_service_answered(status: int, code: str | None, kind: Kind) -> None:
    assert kind_of(service(status, code), begun=True) is kind


def test_the_phase_decides_what_a_broken_connection_means() -> None:
    lost, late = e.ConnectionLostError("x"), e.ReplyTimeoutError("x")
    assert kind_of(e.ConnectError("x"), heard=False) is Kind.NOT_SENT
    assert kind_of(e.ConnectTimeoutError("x"), heard=False) is Kind.NOT_SENT
    assert kind_of(lost, heard=False) is Kind.NOT_SENT
    assert kind_of(lost) is Kind.UNCERTAIN
    assert kind_of(lost, reused=True) is Kind.STALE
    assert kind_of(lost, reused=True, begun=True) is Kind.UNCERTAIN
    # A time-out on a reused connection says nothing about the connection.
    assert kind_of(late, reused=True) is Kind.UNCERTAIN
    assert kind_of(e.InvalidReplyError("x", status=200), begun=True) is Kind.SPOILT
    untrusted = e.ConnectError("x")
    untrusted.retryable = False
    assert kind_of(untrusted, heard=False) is Kind.FATAL


def failure(kind: Kind, number: int = 1, *, before: int = 0, retry_after: float | None = None) -> Failure:
    error = e.ConnectionLostError("x")
    error.retry_after = retry_after
    return Failure(error=error, kind=kind, number=number, ambiguous_before=before)


@pytest.mark.parametrize("kind", [Kind.NOT_SENT, Kind.TRANSIENT, Kind.THROTTLED])
def test_what_is_safe_is_tried_again_as_often_as_the_policy_allows(kind: Kind) -> None:
    decisions = [decide(RetryPolicy(), failure(kind, n), random=lambda: 0.5).retry for n in (1, 2, 3, 4)]
    assert decisions == [True, True, True, False]
    assert not decide(RetryPolicy(max_attempts=1), failure(kind), random=lambda: 0.5).retry


@pytest.mark.parametrize("kind", [Kind.STALE, Kind.UNCERTAIN, Kind.SPOILT])
def test_what_may_be_billed_is_tried_again_once(kind: Kind) -> None:
    assert kind.ambiguous
    assert decide(RetryPolicy(), failure(kind), random=lambda: 0.5).retry
    twice = decide(RetryPolicy(), failure(kind, 2, before=1), random=lambda: 0.5)
    assert (twice.retry, twice.ambiguous) == (False, True)
    assert "billed twice" in twice.reason
    strict = decide(RetryPolicy(strict_billing=True), failure(kind), random=lambda: 0.5)
    assert not strict.retry
    assert "strict" in strict.reason


def test_what_will_not_heal_is_never_tried_again() -> None:
    assert not decide(RetryPolicy(), failure(Kind.FATAL), random=lambda: 0.5).retry
    deadline = Failure(error=e.DeadlineExceededError("x"), kind=Kind.UNCERTAIN, number=1)
    assert not decide(RetryPolicy(), deadline, random=lambda: 0.5).retry
    too_large = Failure(error=e.ReplyTooLargeError("x", status=200), kind=Kind.SPOILT, number=1)
    assert not decide(RetryPolicy(), too_large, random=lambda: 0.5).retry


@pytest.mark.parametrize(
    ("kind", "number", "most"),
    [
        (Kind.NOT_SENT, 1, 1.0),
        (Kind.TRANSIENT, 2, 2.0),
        (Kind.UNCERTAIN, 3, 4.0),
        (Kind.THROTTLED, 1, 2.0),
        (Kind.THROTTLED, 3, 8.0),
        (Kind.TRANSIENT, 30, 20.0),
        (Kind.TRANSIENT, 10**6, 20.0),
        (Kind.STALE, 1, 0.0),
    ],
)
def test_waits_double_and_are_random(kind: Kind, number: int, most: float) -> None:
    policy = RetryPolicy(max_attempts=10**9)
    assert policy.wait(failure(kind, number), random=lambda: 0.0) == 0
    assert policy.wait(failure(kind, number), random=lambda: 0.25) == pytest.approx(most / 4)
    assert policy.wait(failure(kind, number), random=lambda: 1.0) == pytest.approx(most)


def test_retry_after_is_kept_and_spread() -> None:
    asked = failure(Kind.THROTTLED, 1, retry_after=10)
    assert RetryPolicy().wait(asked, random=lambda: 0.0) == 10
    assert RetryPolicy().wait(asked, random=lambda: 1.0) == pytest.approx(11)
    assert RetryPolicy().wait(failure(Kind.THROTTLED, 3, retry_after=1), random=lambda: 1.0) == pytest.approx(8.8)
    assert decide(RetryPolicy(), failure(Kind.THROTTLED, retry_after=120), random=lambda: 0.0).retry
    too_long = decide(RetryPolicy(), failure(Kind.THROTTLED, retry_after=120.5), random=lambda: 0.0)
    assert not too_long.retry
    assert "120.5 s" in too_long.reason


@given(
    kind=st.sampled_from(Kind),
    number=st.integers(1, 1000),
    retry_after=st.none() | st.floats(0, 1e6),
    random=st.floats(0, 1, exclude_max=True),
)
def test_every_wait_is_a_number_that_can_be_slept(
    kind: Kind, number: int, retry_after: float | None, random: float
) -> None:
    wait = RetryPolicy().wait(failure(kind, number, retry_after=retry_after), random=lambda: random)
    assert 0 <= wait <= max(20.0, retry_after or 0) * 1.1 + 1e-6


def test_what_slows_everybody_down() -> None:
    assert signal_of(service(429, "410")) is Signal.OVERLOAD
    assert signal_of(service(503, "500")) is Signal.OVERLOAD
    assert signal_of(e.ConnectTimeoutError("x")) is Signal.OVERLOAD
    for error in (service(429, "400"), service(500, None), service(502, None), e.ConnectError("x")):
        assert signal_of(error) is Signal.NOTHING


# --- the policy itself, and its hook ------------------------------------------------------------------


async def asking(_: Any) -> bool:
    raise AssertionError("nobody awaits it")


class Asking:
    async def __call__(self, _: Any) -> bool:
        raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_attempts": 0}, e.InvalidArgumentError, "max_attempts must be at least 1"),
        ({"max_attempts": 2.0}, e.ArgumentTypeError, "max_attempts must be a whole number, not 2.0"),
        ({"max_attempts": True}, e.ArgumentTypeError, "max_attempts"),
        ({"base_delay": -1}, e.InvalidArgumentError, "base_delay must be at least 0 seconds"),
        ({"max_delay": math.inf}, e.InvalidArgumentError, "max_delay"),
        ({"throttle_delay": math.nan}, e.InvalidArgumentError, "throttle_delay"),
        ({"max_retry_after": "1"}, e.ArgumentTypeError, "max_retry_after must be a number of seconds, not '1'"),
        ({"strict_billing": 1}, e.ArgumentTypeError, "strict_billing must be True or False, not 1"),
        ({"hook": 3}, e.ArgumentTypeError, "hook must be callable or None, not int"),
        ({"hook": asking}, e.ArgumentTypeError, "hook must be a plain function, not a coroutine function"),
        ({"hook": Asking()}, e.ArgumentTypeError, "hook must be a plain function, not a coroutine function"),
    ],
)
def test_a_policy_checks_itself(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        RetryPolicy(**options)


def overridden(wish: Any, kind: Kind = Kind.TRANSIENT, number: int = 1) -> RetryDecision:
    def hook(decision: RetryDecision) -> Any:
        if isinstance(wish, Exception):
            raise wish
        return wish

    policy = RetryPolicy(hook=hook)
    failed = failure(kind, number)
    return override(policy, failed, decide(policy, failed, random=lambda: 0.5), lambda: 0.5)


def test_a_hook_may_change_a_decision() -> None:
    assert overridden(None).retry
    assert not overridden(None, Kind.FATAL).retry
    assert (overridden(False).retry, overridden(False).wait) == (False, 0.0)
    assert (overridden(True, Kind.FATAL).retry, overridden(True, Kind.FATAL).wait) == (True, 0.5)
    assert (overridden(7).retry, overridden(7).wait) == (True, 7.0)
    assert overridden(0, Kind.FATAL).wait == 0.0


def test_a_hook_cannot_do_harm(caplog: pytest.LogCaptureFixture) -> None:
    assert not overridden(True, Kind.TRANSIENT, number=4).retry
    assert overridden(RuntimeError("a-secret")).retry
    assert overridden(math.nan).wait == 0.5
    assert overridden(-1).wait == 0.5
    assert overridden("soon").wait == 0.5
    assert overridden(math.inf).wait == 0.5
    assert "a-secret" not in caplog.text
    assert "hook raised RuntimeError" in caplog.text


# --- the budget -----------------------------------------------------------------------------------------


class BudgetMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order: retries that cost anything ≤ 10 + successes / 10."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget()
        self.successes = 0
        self.paid = 0
        self.weight = 0

    @rule(times=st.integers(1, 60))
    def succeed(self, times: int) -> None:
        for _ in range(times):
            self.budget.succeeded()
        self.successes += times

    @rule(kind=st.sampled_from(Kind), times=st.integers(1, 12))
    def retry(self, kind: Kind, times: int) -> None:
        for _ in range(times):
            before = self.budget.level
            allowed = self.budget.spend(kind)
            cost = RetryBudget.cost(kind)
            assert allowed == (before >= cost)
            assert self.budget.level == before - cost * allowed
            if allowed and cost:
                self.paid += 1
                self.weight += cost

    @invariant()
    def bounded(self) -> None:
        assert 0 <= self.budget.level <= RetryBudget.CAPACITY
        assert self.paid <= 10 + self.successes / 10
        assert self.weight <= 100 + self.successes

    @precondition(lambda self: self.budget.level == 0)
    @rule()
    def throttled_ones_are_free(self) -> None:
        assert self.budget.spend(Kind.THROTTLED)
        assert not self.budget.spend(Kind.TRANSIENT)


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudget = BudgetMachine.TestCase


def test_what_a_retry_costs() -> None:
    assert [RetryBudget.cost(kind) for kind in (Kind.TRANSIENT, Kind.NOT_SENT)] == [10, 10]
    assert [RetryBudget.cost(kind) for kind in (Kind.STALE, Kind.UNCERTAIN, Kind.SPOILT)] == [20, 20, 20]
    assert RetryBudget.cost(Kind.THROTTLED) == 0
