"""What the service says of a pronunciation: words, phones, scores and two waveforms. Pure; nothing here fails.

A reply that holds an assessment is paid for. What of it can be read is read, and the raw string is always kept.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from .alignment import key, match, runs, tokens
from .details import Phone, Word, check_score, format_details, parse_details, read_score, whole
from .errors import ArgumentTypeError

__all__ = ["AlignedWord", "Assessment", "Phone", "Word", "format_details", "parse_details", "words_to_show"]


class AlignedWord(msgspec.Struct, frozen=True):
    """One word of the sentence that was to be said, with what the service returned for it."""

    text: str
    """The word as it stands in the sentence, punctuation and case included."""
    word: Word | None = None
    """What the service returned, or None where it returned nothing for this word."""

    @property
    def returned(self) -> bool:
        """Whether the service returned this word; it does not return every word, and no source says which."""
        return self.word is not None

    @property
    def score(self) -> int | None:
        """The word's score, or None where it was not returned or has none."""
        return None if self.word is None else self.word.score


class Assessment(msgspec.Struct, frozen=True):
    """How well a sentence was pronounced, as the service says."""

    graph_rate: ClassVar[int] = 50
    """Values a second in both graphs (the original page, v1.0.1)."""

    score: int | None = None
    """The whole sentence, 0 to 100; None where the service gave none that can be read."""
    words: tuple[Word, ...] = ()
    """The words the service returned, in its order; not all words of the sentence need be there."""
    reference_graph: tuple[int, ...] | None = None
    """The waveform of the reference pronunciation, `graph_rate` values a second; None where not asked for."""
    user_graph: tuple[int, ...] | None = None
    """The same of the speaker."""
    raw: str | None = None
    """`assessment_details` as it came."""

    def __post_init__(self) -> None:
        check_score("Assessment", self.score)

    @classmethod
    def from_reply(
        cls, score: object = None, details: object = None, ref_graph: object = None, usr_graph: object = None
    ) -> Assessment | None:
        """The assessment in a reply's four fields, or None where all four are absent; it never raises.

        The arguments are the decoded JSON values of `assessment_score`, `assessment_details`, `ref_graph` and
        `usr_graph`. A score outside 0 to 100 and a graph that is not numbers all through become None.
        """
        if score is None and details is None and ref_graph is None and usr_graph is None:
            return None
        raw = details if details is None or isinstance(details, str) else _as_json(details)
        words = parse_details(details) if isinstance(details, str) else ()
        return cls(read_score(score), words, _graph(ref_graph), _graph(usr_graph), raw)

    def to_dict(self) -> dict[str, Any]:
        """The assessment as JSON knows it: score, words, reference_graph, user_graph, raw.

        A word has text, phones and score; a phone has letters, ipa and score. Graphs are lists, or None.
        """
        # Through JSON, because `msgspec.to_builtins` leaves tuples as they are.
        found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return found

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON, its letters unescaped; on one line unless `indent` spaces are asked for."""
        encoded = msgspec.json.encode(self)
        return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()

    def aligned(self, utterance: str) -> tuple[AlignedWord, ...]:
        """The words of `utterance` in their order, each with the word returned for it, or marked as not returned.

        Case, punctuation, apostrophes and the way accents are composed make no difference; a word written in two
        by the service ("well known" for "well-known") is put together again. Returned words that are not in the
        utterance have no place here; `unmatched` has them.
        """
        return self._align(utterance)[0]

    def unmatched(self, utterance: str) -> tuple[Word, ...]:
        """The returned words that are not in `utterance`, in the service's order."""
        used = self._align(utterance)[1]
        return tuple(word for index, word in enumerate(self.words) if index not in used)

    def _align(self, utterance: str) -> tuple[tuple[AlignedWord, ...], set[int]]:
        if not isinstance(utterance, str):
            raise ArgumentTypeError(
                f"utterance must be a str, the sentence that was to be said, not {utterance!r}", argument="utterance"
            )
        texts = tokens(utterance)
        ours = [key(text) for text in texts]
        theirs = [key(word.text) for word in self.words]
        found = match(ours, theirs)
        used = {at for at in found if at is not None}
        aligned = [
            AlignedWord(text, None if at is None else self.words[at]) for text, at in zip(texts, found, strict=True)
        ]
        for i, (first, last) in runs(ours, theirs, found).items():
            run = self.words[first:last]
            merged = Word(" ".join(word.text for word in run), tuple(phone for word in run for phone in word.phones))
            aligned[i] = AlignedWord(texts[i], merged)
            used.update(range(first, last))
        return tuple(aligned), used


def words_to_show(assessment: Assessment, utterance: str | None) -> tuple[tuple[AlignedWord, ...], tuple[Word, ...]]:
    """The sentence as it is shown to people, and the returned words that are not in it.

    Without an utterance the sentence is made of the returned words.
    """
    if utterance is not None:
        return assessment.aligned(utterance), assessment.unmatched(utterance)
    return tuple(AlignedWord(word.text, word) for word in assessment.words), ()


def _graph(values: object) -> tuple[int, ...] | None:
    if not isinstance(values, (list, tuple)):
        return None
    read = [whole(value) for value in values]
    kept = tuple(value for value in read if value is not None)
    return kept if len(kept) == len(read) else None


def _as_json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return repr(value)
