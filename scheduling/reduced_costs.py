"""What precisions and codecs are worth at least in one placement.

Bounds take for granted that a stage whose precision is still open runs at a *reference* one, often the slowest, and
give back what a quicker one could save: a stage that is d seconds shorter makes no answer more than d earlier, and up
to the fallback's end the cost of time is convex, so this is worth at most d times its slope (`bounds.fill_slopes`).

Beside that there is a bound that costs a comparison: every codec of a tensor that goes up before the stage that waits
longest for the uplink has a *reduced cost*, its price plus what its extra bytes cost if the uplink is what everything
waits for. Extra bytes delay every future by at least min(bytes x seconds a byte, headroom / tensors): the headroom up
to where the fallback answers anyway is shared out among the tensors, so their sum never claims more than there is.
Encoding counts for the tensor that goes up first, decoding for the last. A quicker precision has a reduced cost, too.
"""

from __future__ import annotations

import numba
import numpy as np

from scheduling import rows
from scheduling.bounds import Clock, fill_slopes
from scheduling.compiled import FETCH, GraphArrays, Ints
from scheduling.solver import (
    BYTES,
    CAR,
    CAR_TO_CLOUD,
    CAR_TO_EDGE,
    CLOUD,
    DECODE,
    ENCODE,
    PRICE,
    UP_FREE,
    UP_S,
    Situation,
    Weights,
)
from scheduling.workspace import Refining


@numba.njit(cache=True, nogil=True, inline="always")
def useful_choices(g: GraphArrays, s: Situation, tier: Ints, choices: Ints) -> None:
    """Precisions at each stage's tier that no other one there equals or betters in every respect."""
    for i in range(g.n_critical):
        count = 0
        for c in range(g.choice_tier.size):
            if g.choice_tier[c] != tier[i] or s.memory[i, c] + s.working[i, c] > s.memory_limit[tier[i]]:
                continue
            useful = True
            for x in range(g.choice_tier.size):
                if x == c or g.choice_tier[x] != tier[i]:
                    continue
                no_worse = (
                    s.stage_s[i, x] <= s.stage_s[i, c]
                    and s.stage_price[i, x] <= s.stage_price[i, c]
                    and s.stage_j[i, x] <= s.stage_j[i, c]
                    and s.memory[i, x] <= s.memory[i, c]
                    and s.working[i, x] <= s.working[i, c]
                )
                better = (
                    s.stage_s[i, x] < s.stage_s[i, c]
                    or s.stage_price[i, x] < s.stage_price[i, c]
                    or s.stage_j[i, x] < s.stage_j[i, c]
                    or s.memory[i, x] < s.memory[i, c]
                    or s.working[i, x] < s.working[i, c]
                )
                useful = useful and not (no_worse and (better or x < c))
            if useful:
                choices[i, count] = c
                count += 1
        choices[i, count] = -1


@numba.njit(cache=True, nogil=True, inline="always")
def stage_cost(s: Situation, w: Weights, i: int, c: int) -> float:
    """Price of a precision, with the joules of what follows that stage."""
    return s.stage_price[i, c] + w.per_joule * s.bundle_j[i, c]


@numba.njit(cache=True, nogil=True, inline="always")
def worth(s: Situation, w: Weights, i: int, c: int, reference_s: float, steep: float) -> float:
    """Price of a precision less the most that its being quicker than the reference can be worth."""
    return stage_cost(s, w, i, c) - steep * max(0.0, reference_s - s.stage_s[i, c])


@numba.njit(cache=True, nogil=True, inline="always")
def take_references(g: GraphArrays, s: Situation, w: Weights, steep: float, a: Refining) -> float:
    """Of each stage the precision that bounds lose least by: the one with the smallest distance between its price and
    the least `worth` of any; among equals the slowest. Returns the seconds by which all could be quicker together."""
    slack = 0.0
    for i in range(g.n_critical):
        a.reference[i] = s.stage_s[i, a.choices[i, 0]]
        best, x = np.inf, 0
        while a.choices[i, x] >= 0:
            seconds, cost = s.stage_s[i, a.choices[i, x]], stage_cost(s, w, i, a.choices[i, x])
            loss, y = 0.0, 0
            while a.choices[i, y] >= 0:
                loss = max(loss, cost - worth(s, w, i, a.choices[i, y], seconds, steep))
                y += 1
            if loss < best or (loss == best and seconds > a.reference[i]):
                best = loss
                a.reference[i] = seconds
            x += 1
        quickest, x = np.inf, 0
        while a.choices[i, x] >= 0:
            quickest = min(quickest, s.stage_s[i, a.choices[i, x]])
            x += 1
        slack += a.reference[i] - quickest
    return slack


@numba.njit(cache=True, nogil=True, inline="always")
def uplink_stage(g: GraphArrays, s: Situation, tier: Ints, favourite: Ints, typical_up: float, a: Refining) -> int:
    """The stage whose answer what must go up before it holds up most, if every tensor takes its favourite codec and the
    uplink a typical rate; -1 when nothing goes up. Fills a.base (M,): when the answer can be there at the earliest
    because of that, by any codecs."""
    a.up_least[:] = 0.0
    a.up_likely[:] = 0.0
    for t in range(g.producer.size):
        maker = g.producer[t]
        if (s.home[t] if maker < 0 else tier[maker]) != CAR:
            continue
        for r in range(g.reader_pointer[t], g.reader_pointer[t + 1]):
            if tier[g.reader[r]] != CAR:
                least = np.inf
                for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
                    least = min(least, s.options[o, BYTES])
                a.up_least[g.reader[r]] += least
                a.up_likely[g.reader[r]] += s.options[favourite[t], BYTES] if favourite[t] >= 0 else least
                break
    worst, total, likely, together, key = -1, 0.0, 0.0, 0.0, -1.0
    for j in range(g.n_critical):
        if a.up_likely[j] > 0.0:
            total, likely = total + a.up_least[j], likely + a.up_likely[j]
            value = likely * typical_up + a.reference[j] + min(a.tail[j, a.base.size // 2], 1.0)
            if value > key:
                key, worst, together = value, j, total
    if worst >= 0:
        rows.combine(a.base, s.air[UP_FREE], together, s.air[UP_S])
        rows.add(a.base, s.air[CAR_TO_CLOUD] if tier[worst] == CLOUD else s.air[CAR_TO_EDGE])
        rows.shift(a.base, a.base, a.reference[worst])
        rows.add(a.base, a.tail[worst])
    return worst


@numba.njit(cache=True, nogil=True, inline="always")
def first_and_last_up(g: GraphArrays, tier: Ints, a: Refining) -> tuple[int, int]:
    """Of the tensors that go up before a stage, the one that the uplink waits for and the one that the stage waits for;
    -1 where nothing goes up."""
    first, last = -1, -1
    for step in range(g.step_kind.size):
        t = g.step_tensor[step]
        if g.step_kind[step] == FETCH and a.goes_up[t] == 1 and tier[g.step_position[step]] != CAR:
            first = t if first < 0 else first
            last = t
            a.goes_up[t] = 2
    return first, last


@numba.njit(cache=True, nogil=True, inline="always")
def reduce_costs(
    g: GraphArrays, s: Situation, clock: Clock, tier: Ints, stage: int, is_remote: bool, a: Refining
) -> None:
    """Reduced cost of every codec option, and the options of each tensor sorted by it. stage: the one that waits
    longest for the uplink (-1: nothing goes up), a.base: when the answer can be there at the earliest because of it."""
    competing = 0
    for t in range(g.producer.size):
        a.goes_up[t] = 0
        maker = g.producer[t]
        if stage < 0 or (s.home[t] if maker < 0 else tier[maker]) != CAR:
            continue
        for r in range(g.reader_pointer[t], g.reader_pointer[t + 1]):
            if tier[g.reader[r]] != CAR:
                a.goes_up[t] = 1 if g.reader[r] <= stage else 0
                break
        competing += a.goes_up[t]
    first, last = first_and_last_up(g, tier, a)
    rows.headroom(a.headroom, a.base, s.fallback_start_s + s.fallback_s, 1.0 / max(competing, 1))
    fill_slopes(clock, a.base, is_remote, 0.0, a.slopes)
    idle_from_s = 0.0
    for m in range(a.base.size):
        idle_from_s = max(idle_from_s, s.air[UP_FREE, m])
    for t in range(g.producer.size):
        begin, end = g.option_pointer[t], g.option_pointer[t + 1]
        least, shift = s.options[begin, BYTES], 0
        for o in range(begin, end):
            least = min(least, s.options[o, BYTES])
        alike = t > 0 and begin - g.option_pointer[t - 1] == end - begin and a.goes_up[t] == a.goes_up[t - 1]
        if alike and first not in (t, t - 1) and last not in (t, t - 1):
            shift = end - begin  # the tensor before may be as large: cameras are
            for o in range(begin, end):
                if s.options[o, BYTES] != s.options[o - shift, BYTES]:
                    shift = 0
                    break
        for o in range(begin, end):
            cost = s.options[o, PRICE]
            if shift > 0:
                cost += a.reduced_cost[o - shift] - s.options[o - shift, PRICE]
            elif a.goes_up[t]:
                extra, offset = s.options[o, BYTES] - least, 0.0
                if t == first:
                    offset += max(0.0, s.options[o, ENCODE] - idle_from_s)
                if t == last:
                    offset += s.options[o, DECODE]
                if extra > 0.0 or offset > 0.0:
                    cost += rows.mean_limited(a.slopes, s.air[UP_S], extra, offset, a.headroom, a.scratch)
            a.reduced_cost[o] = cost
            x = o  # insertion sort
            while x > begin and a.reduced_cost[a.order[x - 1]] > cost:
                a.order[x] = a.order[x - 1]
                x -= 1
            a.order[x] = o
