from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.billing import billed


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, 15),
        (0.01, 15),
        (14.99, 15),
        (15, 15),
        (15.0000000001, 15),
        (15.00001, 15),
        (15.01, 30),
        (30, 30),
        (45.0, 45),
        (60, 60),
        (61, 75),
    ],
)
def test_billing_rounds_up_to_fifteen_seconds(seconds: float, expected: int) -> None:
    assert billed(seconds) == expected


@given(st.floats(0, 1e5))
def test_a_bill_is_a_multiple_that_covers_the_audio(seconds: float) -> None:
    bill = billed(seconds)
    assert bill % 15 == 0
    assert seconds - 1e-4 <= bill < max(15, seconds) + 15
