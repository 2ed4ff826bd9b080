from __future__ import annotations

from clova_speech_async import errors as e
from clova_speech_async.http.call import Books, Call, deadline_before_retry
from clova_speech_async.http.retry import Kind, RetryDecision


def test_an_error_tells_of_all_its_tries() -> None:
    call = Call(Books(), 3, 0.0)
    errors = [e.ConnectError("no connection"), e.ThrottledError("429/410: slow", status=429, code="410")]
    for number, error in enumerate(errors, 1):
        call.begin_try()
        call.note(error, RetryDecision(error=error, number=number, retry=number < 2, wait=0.5))
    last = call.end(errors[-1], "enough")
    assert last.attempts == (
        e.Attempt(number=1, outcome="ConnectError", waited=0.5),
        e.Attempt(number=2, outcome="ThrottledError (429/410)", status=429, code="410", waited=0.5),
    )
    assert str(last) == "429/410: slow [2 tries: 1. ConnectError; 2. ThrottledError (429/410); enough]"


def test_one_try_needs_no_list() -> None:
    call = Call(Books(), 3, 0.0)
    call.begin_try()
    error = e.NotFoundError("404: where", status=404)
    call.note(error, RetryDecision(error=error, number=1, retry=False))
    assert str(call.end(error)) == "404: where"
    assert error.attempts[0].outcome == "NotFoundError (404)"


def test_the_deadline_before_a_retry_keeps_what_the_last_try_said() -> None:
    last = e.ThrottledError("429/410: slow", status=429, code="410", retry_after=9, request_id="r")
    error = deadline_before_retry(9.4, 3.21, last)
    assert "begin in 9.4 s, but only 3.21 s" in str(error)
    assert (error.retry_after, error.request_id, error.__cause__) == (9, "r", last)


def test_the_books_of_a_call() -> None:
    books = Books()
    books.budget.spend(Kind.UNCERTAIN)
    call = Call(books, 16, 0.0)
    call.begin_try()
    call.may_be_billed()
    call.begin_try()
    assert call.succeed(45) == 45
    assert (books.attempts, books.retries, books.ambiguous, books.maybe_billed_seconds) == (2, 1, 1, 30)
    assert (books.succeeded, books.billed_seconds, books.budget.level) == (1, 45, 80)  # not at the first try
    other = Call(books, 16, 0.0)
    other.begin_try()
    assert other.succeed(None) == 30
    assert books.budget.level == 81
    assert other.number > call.number
