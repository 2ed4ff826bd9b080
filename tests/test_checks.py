"""Numbers that callers give: what cannot be is named, with its value and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.checks import check_number, check_seconds, check_whole
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError


@pytest.mark.parametrize(
    ("value", "bounds", "error", "message"),
    [
        ("8", {}, ArgumentTypeError, "calls must be a whole number, not '8'; so"),
        (True, {}, ArgumentTypeError, "calls must be a whole number, not True; so"),
        (8.0, {}, ArgumentTypeError, "calls must be a whole number, not 8.0; so"),
        (0, {}, InvalidArgumentError, "calls must be at least 1, not 0; so"),
        (-1, {"least": 0}, InvalidArgumentError, "calls must be at least 0, not -1; so"),
        (10, {"most": 9}, InvalidArgumentError, "calls must be from 1 to 9, not 10; so"),
        (10**99, {"most": 9}, InvalidArgumentError, f"calls must be from 1 to 9, not 1{'0' * 79}; so"),
    ],
)
def test_what_is_no_whole_number(value: object, bounds: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        check_whole("calls", value, **bounds, remedy="; so")
    assert str(caught.value) == message
    assert caught.value.argument == "calls"  # type: ignore[attr-defined]


def test_whole_numbers() -> None:
    assert [check_whole("calls", 1), check_whole("calls", 0, least=0), check_whole("calls", 9, most=9)] == [1, 0, 9]


@pytest.mark.parametrize(
    ("value", "bounds", "error", "message"),
    [
        ("8", {}, ArgumentTypeError, "a number of seconds, not '8'"),
        (False, {}, ArgumentTypeError, "a number of seconds, not False"),
        (-0.1, {}, InvalidArgumentError, "at least 0 seconds, and finite, not -0.1"),
        (nan, {}, InvalidArgumentError, "at least 0 seconds, and finite, not nan"),
        (10**400, {}, InvalidArgumentError, f"at least 0 seconds, and finite, not 1{'0' * 79}"),
        (-(10**400), {"endless": True}, InvalidArgumentError, f"at least 0 seconds, not -1{'0' * 78}"),
        (inf, {}, InvalidArgumentError, "at least 0 seconds, and finite, not inf"),
        (0, {"above": True}, InvalidArgumentError, "above 0 seconds, and finite, not 0"),
        (-1, {"endless": True}, InvalidArgumentError, "at least 0 seconds, not -1"),
        (nan, {"endless": True}, InvalidArgumentError, "at least 0 seconds, not nan"),
        (0.0, {"above": True, "endless": True}, InvalidArgumentError, "above 0 seconds, not 0.0"),
        (61, {"least": 5.0, "most": 60.0}, InvalidArgumentError, "from 5 to 60 seconds, not 61"),
        (4.9, {"least": 5.0, "most": 60.0}, InvalidArgumentError, "from 5 to 60 seconds, not 4.9"),
        (nan, {"least": 5.0, "most": 60.0}, InvalidArgumentError, "from 5 to 60 seconds, not nan"),
    ],
)
def test_what_is_no_number_of_seconds(
    value: object, bounds: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        check_seconds("timeout: read", value, **bounds)
    assert str(caught.value) == f"timeout: read must be {message}"
    assert caught.value.argument == "read"  # type: ignore[attr-defined]


def test_numbers() -> None:
    assert [check_seconds("a", 0), check_seconds("a", 60, most=60.0), check_seconds("a", inf, endless=True)] == [
        0,
        60,
        inf,
    ]
    assert check_number("rate", 0.1, above=True) == 0.1
    with pytest.raises(InvalidArgumentError, match="rate must be above 0, and finite, not 0"):
        check_number("rate", 0, above=True)
    with pytest.raises(ArgumentTypeError, match="rate must be a number, not None"):
        check_number("rate", None)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
@pytest.mark.parametrize(
    "check",
    [
        lambda value: check_whole("it", value),
        lambda value: check_whole("it", value, most=60),
        lambda value: check_seconds("it", value, endless=True),
        lambda value: check_seconds("it", value, most=60),
    ],
)
def test_anything_is_taken_or_refused_by_name(check: Callable[[object], float], value: object) -> None:
    try:
        assert check(value) in (value, float(value))  # type: ignore[arg-type]
    except (ArgumentTypeError, InvalidArgumentError) as error:
        assert str(error).startswith("it must be ")
        assert len(str(error)) < 200
        assert error.argument == "it"
