from __future__ import annotations

import math
import re

import httpx
import pytest

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.http.timeouts import Timeout, seconds


def test_defaults_are_those_that_the_documents_name() -> None:
    assert Timeout() == Timeout(total=600, connect=10, write=60, read=120)


@pytest.mark.parametrize("name", ["total", "connect", "write", "read"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_a_time_out_must_be_above_zero(name: str, value: float) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"timeout: {name} must be above 0 seconds, not {value!r}; None"):
        Timeout(**{name: value})


@pytest.mark.parametrize("value", ["3", True, [3]])
def test_a_time_out_must_be_a_number(value: object) -> None:
    with pytest.raises(ArgumentTypeError, match=rf"read must be a number of seconds, not {re.escape(repr(value))}"):
        Timeout(read=value)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=f"clova_speech_async.Timeout or None, not {type(value).__name__}$"):
        Timeout.of(value)  # type: ignore[arg-type]


def test_another_library_s_time_out_is_told_from_ours() -> None:
    with pytest.raises(ArgumentTypeError, match=r"a clova_speech_async\.Timeout or None, not httpx\.Timeout$"):
        Timeout.of(httpx.Timeout(5))  # type: ignore[arg-type]


def test_what_a_caller_may_pass() -> None:
    given = Timeout(read=3)
    assert Timeout.of(given) is given
    assert Timeout.of(30) == Timeout(total=30)
    assert Timeout.of(None) == Timeout(total=None, connect=None, write=None, read=None)
    assert seconds(None) == math.inf
    assert seconds(2.5) == 2.5
