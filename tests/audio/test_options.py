"""Options that check themselves, results that add up."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from clova_speech_async.audio import Estimate, Piece, Splitting
from clova_speech_async.errors import ArgumentTypeError, InvalidArgumentError


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"longest_piece": 61}, "longest_piece must be .*, not 61"),
        ({"longest_piece": 0}, "longest_piece must be .*, not 0"),
        ({"longest_piece": float("nan")}, "longest_piece must be .*, not nan"),
        ({"padding": -0.1}, "padding must be .*, not -0.1"),
        ({"shortest_dropped_silence": 0.01}, "shortest_dropped_silence must be .*, not 0.01"),
        ({"padding": 0.3}, "give at least 0.6"),
        ({"channels": "left"}, "channels='left'"),
        ({"max_duration": 0}, "max_duration must be .*, not 0"),
        ({"max_duration": -5}, "max_duration must be .*, not -5"),
    ],
)
def test_a_value_that_cannot_be_is_named(options: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidArgumentError, match=names):
        Splitting(**options)


@pytest.mark.parametrize("name", ["longest_piece", "padding", "shortest_dropped_silence", "max_duration"])
@pytest.mark.parametrize("value", ["30", True, [1]])
def test_a_wrong_type_is_named(name: str, value: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=name):
        Splitting(**{name: value})


def test_options_are_frozen_and_compare() -> None:
    assert Splitting() == Splitting(longest_piece=60, channels="mix")
    with pytest.raises(AttributeError):
        Splitting().padding = 1.0  # type: ignore[misc]


def test_a_piece_tells_what_it_is_billed() -> None:
    assert [Piece(0, 0.0, it, b"", None, it, True).billed_seconds for it in (15.0, 15.01, 60.0)] == [15, 30, 60]


def test_the_digest_is_of_the_sound_where_it_is_known() -> None:
    assert Piece(0, 0.0, 1.0, b"abc", None, 1.0, True).digest == hashlib.sha256(b"abc").digest()
    assert Piece(0, 0.0, 1.0, b"abc", None, 1.0, False, b"sound").digest == b"sound"


def test_a_pieces_repr_does_not_print_the_audio() -> None:
    assert "abc" not in repr(Piece(0, 0.0, 1.0, b"abc", None, 1.0, True))
    assert Estimate(1.0, 1, 15, 0.5).billed_seconds == 15


def test_an_estimate_as_json_knows_it() -> None:
    estimate = Estimate(1.5, 1, 15, 0.5, truncated=True)
    found = estimate.to_dict()
    assert json.loads(json.dumps(found)) == found == dataclasses.asdict(estimate)
    assert (found["billed_seconds"], found["announced_duration"], found["truncated"]) == (15, None, True)
