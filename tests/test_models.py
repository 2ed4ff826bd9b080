"""Replies and assessments in the form that is stored, and returned by web handlers."""

from __future__ import annotations

import json

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from clova_speech_async import Assessment, Phone, Recognition, Word

DETAILS = "old|{o(oʊ):100, l(l):94} beer|{b(b):, r(r):99} "
OLD = {
    "text": "old",
    "phones": [{"letters": "o", "ipa": "oʊ", "score": 100}, {"letters": "l", "ipa": "l", "score": 94}],
    "score": 97,
}
BEER = {
    "text": "beer",
    "phones": [{"letters": "b", "ipa": "b", "score": None}, {"letters": "r", "ipa": "r", "score": 99}],
    "score": 99,
}
ASSESSED = {
    "score": 88,
    "words": [OLD, BEER],
    "reference_graph": [0, 7, 12],
    "user_graph": [],
    "raw": DETAILS,
}


def assessed() -> Recognition:
    return Recognition(
        text="Old beer 맥주",
        quota=15,
        assessment_score=88,
        assessment_details=DETAILS,
        ref_graph=(0, 7, 12),
        usr_graph=(),
    )


def test_a_reply_as_json_knows_it() -> None:
    assert Recognition(text="네", quota=30).to_dict() == {"text": "네", "quota": 30, "assessment": None}
    assert Recognition(text="").to_dict() == {"text": "", "quota": None, "assessment": None}
    assert assessed().to_dict() == {"text": "Old beer 맥주", "quota": 15, "assessment": ASSESSED}


def test_a_reply_that_cannot_be_read_keeps_what_came() -> None:
    """The assessment is paid for: what did not parse is there as it came."""
    found = Recognition(text="x", assessment_score=101, assessment_details="no words").to_dict()["assessment"]
    assert found == {"score": None, "words": [], "reference_graph": None, "user_graph": None, "raw": "no words"}


def test_an_assessment_as_json_knows_it() -> None:
    assessment = assessed().assessment
    assert assessment is not None
    assert assessment.to_dict() == ASSESSED
    assert Assessment().to_dict() == {
        "score": None,
        "words": [],
        "reference_graph": None,
        "user_graph": None,
        "raw": None,
    }
    assert msgspec.json.decode(assessment.to_json(), type=Assessment) == assessment
    assert Assessment(1, (Word("a", (Phone("a"),)),)).to_dict()["words"] == [
        {"text": "a", "phones": [{"letters": "a", "ipa": "", "score": None}], "score": None}
    ]


def test_json_is_the_dict_on_one_line_or_indented_with_its_letters_unescaped() -> None:
    reply = assessed()
    assessment = reply.assessment
    assert assessment is not None
    for each in (reply, assessment):
        assert json.loads(each.to_json()) == each.to_dict()
        assert json.loads(each.to_json(indent=2)) == each.to_dict()
        assert "\n" not in each.to_json()
        assert '\n  "' in each.to_json(indent=2)
        assert "oʊ" in each.to_json()
    assert "맥주" in reply.to_json()


@pytest.mark.anyio
async def test_a_web_handler_may_return_it() -> None:
    app = FastAPI()

    def reply() -> dict:  # type: ignore[type-arg]
        return assessed().to_dict()

    app.get("/")(reply)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/")).json() == assessed().to_dict()
