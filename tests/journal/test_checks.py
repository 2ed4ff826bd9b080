from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError
from clova_speech_async.journal import checks

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.lists(st.integers()),
)


@given(anything)
@pytest.mark.parametrize(
    "check",
    [
        lambda value: checks.check_text("it", value),
        lambda value: checks.check_bytes("it", value),
        lambda value: checks.check_callable("it", value),
    ],
    ids=["text", "bytes", "callable"],
)
def test_anything_is_taken_or_refused_by_name(check: Any, value: Any) -> None:
    try:
        check(value)
    except (ArgumentTypeError, InvalidArgumentError) as error:
        assert str(error).startswith("it ")
        assert error.argument == "it"


def test_what_is_taken_comes_out_as_it_is_used() -> None:
    assert checks.check_text("it", "\udcff말") == "?말"
    assert checks.check_bytes("it", memoryview(b"ab")) == b"ab"
    assert checks.entry_numbers(iter([3, 2**63, 0, 4])) == [3, 4]


@pytest.mark.parametrize("hours", [-14, 0, 9])
@pytest.mark.parametrize("time", [datetime.min, datetime.max, datetime(2024, 1, 1)])
def test_a_moment_is_any_with_a_time_zone(time: datetime, hours: int) -> None:
    aware = time.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert checks.unix_seconds(aware) == pytest.approx(time.replace(tzinfo=timezone.utc).timestamp() - hours * 3600)
    with pytest.raises(InvalidArgumentError, match="before is .* no time zone"):
        checks.unix_seconds(time)
