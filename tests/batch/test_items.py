"""What goes into a batch and what comes out of it, as logs, programs and type checkers see it."""

from __future__ import annotations

import copy
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clova_speech_async.audio import PCM
from clova_speech_async.batch.items import Item, Result
from clova_speech_async.errors import BadRequestError, ClovaSpeechError, ConnectError
from clova_speech_async.models import Recognition
from clova_speech_async.transcript import Segment, Transcript

VOICE = b"RIFF" + b"voice" * 40_000


class Upload:
    """A file object of a web framework, whose own repr is everything."""

    filename = "upload.wav"

    def __repr__(self) -> str:
        return repr(VOICE)

    async def read(self, size: int = -1) -> bytes:
        return VOICE


SHOWN = [
    (VOICE, "<200004 bytes>"),
    (b"x", "<1 byte>"),
    (bytearray(VOICE), "<200004 bytes>"),
    (memoryview(VOICE), "<200004 bytes>"),
    (memoryview(np.zeros(4, "int16")), "<8 bytes>"),
    ("talks/a.wav", "'talks/a.wav'"),
    (Path("talks/a.wav"), repr(Path("talks/a.wav"))),
    (np.zeros((5, 2), "int16"), "<ndarray of int16, shape (5, 2)>"),
    (PCM(bytes(320), 16_000), "PCM(<320 bytes>, sample_rate=16000, channels=1, sample_format='s16le')"),
    (PCM(np.zeros((5, 2), "f4"), 8_000), "PCM(<ndarray of float32, shape (5, 2)>, sample_rate=8000, channels=2)"),
    (io.BytesIO(VOICE), "<BytesIO>"),
    (Upload(), "<Upload 'upload.wav'>"),
    ([VOICE], "<list of 1>"),
]


@pytest.mark.parametrize(("audio", "shown"), SHOWN, ids=[shown for _, shown in SHOWN])
def test_no_repr_holds_the_audio(audio: Any, shown: str) -> None:
    assert repr(Item(audio)) == f"Item({shown})"
    assert repr(Item(audio, lang="Eng", id=VOICE)) == f"Item({shown}, lang='Eng', id=<200004 bytes>)"
    error = ConnectError("no")
    told = f"Result(source={shown}, index=3, error=ConnectError('no'), tries=4)"
    assert repr(Result(source=audio, index=3, error=error, tries=4)) == told
    item = Item(audio, id="a")
    told = f"Result(source=Item({shown}, id='a'), index=0, id='a', error=ConnectError('no'))"
    assert repr(Result(source=item, index=0, id="a", error=error)) == told


def test_the_content_of_a_file_given_for_its_name_is_cut_short() -> None:
    assert len(repr(Item("UklGR" * 100_000))) < 150


def test_an_open_file_is_shown_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(VOICE)
    with path.open("rb") as file:
        assert repr(Item(file)) == f"Item(<BufferedReader {str(path)!r}>)"


def test_keywords_of_an_item_can_be_read_more_than_once() -> None:
    """An item that finds the line full is tried again."""
    words = ["하나", "둘"]
    for given in (words, iter(words), (word for word in words), tuple(words)):
        item = Item("a.wav", boostings=given)
        assert [list(item.boostings or ()) for _ in range(2)] == [words, words]
    assert Item("a.wav", boostings=set(words)).boostings == frozenset(words)
    assert Item("a.wav", boostings="하나").boostings == "하나"  # which its check will name


def test_the_label_of_a_path_is_its_text() -> None:
    class Odd:
        def __fspath__(self) -> bytes:
            return "말.wav".encode()

    assert [Item(path).label for path in ("말.wav", Path("말.wav"), Odd())] == ["말.wav"] * 3  # type: ignore[arg-type]


def test_anything_may_be_an_id() -> None:
    assert repr(Item("a.wav", id=np.zeros(3))) == "Item('a.wav', id=<ndarray of float64, shape (3,)>)"


def test_unwrap_gives_the_transcript_or_raises_the_error() -> None:
    transcript, error = Transcript(), ConnectError("no")
    assert Result(source="a", index=0, transcript=transcript).unwrap() is transcript
    with pytest.raises(ConnectError) as caught:
        Result(source="a", index=0, error=error).unwrap()
    assert caught.value is error
    with pytest.raises(ClovaSpeechError, match="neither a transcript nor an error"):
        Result(source="a", index=0).unwrap()


def test_a_result_as_json_knows_it() -> None:
    transcript = Transcript(segments=(Segment(0.0, 1.0, "hi"),), duration=1.0)
    result = Result(
        source=Item(Path("a") / "b.wav", id=("call", 7)),
        index=2,
        id=("call", 7),
        transcript=transcript,
        recognition=Recognition(text="hi", quota=15),
        saved_seconds=15,
    )
    found = result.to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["source"] == str(Path("a") / "b.wav")
    assert found["id"] == "('call', 7)"
    assert found["transcript"] == transcript.to_dict()
    assert found["recognition"]["text"] == "hi"
    assert found["from_journal"] is True
    assert found["error"] is found["partial"] is None
    assert set(Result.__dataclass_fields__) | {"from_journal"} == set(found)


def test_an_error_as_json_knows_it() -> None:
    error = BadRequestError("it said no", status=400, code="STT007")
    found = Result(source=VOICE, index=0, id=7, error=error, partial=Transcript()).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["error"] == {"type": "BadRequestError", "message": "it said no", "status": 400, "code": "STT007"}
    assert (found["source"], found["id"]) == ("<200004 bytes>", 7)
    assert found["partial"] == Transcript().to_dict()
    other = Result(source="a.wav", index=0, error=ZeroDivisionError("oh")).to_dict()
    assert other["error"] == {"type": "ZeroDivisionError", "message": "oh"}


def test_a_result_can_be_copied_and_sent_to_another_process() -> None:
    result = Result(source=Item("a.wav", id=1), index=0, id=1, transcript=Transcript(duration=2.0))
    assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result
