"""Which precisions and codecs of one placement cannot be part of anything better than the best schedule found.

Options whose reduced cost (`scheduling.reduced_costs`) alone lifts the bound over it are dropped: reduced-cost fixing.
Of what is left the slowest says how late anything here can be, and so how dear a second can be: a quicker precision
that costs more than that is dropped as well.
"""

from __future__ import annotations

import numba
import numpy as np

from scheduling.compiled import GraphArrays, Ints
from scheduling.problem import Floats
from scheduling.reduced_costs import stage_cost, worth
from scheduling.solver import CAR, Situation, Weights
from scheduling.workspace import Refining

ROUNDING = 1.0 - 1e-12  # bounds are summed in another order than objectives: allow for the last bits


@numba.njit(cache=True, nogil=True, inline="always")
def drop_dear(g: GraphArrays, s: Situation, w: Weights, steep: float, spare: float, a: Refining) -> bool:
    """Drops codecs and precisions whose reduced cost is `spare` or more above the least one. Whether there were any."""
    dropped = False
    for t in range(g.producer.size):
        if a.left[t]:
            first = g.option_pointer[t]
            while (
                a.kept[t] > 1
                and a.reduced_cost[a.order[first + a.kept[t] - 1]] - a.reduced_cost[a.order[first]] >= spare
            ):
                a.kept[t] -= 1
                dropped = True
    for i in range(g.n_critical):
        least, x, count = np.inf, 0, 0
        while a.choices[i, x] >= 0:
            least = min(least, worth(s, w, i, a.choices[i, x], a.reference[i], steep))
            x += 1
        x = 0
        while a.choices[i, x] >= 0:
            c = a.choices[i, x]
            if worth(s, w, i, c, a.reference[i], steep) - least < spare:
                a.choices[i, count] = c
                count += 1
            x += 1
        dropped = dropped or count < x
        a.choices[i, count] = -1
    return dropped


@numba.njit(cache=True, nogil=True, inline="always")
def are_stale(g: GraphArrays, s: Situation, a: Refining) -> bool:
    """Whether a stage's reference is slower than all that is left for it."""
    stale = False
    for i in range(g.n_critical):
        slowest, x = 0.0, 0
        while a.choices[i, x] >= 0:
            slowest = max(slowest, s.stage_s[i, a.choices[i, x]])
            x += 1
        stale = stale or a.reference[i] > slowest
    return stale


@numba.njit(cache=True, nogil=True, inline="always")
def take_slowest(g: GraphArrays, s: Situation, a: Refining) -> None:
    """The slowest precision of every stage into a.now, and into a.slow, where each tensor's option that a.now_option
    names stands, what no option of it exceeds."""
    for i in range(g.n_critical):
        x = 0
        a.now[i] = a.choices[i, 0]
        while a.choices[i, x] >= 0:
            if s.stage_s[i, a.choices[i, x]] > s.stage_s[i, a.now[i]]:
                a.now[i] = a.choices[i, x]
            x += 1
    for t in range(g.producer.size):
        if a.left[t]:
            first = g.option_pointer[t]
            chosen = a.order[first]
            a.now_option[t] = chosen
            for column in range(4):
                most = 0.0
                for x in range(first, first + a.kept[t]):
                    most = max(most, s.options[a.order[x], column])
                a.slow[chosen, column] = most


@numba.njit(cache=True, nogil=True, inline="always")
def dearest_second(s: Situation, w: Weights, answer: Floats, free_car: Floats, held: Floats, is_remote: bool) -> float:
    """By how much the objective can rise at most when every answer comes a second later, as long as none comes later
    than `answer` and the car works no longer than until free_car; inf where it can jump. held: until when it works at
    least."""
    futures, end_s = answer.size, s.fallback_start_s + s.fallback_s
    timely, late, started = 0, 0, 0
    for m in range(futures):
        if is_remote:
            if held[m] > s.fallback_start_s:
                continue  # the fallback answers, whatever is chosen
            if free_car[m] > s.fallback_start_s or (s.fallback_penalty_s > 0.0 and answer[m] > end_s):
                return np.inf
            started += 1 if min(answer[m], end_s) > s.fallback_start_s else 0
        timely += 1
        late += 1 if answer[m] > s.deadline_s else 0
    worst = max(1.0, np.ceil(w.tail_share * futures - 1e-9))
    slope = w.per_joule * s.fallback_j / s.fallback_s if s.fallback_s > 0.0 else 0.0
    return (w.mean * timely + w.late * late + slope * started) / futures + w.tail * min(1.0, late / worst)


@numba.njit(cache=True, nogil=True, inline="always")
def drop_dominated(g: GraphArrays, s: Situation, w: Weights, tier: Ints, second: float, a: Refining) -> bool:
    """Drops precisions that another betters even if all that it is slower delays every answer. second: price of one.
    Whether there were any. Does nothing where memory or power could be what forbids the other."""
    joules = s.loose_j
    a.memory[0] = 0.0
    a.memory[0, CAR] = s.loose_memory
    aside = 0.0
    for i in range(g.n_critical, g.follows.size):
        for c in range(g.choice_tier.size):
            aside = max(aside, s.working[i, c])
    fits = True
    for k in range(s.memory_limit.size):
        working, memory = aside, a.memory[0, k]
        for i in range(g.n_critical):
            if tier[i] == k:
                most, most_j, x = 0.0, 0.0, 0
                while a.choices[i, x] >= 0:
                    c = a.choices[i, x]
                    most, most_j = max(most, s.bundle_memory[i, c]), max(most_j, s.bundle_j[i, c])
                    working = max(working, s.working[i, c])
                    x += 1
                memory += most
                joules += most_j
        fits = fits and memory + working <= s.memory_limit[k]
    if not fits or joules > s.joule_limit or second == np.inf:
        return False
    dropped = False
    for i in range(g.n_critical):
        x = 0
        while a.choices[i, x] >= 0:
            c, y, useful = a.choices[i, x], 0, True
            while a.choices[i, y] >= 0:
                other = a.choices[i, y]
                if y != x:
                    most = stage_cost(s, w, i, other) + second * max(0.0, s.stage_s[i, other] - s.stage_s[i, c])
                    useful = useful and most > stage_cost(s, w, i, c) * ROUNDING
                y += 1
            if useful:
                x += 1
                continue
            dropped = True
            for y in range(x, a.choices.shape[1] - 1):
                a.choices[i, y] = a.choices[i, y + 1]
    return dropped
