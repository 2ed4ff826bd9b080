"""Pauses in, cuts out. This file is pure: integers in, integers out, no import of ours, no clock, no chance.

The law: among the moments where speech may be cut, choose those that (1) force the fewest cuts where there is no
pause, (2) cost least, which is the units of 15 seconds that are billed and a tenth of a unit for every 10 ms that a
pause is too short to be trusted, (3) cut at the longest pauses, (4) make few pieces. That is a shortest path: a node
for every moment, an edge for every piece that is short enough. It is found in one pass, because an edge is never longer
than the longest piece; so only nodes of the last 60 seconds can still become a parent. What all of these agree on is
settled and leaves. Where they cannot agree within `look_ahead`, the best of those that are not behind the greedy plan
(fill every piece up to its last pause) wins. From a state that is not behind it, the greedy plan's further cuts cost no
more than they cost greedily, so the whole never costs more than the greedy plan.

Why a bill may grow for a safer cut: a silence of 80 to 150 ms is as often the closure of a p, t or k as it is between
words. Were the bill always before the pause, the latest silence would always be taken, for it saves a hundredth of a
second, and so every other cut would be in a word wherever pauses are short. A doubtful cut is worth at most 0.8 units.

All times are ticks of 10 milliseconds on the time line of the recording.
"""

from __future__ import annotations

import itertools
from collections import deque

__all__ = ["TICKS_PER_SECOND", "UNIT", "Planner"]

TICKS_PER_SECOND = 100
UNIT = 15 * TICKS_PER_SECOND
"""What the service bills: every begun 15 seconds of a request."""

# The ranks of the law as one integer. Within the window of the search a lower rank never sums up to a higher one.
_FORCED = 10**10
_BILLED = 10**6
_PIECE = 10
_LONG_PAUSE = 50
"""From half a second on, a pause is as good as any."""
_SURE = 16
"""Ticks from which on a pause is taken to be between words: closures inside words last 50 to 150 ms."""
_DOUBT = _BILLED // 10
"""For every tick that a pause is shorter."""
_DEPTH = 20 * (_BILLED // UNIT)
"""For every step of loudness where there is no pause: 0.2 seconds, so that 6 dB more are worth 1.6 s of the bill."""
_ANYWHERE = 250
"""As a loudness: a cut where no quiet moment was told is worse than at any that was."""


class _Node:
    """A moment where a piece may end and the next one begin; its cheapest way back to the root.

    `spare`: ticks of silence at the end and at the start that may be given up where that saves a unit.
    """

    __slots__ = ("cost", "end", "latest_start", "least_end", "origin", "parent", "pause", "penalty", "start")

    def __init__(self, end: int, start: int, penalty: int, *, pause: bool, spare: tuple[int, int] = (0, 0)) -> None:
        self.end = end
        self.start = start
        self.least_end = end - spare[0]
        self.latest_start = start + spare[1]
        self.penalty = penalty
        self.pause = pause
        self.cost = 0
        self.parent: _Node | None = None
        self.origin: _Node = self


def _doubt(length: int) -> int:
    """What cutting in a pause of so many ticks costs."""
    return _DOUBT * max(0, _SURE - length) + 2 * max(0, _LONG_PAUSE - length)


class Planner:
    """Turns pauses and quiet moments, told in time order, into pieces, as soon as they are settled.

    Every method returns the pieces settled by it, as pairs (start, end) in time order.
    `longest`, `padding`, `dropped`, `look_ahead`: ticks. A pause of at least `dropped` is left out where a cut is made,
    but for `padding` on either side; a shorter one is cut in its middle. Where a piece is longer than what is billed
    by no more than that, up to half of the padding is given up.
    """

    def __init__(self, *, longest: int, padding: int, dropped: int, look_ahead: int | None = None) -> None:
        if longest < 1 or padding < 0 or dropped < max(1, 2 * padding):
            raise ValueError(f"longest={longest}, padding={padding}, dropped={dropped}: dropped must hold two paddings")
        self._longest = longest
        self._padding = padding
        self._least = padding - padding // 2
        self._dropped = dropped
        self._look_ahead = 3 * longest if look_ahead is None else look_ahead
        self._root: _Node | None = None
        self._nodes: deque[_Node] = deque()
        self._front: deque[_Node] = deque()
        self._dips: list[tuple[int, int]] = []
        self._stretch = 0
        self._greedy = _Greedy(longest)

    @property
    def settled(self) -> int | None:
        """No piece to come begins before this tick; None between the end of speech and its next begin."""
        return None if self._root is None else self._root.start

    def begin(self, tick: int, earliest: int = 0) -> None:
        """Speech begins at `tick`, after silence that no piece reaches over; nothing is sent from before `earliest`."""
        start = max(earliest, tick - self._padding)
        root = _Node(tick, start, 0, pause=True, spare=(0, max(0, tick - self._least - start)))
        self._root = root
        self._nodes = deque([root])
        self._front = deque([root])
        self._stretch = root.start
        self._dips.clear()
        self._greedy.begin(root)

    def pause(self, start: int, end: int) -> list[tuple[int, int]]:
        """Nobody speaks from `start` to `end`, and somebody does right after."""
        length = end - start
        middle = start + length // 2
        last, first = (start + self._padding, end - self._padding) if length >= self._dropped else (middle, middle)
        spare = max(0, last - start - self._least), max(0, end - self._least - first)
        node = _Node(last, first, _doubt(length), pause=True, spare=spare)
        pieces = self._bridge(node.end)
        self._dips.clear()
        self._stretch = node.start
        return pieces + self._add(node)

    def dip(self, tick: int, loudness: int) -> list[tuple[int, int]]:
        """Speech goes on at `tick`, but is quieter there than around it; `loudness`: 0 to 249, 4 to a doubling."""
        self._dips.append((tick, loudness))
        return self._bridge(tick)

    def end(self, tick: int, latest: int) -> list[tuple[int, int]]:
        """Speech ends at `tick`, and silence follows that no piece reaches over, or nothing at all.

        Nothing is sent from after `latest`. Settles everything.
        """
        last = min(latest, tick + self._padding)
        pieces = self._bridge(last)
        node = _Node(last, last, 0, pause=True, spare=(max(0, last - tick - self._least), 0))
        pieces += self._add(node)
        way = [node]
        while way[-1].parent is not None:
            way.append(way[-1].parent)
        pieces += [self._piece(before, after) for before, after in itertools.pairwise(reversed(way))]
        self._root = None
        self._nodes.clear()
        self._front.clear()
        self._dips.clear()
        return pieces

    def _bridge(self, now: int) -> list[tuple[int, int]]:
        """Open the quiet moments for cuts, where the way since the last pause is too long for one piece."""
        pieces: list[tuple[int, int]] = []
        if now - self._stretch <= self._longest:
            return pieces
        for tick, loudness in self._dips:
            pieces += self._hard_cuts(tick)
            if tick > self._nodes[-1].start:
                pieces += self._add(_Node(tick, tick, _FORCED + _DEPTH * loudness, pause=False))
        self._dips.clear()
        return pieces + self._hard_cuts(now)

    def _hard_cuts(self, now: int) -> list[tuple[int, int]]:
        """Cut anywhere, where not even a quiet moment was told for longer than a piece may be."""
        pieces: list[tuple[int, int]] = []
        while now - self._nodes[-1].start > self._longest:
            tick = self._nodes[-1].start + self._longest
            pieces += self._add(_Node(tick, tick, _FORCED + _DEPTH * _ANYWHERE, pause=False))
        return pieces

    def _add(self, node: _Node) -> list[tuple[int, int]]:
        self._link(node)
        self._nodes.append(node)
        self._greedy.add(node)
        return self._settle(node)

    def _link(self, node: _Node) -> None:
        """Find the cheapest way to `node`, and put it among those from which others may be reached.

        These are kept in order of time and of cost: who is earlier and no cheaper than another will never be chosen.
        """
        front = self._front
        earliest = node.least_end - self._longest
        while front and front[0].latest_start < earliest:
            front.popleft()
        if not front:
            raise ValueError(f"no piece of at most {self._longest} ticks ends at {node.end}")
        end, found = node.least_end, front[0]
        best = found.cost - (found.latest_start - end) // UNIT * _BILLED
        for parent in front:
            cost = parent.cost - (parent.latest_start - end) // UNIT * _BILLED
            if cost < best:
                best, found = cost, parent
        node.cost = best + node.penalty + _PIECE
        node.parent = found
        node.origin = node if found is self._root else found.origin
        while front and front[-1].cost >= node.cost:
            front.pop()
        front.append(node)

    def _piece(self, before: _Node, after: _Node) -> tuple[int, int]:
        """From one cut to the next, no longer than what is paid for, at the cost of silence at its ends."""
        start, end = before.start, after.end
        paid = min(self._longest, -((before.latest_start - after.least_end) // UNIT) * UNIT)
        end = max(after.least_end, min(end, start + paid))
        return max(start, end - paid), end

    def _settle(self, newest: _Node) -> list[tuple[int, int]]:
        """Commit the pieces on which all live nodes agree, and by force what lies further back than the look-ahead."""
        pieces: list[tuple[int, int]] = []
        while self._root is not None:
            root, origin = self._root, newest.origin
            agreed = self._front[0] is not root and all(node.origin is origin for node in self._front)
            if not agreed:
                if newest.end - root.start <= self._look_ahead:
                    break
                origin = self._leader().origin
            pieces.append(self._piece(root, origin))
            self._commit(origin, relink=not agreed)
            if origin is newest:
                break
        return pieces

    def _leader(self) -> _Node:
        """The live node that has come furthest for its price, among those not behind the greedy plan."""
        start, price = self._greedy.position, self._greedy.cost
        ahead = (node for node in self._front if node.start >= start and node.cost <= price)
        return min(ahead, key=lambda node: (node.cost - node.start * _BILLED // UNIT, node.start))

    def _commit(self, root: _Node, *, relink: bool) -> None:
        """Make `root` the root; with `relink`, ways that do not lead over it are replaced by ways that do."""
        base = root.cost
        self._greedy.cost -= base
        while self._nodes[0] is not root:
            self._nodes.popleft()
        self._root, root.parent, root.origin = root, None, root
        if relink:
            root.cost = 0
            self._front = deque([root])
            for node in itertools.islice(self._nodes, 1, None):
                self._link(node)
            return
        for node in self._nodes:
            node.cost -= base
            if node is not root:
                parent = node.parent
                node.origin = node if parent is root or parent is None else parent.origin


class _Greedy:
    """The plan anyone would make: fill every piece up to the last pause that fits, else to the last quiet moment."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._ahead: list[_Node] = []
        self.position = 0
        self.cost = 0

    def begin(self, root: _Node) -> None:
        self._ahead = []
        self.position = root.start
        self.cost = 0

    def add(self, node: _Node) -> None:
        self._ahead.append(node)
        while node.end - self.position > self._longest:
            fits = [step for step in self._ahead if step.end - self.position <= self._longest]
            cut = next((step for step in reversed(fits) if step.pause), fits[-1])
            units = -((self.position - cut.end) // UNIT)
            self.cost += units * _BILLED + cut.penalty + _PIECE
            self.position = cut.start
            self._ahead = self._ahead[self._ahead.index(cut) + 1 :]
