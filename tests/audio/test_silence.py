"""Pauses of speech whose gaps are known, under what recordings suffer from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soxr

from clova_speech_async.audio.samples import RATE
from clova_speech_async.audio.silence import FRAME, Event, Silence

LONGEST = 6000


def listen(samples: Any, block: int = RATE) -> tuple[list[Event], Silence]:
    silence = Silence(LONGEST)
    events = []
    for at in range(0, len(samples), block):
        events += silence.feed(samples[at : at + block])
    return events + silence.finish(), silence


def pauses(events: list[Event]) -> list[tuple[float, float]]:
    return [(event.start / 100, event.end / 100) for event in events if event.kind == "pause"]


def spoil(kind: str, samples: Any) -> Any:
    random = np.random.default_rng(7)
    x = samples.astype(np.float64)
    time = np.arange(len(x)) / RATE
    loud = np.sqrt((x[x != 0] ** 2).mean())
    if kind == "noise":
        x = x + random.normal(0, loud / 10, len(x))
    elif kind == "hum":
        x = x + sum(loud / 10 * np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5))
    elif kind == "fading":
        x = x * 10 ** ((-15 + 15 * np.cos(2 * np.pi * time / 60)) / 20)
    elif kind == "telephone":
        x = soxr.resample(soxr.resample(x, RATE, 8000), 8000, RATE)[: len(x)]
        x = x + random.normal(0, loud / 30, len(x))
    elif kind == "clipped":
        x = np.clip(x * 8, -8000, 8000)
    elif kind == "faint":
        x = x / 100
    elif kind == "offset":
        x = x + 3000
    return np.clip(np.rint(x), -32768, 32767).astype(np.int16)


SPOILT = ["clean", "noise", "hum", "fading", "telephone", "clipped", "faint", "offset"]


@pytest.mark.parametrize("kind", SPOILT)
def test_every_gap_of_a_tenth_of_a_second_is_found(kind: str, talk: Callable[..., Any]) -> None:
    speech = talk(60, 0.1, 0.4, seed=3)
    events, _ = listen(spoil(kind, speech.samples))
    found = pauses(events)
    gaps = [(end, begin) for (_, end), (begin, _) in zip(speech.words, speech.words[1:], strict=False)]
    missed = [gap for gap in gaps if not any(start < gap[1] - 0.02 and gap[0] + 0.02 < end for start, end in found)]
    assert len(missed) <= len(gaps) // 50, missed


@pytest.mark.parametrize("kind", ["clean", "hum", "fading", "clipped", "faint", "offset"])
def test_no_pause_is_heard_inside_a_word(kind: str, talk: Callable[..., Any]) -> None:
    speech = talk(60, 0.1, 0.4, seed=4)
    events, _ = listen(spoil(kind, speech.samples))
    middles = [(start + end) / 2 for start, end in pauses(events)]
    inside = [middle for middle in middles if any(begin < middle < end for begin, end in speech.words)]
    assert inside == []


def test_blocks_of_any_length_give_the_same_events(talk: Callable[..., Any]) -> None:
    samples = talk(25, 0.1, 0.6).samples
    whole, _ = listen(samples, len(samples))
    assert whole
    for block in (37, 1600, 48_017):
        assert listen(samples, block)[0] == whole


def test_speech_is_between_begin_and_end(speech: Callable[..., Any]) -> None:
    said = speech([0.3, 0.3], lead=3.0, tail=2.0)
    events, silence = listen(said.samples)
    assert events[0].kind == "begin"
    assert events[-1].kind == "end"
    assert abs(events[0].start / 100 - said.words[0][0]) < 0.03
    assert abs(events[-1].start / 100 - said.words[-1][1]) < 0.03
    assert abs(silence.speech_frames / 100 - sum(end - begin for begin, end in said.words)) < 0.2


def test_silence_of_the_longest_length_ends_speech_before_it_is_over(speech: Callable[..., Any]) -> None:
    said = speech([90.0])
    silence = Silence(LONGEST)
    kinds = []
    for at in range(0, 80 * RATE, RATE):
        kinds += [event.kind for event in silence.feed(said.samples[at : at + RATE])]
    assert kinds[0] == "begin"
    assert kinds[-1] == "end"
    events, _ = listen(said.samples)
    assert [event.kind for event in events if event.kind != "dip"] == ["begin", "end", "begin", "end"]


@pytest.mark.parametrize("level", [0, 3, 30])
def test_faint_room_noise_is_not_speech(level: int) -> None:
    samples = np.random.default_rng(1).normal(0, level, 30 * RATE).astype(np.int16)
    events, silence = listen(samples)
    assert events == []
    assert silence.speech_frames == 0


@pytest.mark.parametrize("kind", ["tone", "noise"])
def test_steady_loud_sound_is_kept_for_it_may_be_music(kind: str) -> None:
    time = np.arange(90 * RATE) / RATE
    sound = np.sin(2 * np.pi * 440 * time) if kind == "tone" else np.random.default_rng(1).uniform(-1, 1, len(time))
    events, silence = listen((8000 * sound).astype(np.int16))
    assert {event.kind for event in events} == {"begin", "dip", "end"}
    assert silence.speech_frames == 9000


def test_a_quiet_voice_beside_a_loud_one_is_heard(speech: Callable[..., Any]) -> None:
    loud, quiet = speech([0.3] * 8, seed=1), speech([0.3] * 8, seed=2)
    room = np.random.default_rng(1).normal(0, 3, len(loud.samples) + len(quiet.samples))
    both = np.concatenate([loud.samples, quiet.samples / 25]) + room
    events, _ = listen(np.rint(both).astype(np.int16))
    after = [pause for pause in pauses(events) if pause[0] > loud.seconds + 0.2]
    assert len(after) >= 7
    assert max(end - start for start, end in after) < 0.5


def test_noise_of_a_long_pause_stays_silence(speech: Callable[..., Any]) -> None:
    said = speech([0.3] * 10 + [50.0] + [0.3] * 10)
    noisy = spoil("noise", said.samples)
    events, _ = listen(noisy)
    longest = max(pauses(events), key=lambda pause: pause[1] - pause[0])
    assert 49.5 < longest[1] - longest[0] < 50.5


def test_a_dip_is_the_quietest_moment_of_its_half_second() -> None:
    sound = np.random.default_rng(1).uniform(-8000, 8000, 10 * RATE)
    sound[4 * RATE + 10 * FRAME : 4 * RATE + 21 * FRAME] /= 2
    events, _ = listen(sound.astype(np.int16))
    assert 413 <= min((event.end, event.start) for event in events if event.kind == "dip")[1] <= 417


def test_a_dip_of_the_length_of_a_gap_is_quieter_than_a_frame_that_is_left_out() -> None:
    sound = np.random.default_rng(1).uniform(-8000, 8000, 10 * RATE)
    sound[2 * RATE + 10 * FRAME : 2 * RATE + 11 * FRAME] /= 4
    sound[4 * RATE + 10 * FRAME : 4 * RATE + 25 * FRAME] /= 2
    events, _ = listen(sound.astype(np.int16))
    dips = sorted((event.end, event.start) for event in events if event.kind == "dip")
    assert 414 <= dips[0][1] <= 420
    assert dips[1][0] - dips[0][0] >= 5


def test_the_last_half_frame_counts() -> None:
    samples = np.zeros(RATE, np.int16)
    samples = np.concatenate([samples, np.full(50, 9000, np.int16)])
    events, _ = listen(samples)
    assert [event for event in events if event.kind != "dip"] == [Event("begin", 100), Event("end", 101)]
