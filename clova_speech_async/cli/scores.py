"""What ``assess`` writes as JSON: a row for each recording, under the names that the library has for what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from clova_speech_async.batch import Result
from clova_speech_async.models import Recognition

from .about import words_for
from .common import OutputLostError, say, write_out
from .inputs import readable
from .remedies import for_one_request
from .reporting import error_of
from .sentences import Sentence

__all__ = ["Rows", "row_of_reply", "row_of_result"]


def row_of_result(one: Sentence, result: Result) -> dict[str, Any]:
    error = result.error
    told = None if error is None else error_of(error, words_for(Path(one.file), error, for_one_request))
    return row_of_reply(one.file, one.utterance, result.recognition, index=result.index, id=one.id, error=told)


def row_of_reply(
    file: str,
    utterance: str | None,
    recognition: Recognition | None,
    *,
    index: int = 0,
    id: str | None = None,  # noqa: A002
    error: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A row of JSON, under the names that `Result.to_dict` and `Recognition.to_dict` have for what is in it."""
    said = {"text": None, "quota": None, "assessment": None} if recognition is None else recognition.to_dict()
    return {"source": readable(file), "index": index, "id": id, "utterance": utterance} | said | {"error": error}


class Rows:
    """Rows of JSON on standard output; where that takes nothing more, on standard error: they are paid for."""

    def __init__(self) -> None:
        self.lost = False

    def put(self, row: dict[str, Any]) -> None:
        text = msgspec.json.encode(row).decode()
        if not self.lost:
            try:
                write_out(text + "\n")
                return
            except OutputLostError as error:
                self.lost = True
                say(f"clova-speech: {error}", style="red")
        say(text)
