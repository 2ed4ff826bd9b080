from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clova_speech_async.emulator import Behaviour, cut, error, hang, raw, reply
from clova_speech_async.emulator.behaviour import Dice, TokenBucket


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("latency", -1, ValueError),
        ("latency", float("nan"), ValueError),
        ("latency", "0.1", TypeError),
        ("latency", True, TypeError),
        ("latency_per_second", float("inf"), ValueError),
        ("max_parallel", 0, ValueError),
        ("max_parallel", 1.5, ValueError),
        ("requests_per_second", 0, ValueError),
        ("burst", 0, ValueError),
        ("burst", True, ValueError),
        ("quota_seconds", -15, ValueError),
        ("retry_after", -0.1, ValueError),
        ("min_seconds", None, TypeError),
        ("seed", "x", TypeError),
        ("seed", False, TypeError),
        ("parallel_error", "STT123", ValueError),
        ("rate_error", 429.0, TypeError),
        ("failures", ["STT998"], TypeError),
        ("failures", {"STT123": 0.1}, ValueError),
        ("failures", {"STT998": -0.1}, ValueError),
        ("failures", {"STT998": 0.7, "503/500": 0.7}, ValueError),
    ],
)
def test_what_cannot_be_is_named(field: str, value: object, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        Behaviour(**{field: value})  # type: ignore[arg-type]
    assert field in str(caught.value) or "row" in str(caught.value) or "named by its code" in str(caught.value)


def test_it_survives_json() -> None:
    rules = Behaviour(latency=0.5, max_parallel=3, failures={"STT998": 0.25})
    assert Behaviour.from_dict(json.loads(json.dumps(rules.to_dict()))) == rules
    assert Behaviour.from_dict({"latency": 1}, rules) == Behaviour(latency=1, max_parallel=3, failures={"STT998": 0.25})
    assert Behaviour.from_dict({"latency": 1}) == Behaviour(latency=1)
    with pytest.raises(ValueError, match="no field 'latenzy'; it has .*latency"):
        Behaviour.from_dict({"latenzy": 1})
    with pytest.raises(TypeError, match="JSON object"):
        Behaviour.from_dict([1])


def test_it_cannot_be_changed_from_behind() -> None:
    failures = {"STT998": 0.5}
    rules = Behaviour(failures=failures)
    failures["STT998"] = 1.0
    assert rules.failures["STT998"] == 0.5
    with pytest.raises(TypeError):
        rules.failures["STT998"] = 1.0  # type: ignore[index]


def test_latency_follows_the_audio() -> None:
    assert Behaviour(latency=0.2, latency_per_second=0.1).reply_after(30) == pytest.approx(3.2)


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 20),
    steps=st.lists(st.floats(0, 2), min_size=1, max_size=100),
)
def test_a_bucket_never_gives_more_than_its_rate(rate: float, burst: int, steps: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate, burst, 0.0), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now)
    assert taken <= burst + rate * now + 1e-6


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 3, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.1 * n) for n in range(1, 6)] == [True] * 5
    assert not bucket.take(0.5)
    assert not bucket.take(0.2)  # a clock that went back gives nothing


def test_the_same_seed_fails_the_same_requests() -> None:
    chances = {"STT998": 0.2, "503/500": 0.1}

    def run(seed: int) -> list[str | None]:
        dice = Dice(seed)
        return [found.code if (found := dice.throw(chances)) else None for _ in range(2000)]

    assert run(1) == run(1) != run(2)
    codes = run(1)
    assert 300 < codes.count("STT998") < 500
    assert 130 < codes.count("500") < 270
    assert Dice(0).throw({"STT998": 1.0}) is not None
    assert Dice(0).throw({"STT998": 0.0}) is None


def test_scripted_replies_say_what_is_wrong_with_them() -> None:
    for wrong in (lambda: reply(500), lambda: error(None), lambda: reply("x", delay="1")):  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            wrong()
    for bad in (lambda: error("STT1"), lambda: raw(99), lambda: raw(True), lambda: cut(delay=-1)):
        with pytest.raises(ValueError):
            bad()


def test_scripted_replies_hold_what_they_were_given() -> None:
    assert dict(reply("hi", quota=30).fields) == {"text": "hi", "quota": 30}
    assert dict(reply(quota=30).fields) == {"quota": 30}
    assert error(410, retry_after=2).headers == {"Retry-After": "2"}
    assert error(410, retry_after=1.5).headers == {"Retry-After": "1.5"}
    assert error(410, retry_after=float("nan")).headers == {"Retry-After": "nan"}
    assert error(410, retry_after="soon").headers == {"Retry-After": "soon"}
    assert error("429/400").row is not None
    assert raw(502, "<html>").body == b"<html>"
    assert (hang().kind, cut(status=200, body="{").body) == ("hang", b"{")
