"""The planner against its law, for any pauses Hypothesis thinks of."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clova_speech_async.audio.plan import UNIT, Planner


@dataclass(frozen=True)
class Case:
    longest: int
    padding: int
    dropped: int
    look_ahead: int | None
    begin: int
    islands: tuple[tuple[int, int], ...]
    """Length of speech, and of the pause behind it."""


@st.composite
def cases(draw: st.DrawFn, *, pauses_suffice: bool) -> Case:
    longest = draw(st.sampled_from([500, 1500, 3000, 6000]))
    padding = draw(st.sampled_from([0, 10, 20]))
    dropped = max(1, 2 * padding, draw(st.sampled_from([30, 50, 100])))
    most = longest - max(2 * padding, dropped) - 2 if pauses_suffice else 3 * longest
    speech = st.one_of(st.integers(1, 300), st.integers(1, most))
    pause = st.one_of(st.integers(8, 60), st.integers(8, longest - 1))
    islands = draw(st.lists(st.tuples(speech, pause), min_size=1, max_size=120))
    look_ahead = draw(st.sampled_from([None, longest, 2 * longest, 10 * longest]))
    return Case(longest, padding, dropped, look_ahead, draw(st.integers(0, 200)), tuple(islands))


def plan(case: Case, dip_every: int = 50) -> list[tuple[int, int]]:
    planner = Planner(longest=case.longest, padding=case.padding, dropped=case.dropped, look_ahead=case.look_ahead)
    at = case.begin
    planner.begin(at)
    pieces: list[tuple[int, int]] = []
    for number, (speech, pause) in enumerate(case.islands):
        for dip in range(at + dip_every, at + speech, dip_every):
            pieces += planner.dip(dip, (dip * 7) % 100)
        if number == len(case.islands) - 1:
            pieces += planner.end(at + speech, latest=at + speech + pause)
        else:
            pieces += planner.pause(at + speech, at + speech + pause)
        at += speech + pause
    return pieces


def spans(case: Case) -> list[tuple[int, int]]:
    at, out = case.begin, []
    for speech, pause in case.islands:
        out.append((at, at + speech))
        at += speech + pause
    return out


def billed(pieces: list[tuple[int, int]]) -> int:
    return sum(math.ceil((end - start) / UNIT) for start, end in pieces)


def price(case: Case, pieces: list[tuple[int, int]]) -> int:
    """Tenths of a unit: what is billed, and one for every tick that a pause with a cut in it is shorter than 16."""
    pauses = [(end, begin) for (_, end), (begin, _) in itertools.pairwise(spans(case))]
    lengths = [next(last - first for first, last in pauses if first <= end <= last) for _, end in pieces[:-1]]
    return 10 * billed(pieces) + sum(max(0, 16 - length) for length in lengths)


def greedy(case: Case) -> list[tuple[int, int]]:
    """Fill every piece up to its last pause; written again here, without the planner's help."""
    cuts = []
    for (_, end), (begin, _) in zip(spans(case), spans(case)[1:], strict=False):
        if begin - end >= case.dropped:
            cuts.append((end + case.padding, begin - case.padding))
        else:
            cuts.append((end + (begin - end) // 2,) * 2)
    last = spans(case)[-1][1]
    cuts.append((min(last + case.padding, last + case.islands[-1][1]),) * 2)
    pieces, start, index = [], max(0, case.begin - case.padding), 0
    while index < len(cuts):
        while index + 1 < len(cuts) and cuts[index + 1][0] - start <= case.longest:
            index += 1
        pieces.append((start, cuts[index][0]))
        start = cuts[index][1]
        index += 1
    return pieces


@given(cases(pauses_suffice=True))
@settings(deadline=None, max_examples=500)
def test_pauses_suffice_no_word_is_hurt_and_greed_is_never_cheaper(case: Case) -> None:
    pieces = plan(case)
    assert all(0 < end - start <= case.longest for start, end in pieces)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(pieces))
    for begin, end in spans(case):
        assert any(start <= begin and end <= stop for start, stop in pieces), "every island is whole in one piece"
    assert price(case, pieces) <= price(case, greedy(case))


@given(cases(pauses_suffice=False))
@settings(deadline=None, max_examples=300)
def test_speech_without_pauses_is_cut_all_the_same_and_nothing_is_lost_or_sent_twice(case: Case) -> None:
    pieces = plan(case)
    assert all(0 < end - start <= case.longest for start, end in pieces)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(pieces))
    for begin, end in spans(case):
        at = begin
        for start, stop in pieces:
            if start <= at < stop:
                at = stop
        assert at >= end, "speech is covered without a hole"


@given(cases(pauses_suffice=False))
@settings(deadline=None, max_examples=30)
def test_the_same_pauses_give_the_same_pieces(case: Case) -> None:
    assert plan(case) == plan(case)


@pytest.mark.parametrize(("pause", "longer"), [(30, 45), (20, 49)])
def test_of_two_pauses_that_cost_the_same_the_longer_one_is_cut(pause: int, longer: int) -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(0)
    pieces = planner.pause(4000, 4000 + pause)
    pieces += planner.pause(4200, 4200 + longer)
    pieces += planner.pause(4400, 4400 + pause)
    pieces += planner.end(8000, latest=8000)
    assert [end for _, end in pieces] == [4200 + longer // 2, 8000]


def test_a_shorter_bill_goes_before_a_fuller_piece() -> None:
    """Greed takes 59 s and pays 60, then pays 45 for 31; cut at 45 s both ends fit into what is paid: 45 and 45."""
    planner = Planner(longest=6000, padding=0, dropped=100)
    planner.begin(0)
    pieces = planner.pause(4490, 4510) + planner.pause(5890, 5910) + planner.end(9000, latest=9000)
    assert pieces == [(0, 4500), (4500, 9000)]
    assert billed(pieces) == 6


@pytest.mark.parametrize(("end", "expected"), [(10_600, 4910), (10_450, 4910), (10_880, 4910)])
def test_a_sure_pause_is_cut_rather_than_a_doubtful_one_where_the_bill_is_the_same(end: int, expected: int) -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(0)
    pieces = planner.pause(4900, 4920) + planner.pause(5980, 5990) + planner.end(end, latest=end)
    # Of 104.50 s, the doubtful one would save a unit.
    assert [cut for _, cut in pieces] == [5985 if end == 10_450 else expected, end]


def closures(hours: float, every: int, seed: int = 1) -> tuple[list[tuple[int, int]], int, list[tuple[int, int]]]:
    """Speech with a closure of 60 to 120 ms a second or so and now and then a pause: pieces, length, all pauses."""
    random = Random(seed)
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(0)
    pieces: list[tuple[int, int]] = []
    pauses = []
    at = 0
    while at < hours * 360_000:
        at += random.randint(40, 120)
        length = random.randint(16, 30) if random.randrange(every) == 0 else random.randint(8, 12)
        pieces += planner.pause(at, at + length)
        pauses.append((at, at + length))
        at += length
    return pieces + planner.end(at + 50, latest=at + 50), at + 50, pauses


@pytest.mark.parametrize(("every", "most"), [(2, 1.015), (4, 1.03), (8, 1.07)])
def test_closures_inside_words_are_not_cut_for_a_few_hundredths_of_a_second(every: int, most: float) -> None:
    pieces, length, pauses = closures(1.0, every)
    hurt = [end for _, end in pieces[:-1] if any(first < end < last and last - first < 16 for first, last in pauses)]
    assert len(hurt) <= len(pieces) // 10
    assert 15 * billed(pieces) <= most * length / 100


def test_where_there_are_only_closures_the_bill_stays_what_it_was() -> None:
    pieces, length, _ = closures(1.0, 10**9)
    assert 15 * billed(pieces) <= length / 100 + 75


def test_a_quieter_moment_some_seconds_before_the_limit_is_cut_where_there_is_no_pause() -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(0)
    pieces = []
    for tick in range(50, 180_000, 50):
        pieces += planner.dip(tick, 120 if tick % 400 == 0 else 150)
    pieces += planner.end(180_000, latest=180_000)
    assert all(end % 400 == 0 for _, end in pieces[:-4])
    assert len(pieces) <= 34


def test_long_silence_inside_is_sent_only_where_that_is_free() -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(100)
    assert planner.pause(400, 900) + planner.end(1200, latest=1300) == [(80, 1220)]
    planner.begin(10_000)
    assert planner.pause(11_300, 13_300) + planner.end(14_600, latest=20_000) == [(9_980, 11_320), (13_280, 14_620)]


@pytest.mark.parametrize(
    ("speech", "expected"), [(1450, (0, 1490)), (1470, (0, 1500)), (1478, (8, 1508)), (1481, (0, 1521))]
)
def test_padding_is_given_up_where_it_would_cost_a_unit(speech: int, expected: tuple[int, int]) -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(20)
    assert planner.end(20 + speech, latest=9000) == [expected]


def test_padding_is_given_up_where_a_piece_would_be_too_long() -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(20)
    pieces = planner.pause(5995, 6045) + planner.end(7000, latest=7000)
    assert pieces[0] == (5, 6005)


def test_the_quietest_moment_is_cut_where_there_is_no_pause() -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(0)
    pieces = []
    for tick in range(50, 8000, 50):
        pieces += planner.dip(tick, 10 if tick == 4000 else 60)
    pieces += planner.end(8000, latest=8000)
    assert pieces == [(0, 4000), (4000, 8000)]


def test_pieces_leave_while_speech_goes_on() -> None:
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(0)
    left, at = 0, 0
    for _ in range(2000):
        left += len(planner.pause(at + 200, at + 220))
        at += 220
        settled = planner.settled
        assert settled is not None
        assert at - settled <= 3 * 6000 + 220, "what is not settled is bounded"
    assert left > 50
    planner.end(at + 10, latest=at + 10)
    assert planner.settled is None


def test_the_price_of_many_hours_stays_small_numbers() -> None:
    """Costs are counted from the last settled cut: their ranks cannot run into each other however long it gets."""
    planner = Planner(longest=6000, padding=20, dropped=50)
    planner.begin(0)
    for at in range(0, 3_600_000, 300):
        planner.pause(at + 270, at + 300)
    assert max(node.cost for node in planner._nodes) < 200 * 10**6


@pytest.mark.parametrize(
    "options", [{"longest": 0, "padding": 0, "dropped": 1}, {"longest": 9, "padding": -1, "dropped": 1}]
)
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="longest="):
        Planner(**options)


def test_a_dropped_silence_must_hold_its_padding() -> None:
    with pytest.raises(ValueError, match="two paddings"):
        Planner(longest=6000, padding=30, dropped=50)
