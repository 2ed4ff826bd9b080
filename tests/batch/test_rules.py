from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async import errors
from clova_speech_async.batch.rules import Budget, Stop, StopRules


def service(kind: type[errors.ServiceError], status: int, tries: int = 1) -> errors.ServiceError:
    error = kind(f"{status} said no.", status=status)
    error.attempts = tuple(errors.Attempt(number, "no", status) for number in range(1, tries + 1))
    return error


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (service(errors.AuthenticationError, 401), "correct the key"),
        (service(errors.PermissionDeniedError, 403), "let the key use this domain"),
        (service(errors.NotFoundError, 404), "correct the Invoke URL"),
        (service(errors.QuotaExceededError, 429), "raise the quota"),
        (errors.JournalError("disk full"), "give the journal what it lacks"),
        (errors.ClientClosedError("closed"), "a client that lives longer"),
        (errors.ConfigurationError("nobody holds"), "correct the client's configuration"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_every_item_would_meet_stops_the_batch(error: Exception, remedy: str) -> None:
    stop = StopRules().failed(error, 0.0)
    assert stop is not None
    message = str(stop.error(kept=True))
    assert str(error).rstrip(".") in message
    assert remedy in message
    assert "run it again with the same journal" in message
    assert "with the sources that are not done" in str(stop.error(kept=False))


@pytest.mark.parametrize(
    "error",
    [
        service(errors.BadRequestError, 400),
        service(errors.PreprocessingError, 500),
        service(errors.SoundDataTooLongError, 413),
        errors.InvalidArgumentError("lang"),
        errors.EmptyAudioError("empty"),
        errors.ReplyTimeoutError("slow"),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_the_items_own_does_not_stop_it(error: Exception) -> None:
    rules = StopRules()
    assert all(rules.failed(error, float(now)) is None for now in range(0, 10_000, 10))


@pytest.mark.parametrize(
    "error",
    [service(errors.ServiceUnavailableError, 503), errors.ConnectError("refused")],
    ids=lambda error: str(error),
)
def test_a_service_that_is_out_of_order_for_two_minutes_stops_it(error: errors.ClovaSpeechError) -> None:
    rules = StopRules()
    rules.succeeded()
    assert all(rules.failed(error, float(now)) is None for now in range(120))
    rules.succeeded()
    assert all(rules.failed(error, float(now)) is None for now in range(120, 240))
    stop = rules.failed(error, 240.0)
    assert stop is not None
    assert "in a row over 120 s" in stop.reason
    assert ("wait a while" in stop.remedy) == isinstance(error, errors.ServiceError)


def test_who_is_not_trusted_is_an_items_own_error() -> None:
    error = errors.ConnectError("its certificate is not trusted")
    error.retryable = False
    rules = StopRules()
    rules.succeeded()
    assert all(rules.failed(error, float(now)) is None for now in range(1000))


def throttled(tries: int = 4) -> errors.ServiceError:
    return service(errors.ThrottledError, 429, tries)


def test_twenty_throttles_in_a_row_over_two_minutes_stop_it() -> None:
    rules = StopRules()
    assert [rules.failed(throttled(), 30.0 * n) is None for n in range(4)] == [True] * 4
    stop = rules.failed(throttled(), 120.0)
    assert stop is not None
    assert stop.reason == (
        "the service threw back, or failed, 20 requests in a row over 120 s; the last met ThrottledError: 429 said no"
    )
    assert stop.remedy == "wait a while or lower the concurrency"


def test_as_many_in_a_shorter_time_do_not() -> None:
    rules = StopRules()
    assert all(rules.failed(throttled(), n / 10) is None for n in range(1199))
    assert rules.failed(throttled(), 120.0) is not None


def test_fewer_in_a_longer_time_do_not() -> None:
    rules = StopRules()
    assert all(rules.failed(throttled(1), 100.0 * n) is None for n in range(19))
    assert rules.failed(throttled(1), 1900.0) is not None


def test_one_success_in_between_counts_from_the_beginning() -> None:
    rules = StopRules()
    for n in range(4):
        assert rules.failed(throttled(), 40.0 * n) is None
    rules.succeeded()
    assert rules.failed(throttled(), 500.0) is None
    assert rules.failed(throttled(16), 501.0) is None
    assert rules.failed(throttled(), 620.0) is not None


def test_other_errors_in_between_are_no_success() -> None:
    rules = StopRules()
    rules.failed(throttled(16), 0.0)
    rules.failed(errors.ConnectError("refused"), 60.0)
    assert rules.failed(throttled(), 120.0) is not None


def unreached(
    tries: int = 4, waited: float = 0.0, *, out_of_budget: bool = False, kind: type[Exception] = errors.ConnectError
) -> errors.NetworkError:
    words = "no connection to [::1]:9 (Connection refused); nothing was sent"
    error: Any = kind(words)
    error.account = f"{tries} tries: 1. ConnectError" if tries > 1 else ""
    error.attempts = tuple(errors.Attempt(number, "ConnectError", waited=waited) for number in range(1, tries + 1))
    error.out_of_retry_budget = out_of_budget
    return error  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [errors.ConnectError, errors.ConnectTimeoutError])
@pytest.mark.parametrize("tries", [1, 4])
def test_an_address_at_which_nobody_is_stops_it_after_four_tries(kind: Any, tries: int) -> None:
    rules = StopRules()
    for _ in range(4 // tries - 1):
        assert rules.failed(unreached(tries, kind=kind), 0.0, answered=False) is None
    stop = rules.failed(unreached(tries, kind=kind), 0.0, answered=False)
    assert stop is not None
    assert stop.reason == (
        "no connection to [::1]:9 (Connection refused); nothing was sent, and no request has had a reply yet"
    )
    assert "check the Invoke URL, the network and, where there is one, the proxy" in stop.remedy


def test_a_time_out_over_all_tries_that_never_connected_is_no_connection() -> None:
    error = errors.DeadlineExceededError("the next try would begin too late")
    error.attempts = unreached().attempts
    error.__cause__ = unreached(1)
    stop = StopRules().failed(error, 0.0, answered=False)
    assert stop is not None
    assert stop.reason.startswith("no connection to [::1]:9 (Connection refused); nothing was sent, and")


def test_where_the_retry_budget_ends_the_tries_the_network_has_some_seconds_to_come_up() -> None:
    rules = StopRules()
    for now in (10.0, 10.0, 12.0, 14.9):
        assert rules.failed(unreached(2, out_of_budget=True), now, answered=False) is None
        assert rules.is_unreached
    assert rules.failed(unreached(2, out_of_budget=True), 15.0, answered=False) is not None
    assert StopRules().failed(unreached(4, 1.5, out_of_budget=True), 0.0, answered=False) is not None


@pytest.mark.parametrize(
    "sign",
    [
        lambda rules: rules.succeeded(),
        lambda rules: rules.failed(errors.ConnectionLostError("lost"), 0.0, answered=False),
        lambda rules: rules.failed(errors.ReplyTimeoutError("slow"), 0.0, answered=False),
        lambda rules: rules.failed(service(errors.BadRequestError, 400), 0.0, answered=True),
    ],
)
def test_once_somebody_was_there_a_missing_connection_is_the_items_own(sign: Any) -> None:
    rules = StopRules()
    sign(rules)
    assert all(rules.failed(unreached(), float(now), answered=False) is None for now in range(100))
    assert not rules.is_unreached
    assert StopRules().failed(unreached(), 0.0, answered=True) is None


def test_a_connection_that_is_missing_for_two_minutes_is_named() -> None:
    rules = StopRules()
    rules.succeeded()
    assert rules.failed(unreached(19, out_of_budget=True), 0.0) is None
    stop = rules.failed(unreached(1, out_of_budget=True), 120.0)
    assert stop is not None
    assert stop.reason.endswith(
        "; the last met ConnectError: no connection to [::1]:9 (Connection refused); nothing was sent"
    )
    assert "check the Invoke URL" in stop.remedy


def test_the_reason_has_all_that_the_service_said_and_not_the_account_of_the_tries() -> None:
    rules = StopRules()
    error = errors.ThrottledError("429/410: slow down [queue 3]", status=429, code="410")
    error.attempts = throttled(20).attempts
    error.account = "20 tries: 1. ThrottledError (429/410)"
    rules.failed(error, 0.0)
    stop = rules.failed(error, 120.0)
    assert stop is not None
    assert stop.reason.endswith("the last met ThrottledError: 429/410: slow down [queue 3]")


def test_what_fails_otherwise_for_two_minutes_needs_a_while() -> None:
    rules = StopRules()
    error = service(errors.ServiceUnavailableError, 503, 20)
    error.out_of_retry_budget = True
    assert rules.failed(error, 0.0) is None
    stop = rules.failed(error, 120.0)
    assert stop is not None
    assert stop.remedy == "wait a while"


def test_budget_without_a_limit_refuses_nothing() -> None:
    assert Budget(None).refusal(10**9) is None


def test_budget_counts_what_is_under_way_as_if_it_were_billed() -> None:
    budget = Budget(60)
    assert budget.refusal(60) is None
    budget.reserve(45)
    assert budget.refusal(15) is None
    refusal = budget.refusal(30)
    assert refusal == Stop(
        "max_billed_seconds=60 would be exceeded: 0 s billed, 45 s under way, and the next request is billed 30 s",
        "raise it",
        argument="max_billed_seconds",
    )
    stopped = refusal.error(kept=False)
    assert (stopped.reason, stopped.argument) == (refusal.reason, refusal.argument)
    assert str(stopped).startswith(f"the batch stopped: {refusal.reason}. To go on, raise it, and run it again with")
    budget.settle(45, 15)
    assert budget.refusal(45) is None
    refusal = budget.refusal(60)
    assert refusal is not None
    assert "15 s billed, and the next" in refusal.reason


@settings(deadline=None)
@given(st.integers(0, 500), st.lists(st.tuples(st.sampled_from([15, 30, 45, 60]), st.booleans(), st.booleans())))
def test_budget_is_never_exceeded_where_nobody_bills_more_than_was_reserved(
    limit: int, requests: list[tuple[int, bool, bool]]
) -> None:
    budget = Budget(limit)
    under_way: list[int] = []
    spent = 0
    for seconds, succeeds, ends in requests:
        if budget.refusal(seconds) is None:
            budget.reserve(seconds)
            under_way.append(seconds)
        if ends and under_way:
            reserved = under_way.pop(0)
            billed = reserved if succeeds else 0
            budget.settle(reserved, billed)
            spent += billed
        assert spent + sum(under_way) <= limit


def test_a_limit_of_nothing_refuses_everything() -> None:
    budget: Any = Budget(0)
    assert budget.refusal(15) is not None
