from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest

from clova_speech_async.batch.items import Item, Result
from clova_speech_async.batch.summary import Summary, Tally
from clova_speech_async.errors import ArgumentTypeError, BatchStoppedError, ConnectError, EmptyAudioError
from clova_speech_async.transcript import Transcript


def done(duration: float, *, tries: int = 1, billed: int = 15, saved: int = 0) -> Result:
    return Result(
        source="a.wav",
        index=0,
        transcript=Transcript(duration=duration),
        tries=tries,
        billed_seconds=billed,
        saved_seconds=saved,
    )


def tally(*results: Result) -> Tally:
    counted = Tally()
    for result in results:
        counted.add(result)
    return counted


def test_counts_every_result_once() -> None:
    summary = tally(
        done(10.0),
        done(30.0, tries=3, billed=30),
        done(5.0, tries=0, billed=0, saved=15),
        Result(source="b", index=3, error=ConnectError("no"), tries=4),
        Result(source="c", index=4, error=ConnectError("no"), tries=4),
        Result(source="d", index=5, error=EmptyAudioError("empty")),
        Result(source="e", index=6, error=BatchStoppedError("stopped"), tries=1, billed_seconds=60),
    ).summary(9.0)
    assert summary == Summary(
        done=3,
        failed={"ConnectError": 2, "EmptyAudioError": 1},
        unfinished=1,
        from_journal=1,
        tries=13,
        billed_seconds=105,
        saved_seconds=15,
        audio_seconds=45.0,
        wall_seconds=9.0,
    )
    assert (summary.failures, summary.total) == (3, 7)
    assert summary.real_time_factor == pytest.approx(0.2)
    assert str(summary) == (
        "3 done (1 from the journal); 3 failed (2 ConnectError, 1 EmptyAudioError); 1 unfinished; 105 s billed; "
        "15 s saved by the journal; 45.0 s of audio in 9.0 s, 5.0 times real time"
    )


def test_what_was_transcribed_and_was_not_whole_is_counted() -> None:
    transcripts = [
        Transcript(segments=(), duration=1.0, **lacks)
        for lacks in ({}, {"truncated": True}, {"lost_seconds": 0.5}, {"truncated": True, "lost_seconds": 0.5})
    ]
    summary = tally(*(Result(source="a", index=0, transcript=one) for one in transcripts)).summary(1.0)
    assert summary.incomplete == 3
    assert str(summary).startswith("4 done; 3 of them cut off or damaged; 0 s billed")


def test_an_empty_batch_has_a_summary_too() -> None:
    summary = Tally().summary(0.0)
    assert summary.real_time_factor is None
    assert str(summary) == "0 done; 0 s billed; 0.0 s of audio in 0.0 s"


def test_a_snapshot_stays_as_it_was() -> None:
    counted = tally(Result(source="b", index=0, error=ConnectError("no")))
    before = counted.summary(1.0)
    counted.add(Result(source="c", index=1, error=ConnectError("no")))
    assert before.failed == {"ConnectError": 1}
    with pytest.raises(TypeError):
        before.failed["ConnectError"] = 5  # type: ignore[index]


@pytest.mark.parametrize(
    "way", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy, copy.copy, dataclasses.replace]
)
def test_a_summary_can_be_copied_and_sent_to_another_process(way: Any) -> None:
    summary = tally(done(10.0), Result(source="b", index=0, error=ConnectError("no"))).summary(1.0)
    twin = way(summary)
    assert (twin, twin.failures, str(twin)) == (summary, 1, str(summary))
    with pytest.raises(TypeError, match="a summary is a snapshot"):
        twin.failed["ConnectError"] = 5


@pytest.mark.parametrize(
    "change",
    [
        lambda failed: failed.update(ConnectError=5),
        lambda failed: failed.pop("ConnectError"),
        lambda failed: failed.clear(),
        lambda failed: failed.setdefault("OSError", 1),
        lambda failed: failed.__delitem__("ConnectError"),
        lambda failed: failed.__ior__({"OSError": 1}),
    ],
)
def test_the_figures_of_a_summary_cannot_be_changed(change: Any) -> None:
    mine = {"ConnectError": 1}
    summary = dataclasses.replace(tally().summary(1.0), failed=mine)
    with pytest.raises(TypeError, match="a summary is a snapshot"):
        change(summary.failed)
    mine["ConnectError"] = 7
    assert summary.failed == {"ConnectError": 1}


def test_a_summary_as_json_knows_it() -> None:
    summary = tally(done(10.0), Result(source="b", index=0, error=ConnectError("no"))).summary(5.0)
    found = summary.to_dict()
    assert json.loads(json.dumps(found)) == found
    assert type(found["failed"]) is dict
    assert {name: found[name] for name in dataclasses.asdict(summary)} == dataclasses.asdict(summary)
    assert (found["failed"], found["failures"], found["total"], found["real_time_factor"]) == (
        {"ConnectError": 1},
        1,
        2,
        0.5,
    )


def test_from_journal_means_that_nothing_was_sent() -> None:
    assert done(1.0, tries=0, billed=0, saved=15).from_journal
    assert not done(1.0, tries=1, billed=15, saved=15).from_journal
    assert not done(1.0, tries=0, billed=0, saved=0).from_journal  # nothing but silence
    assert not Result(source="a", index=0, error=ConnectError("no"), saved_seconds=15).from_journal


def test_an_items_label_is_its_id_or_its_path() -> None:
    assert Item("talks/one.wav").label == "talks/one.wav"
    assert Item("talks/one.wav", id=7).label == "7"
    assert Item(b"RIFF").label == ""


def test_an_item_in_an_item_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="audio is an Item itself"):
        Item(Item(b"RIFF"))  # type: ignore[arg-type]
