from __future__ import annotations

from clova_speech_async.cli.kept import Kept
from clova_speech_async.engine import Done, Usage
from clova_speech_async.models import Language, Recognition


def piece(index: int, text: str) -> Done:
    return Done(index, 60.0 * index, 60.0 * index + 50, None, Recognition(text=text, quota=60), 60)


def test_pieces_come_out_in_time_order_and_once() -> None:
    kept = Kept()
    usages = {name: Usage(label=name) for name in ("a.wav", "b.wav")}
    for name, index, text in (("a.wav", 2, "three"), ("b.wav", 0, "other"), ("a.wav", 0, "one")):
        usages[name].billed_seconds += 60
        kept.add(piece(index, text), Language.KOREAN, usages[name])
    (a, transcript), (b, other) = kept.take()
    assert (a, transcript.text, transcript.billed_seconds, transcript.language) == ("a.wav", "one three", 120, "Kor")
    assert (b, other.text) == ("b.wav", "other")
    assert kept.take() == []


def test_what_has_its_result_is_held_no_longer() -> None:
    kept = Kept()
    kept.add(piece(0, "one"), Language.ENGLISH, Usage(label="a.wav"))
    transcript = kept.forget("a.wav")
    assert transcript is not None
    assert transcript.text == "one"
    assert kept.forget("a.wav") is None
    assert kept.take() == []
