"""The second half of the search: precisions and codecs, for one placement, in list order.

With the tiers fixed it is known which step of the recursion sends which tensor over which hop. What is left to decide
are the *branches*: the codec of each tensor when it first leaves, and the precision of each stage, where there is more
than one that could be best (`scheduling.narrowing`). Every level of the search takes one branch and then walks on, for
all futures at once, to the next; `LOWER` says when the answer can be there at the earliest.
"""

from __future__ import annotations

import numba
import numpy as np

from scheduling import rows
from scheduling.bounds import Clock, capped_cost, steepness, tail_row
from scheduling.compiled import CHOOSE, DELIVER, FETCH, RUN, GraphArrays, Ints
from scheduling.narrowing import ROUNDING, are_stale, dearest_second, drop_dear, drop_dominated, take_slowest
from scheduling.problem import Floats
from scheduling.reduced_costs import reduce_costs, stage_cost, take_references, uplink_stage, useful_choices, worth
from scheduling.solver import (
    BYTES,
    CAR,
    DECODE,
    DOWN_FREE,
    ENCODE,
    PRICE,
    UP_FREE,
    ZERO,
    Situation,
    Tracks,
    Weights,
    objective,
    place_auxiliaries,
    surroundings,
    transfer,
)
from scheduling.workspace import HELD, LOWER, READY, ROWS, Refining

STAYS, LEAVES, FOLLOWS, ARRIVED = 0, 1, 2, 3  # what a fetching step finds: see `lay_out`


@numba.njit(cache=True, nogil=True, inline="always")
def least_worth(
    g: GraphArrays, s: Situation, w: Weights, a: Refining, begin: int, branches: int, steep: float
) -> float:
    """Of the precisions that are still to be chosen, from a branch on."""
    total = 0.0
    for b in range(begin, branches):
        if g.step_kind[a.branch[b]] == CHOOSE:
            i, x, least = g.step_position[a.branch[b]], 0, np.inf
            while a.choices[i, x] >= 0:
                least = min(least, worth(s, w, i, a.choices[i, x], a.reference[i], steep))
                x += 1
            total += least
    return total


@numba.njit(cache=True, nogil=True, inline="always")
def lay_out(
    g: GraphArrays, s: Situation, w: Weights, tier: Ints, steep: float, a: Refining
) -> tuple[int, float, float]:
    """What each step does under this placement, which of them branch, and what is left to pay from each branch on.
    Decisions without alternative are taken at once: returns (branches, their price, their reduced price). steep: what
    a second less is worth at most where the reduced prices stand."""
    a.arrived[:] = 0
    a.left[:] = 0
    branches, price, reduced = 0, 0.0, 0.0
    for step in range(g.step_kind.size):
        kind, i, t = g.step_kind[step], g.step_position[step], g.step_tensor[step]
        target = CAR if kind == DELIVER else tier[i]
        this = a.steps[step]
        this[0], this[1], this[2], this[7] = kind, i, t, target
        if kind == CHOOSE:
            if a.choices[i, 1] >= 0:
                a.branch[branches] = step
                branches += 1
            else:
                c = a.choices[i, 0]
                a.now[i] = c
                more = stage_cost(s, w, i, c)
                price, reduced = price + more, reduced + more
        elif kind != RUN:
            maker = g.producer[t]
            home = s.home[t] if maker < 0 else tier[maker]
            this[3], this[4], this[5], this[6] = STAYS, 0, maker, home
            if home == target:
                continue
            if a.arrived[t, target]:
                this[3] = ARRIVED
                continue
            went_up = a.left[t] and home == CAR
            this[3], this[4] = FOLLOWS, 1 if went_up else 0
            a.arrived[t, target] = 1
            if not a.left[t]:
                a.left[t] = 1
                first = a.order[g.option_pointer[t]]
                a.now_option[t] = first
                if a.kept[t] > 1:
                    this[3] = LEAVES
                    a.branch[branches] = step
                    branches += 1
                else:
                    price, reduced = price + s.options[first, PRICE], reduced + a.reduced_cost[first]
    for t in range(g.producer.size):
        if not a.left[t]:
            a.now_option[t] = -1
    a.branch[branches] = g.step_kind.size
    a.rest_price[branches] = a.rest_reduced[branches] = a.rest_codecs[branches] = a.slack[branches] = 0.0
    for b in range(branches - 1, -1, -1):
        step = a.branch[b]
        least, least_reduced, slack, codec = np.inf, np.inf, 0.0, 0.0
        if g.step_kind[step] == CHOOSE:
            i, x = g.step_position[step], 0
            while a.choices[i, x] >= 0:
                c = a.choices[i, x]
                least = min(least, stage_cost(s, w, i, c))
                least_reduced = min(least_reduced, worth(s, w, i, c, a.reference[i], steep))
                slack = max(slack, a.reference[i] - s.stage_s[i, c])
                x += 1
        else:
            t = g.step_tensor[step]
            for x in range(g.option_pointer[t], g.option_pointer[t] + a.kept[t]):
                least = min(least, s.options[a.order[x], PRICE])
            least_reduced = a.reduced_cost[a.order[g.option_pointer[t]]]
            codec = least
        a.slack[b], a.rest_codecs[b] = a.slack[b + 1] + slack, a.rest_codecs[b + 1] + codec
        a.rest_price[b] = a.rest_price[b + 1] + least
        a.rest_reduced[b] = a.rest_reduced[b + 1] + least_reduced
    return branches, price, reduced


@numba.njit(cache=True, nogil=True)
def walk_on(
    options: Floats, air: Floats, stage_s: Floats, a: Refining, k: Tracks, level: Floats, begin: int, end: int,
) -> None:  # fmt: skip
    """Steps begin..end of the recursion, in place in the rows of one level. The same as `solver.walk`, laid out."""
    lower, ready = level[LOWER], level[READY]
    for step in range(begin, end):
        kind, i, t, action = a.steps[step, 0], a.steps[step, 1], a.steps[step, 2], a.steps[step, 3]
        maker, target = a.steps[step, 5], a.steps[step, 7]
        if kind == CHOOSE:
            rows.fill(ready, 0.0)
            continue
        if kind == RUN:
            rows.serve(level[target], ready, stage_s[i, a.now[i]])
            rows.copy(k.made[i], level[target])
            if target == CAR:
                rows.raise_to(level[HELD], level[CAR])
            rows.raise_to_sum(lower, k.made[i], a.tail[i], 0.0)
            if step + 1 < a.steps.shape[0] and a.steps[step + 1, 0] == DELIVER:
                rows.fill(ready, 0.0)
            continue
        if action == STAYS:
            if maker >= 0:
                rows.raise_to(ready, k.made[maker])
        else:
            there = k.arrival[t, target]
            if action != ARRIVED:
                o = a.now_option[t]
                transfer(
                    air, options[o, BYTES], options[o, ENCODE], options[o, DECODE], a.steps[step, 6], target,
                    k.made[maker], a.steps[step, 4] != 0, k.up_end[t], level[UP_FREE], level[DOWN_FREE], there,
                )  # fmt: skip
                if kind == FETCH:
                    rows.raise_to_sum(lower, there, a.tail[i], stage_s[i, a.now[i]])
            rows.raise_to(ready, there)
        if kind == DELIVER:
            rows.raise_to(lower, ready)


@numba.njit(cache=True, nogil=True, inline="always")
def set_out(
    g: GraphArrays, s: Situation, w: Weights, a: Refining, clock: Clock, tier: Ints, stage: int, steep: float,
    fixed: float, is_remote: bool,
) -> int:  # fmt: skip
    """The first level, from the choices and options that are left: prices and bound. Returns the number of branches."""
    branches, sure, sure_reduced = lay_out(g, s, w, tier, steep, a)
    a.price[0] = fixed + sure
    a.reduced[0] = fixed + sure_reduced
    if stage >= 0:
        a.reduced[0] += capped_cost(clock, a.base, s.air[ZERO], is_remote, a.slack[0], a.scratch)
    a.bound[0] = max(a.price[0] + a.rest_price[0], a.reduced[0] + a.rest_reduced[0])
    return branches


@numba.njit(cache=True, nogil=True, inline="always")
def relax(
    g: GraphArrays, s: Situation, w: Weights, a: Refining, clock: Clock, tier: Ints, way: Floats, favourite: Ints,
    typical_up: float, lower: Floats, held: Floats, fixed: float, is_remote: bool,
) -> tuple[int, float, int]:  # fmt: skip
    """References, what follows from them, and the first level. Returns (stage that waits longest for the uplink, slope
    where it stands, branches)."""
    slack = take_references(g, s, w, steepness(clock, lower, is_remote, 0.0, a.scratch), a)
    for i in range(g.n_critical - 1, -1, -1):
        tail_row(g, way, s.memory_limit.size, tier, a.reference, a.tail, i)
    stage, steep = uplink_stage(g, s, tier, favourite, typical_up, a), 0.0
    if stage >= 0:
        if is_remote:  # lost: the fallback answers, codecs or not
            rows.raise_where_above(a.base, held, clock.start_s, clock.end_s)
        steep = steepness(clock, a.base, is_remote, slack, a.scratch)
    reduce_costs(g, s, clock, tier, stage, is_remote, a)
    return stage, steep, set_out(g, s, w, a, clock, tier, stage, steep, fixed, is_remote)


@numba.njit(cache=True, nogil=True, inline="always")
def start_rows(s: Situation, a: Refining, stage: int, lower: Floats, held: Floats) -> None:
    """The first level's state before anything happens."""
    first = a.state[0]
    for r in range(5):
        rows.copy(first[r], s.air[r])
    rows.copy(first[LOWER], lower)
    if stage >= 0:
        rows.raise_to(first[LOWER], a.base)
    rows.copy(first[HELD], held)
    rows.fill(first[READY], 0.0)


@numba.njit(cache=True, nogil=True, inline="always")
def refine(
    g: GraphArrays, s: Situation, w: Weights, a: Refining, k: Tracks, clock: Clock, tier: Ints, way: Floats,
    favourite: Ints, typical_up: float, lower: Floats, held: Floats, fixed: float, is_remote: bool, choice: Ints,
    option: Ints, best: float, best_mean: float, max_nodes: int,
) -> tuple[float, float, float, int]:  # fmt: skip
    """Best schedule of one placement with an objective below `best`: as `search.search`.

    way: see `bounds.fastest_ways`. favourite, typical_up: see `search.strands`. lower: when the answer can be there at
    the earliest. held: until when the car works for it at least. fixed: price of the placement itself.
    """
    useful_choices(g, s, tier, a.choices)
    for t in range(g.producer.size):
        a.kept[t] = g.option_pointer[t + 1] - g.option_pointer[t]
    stage, steep_base, branches = relax(
        g, s, w, a, clock, tier, way, favourite, typical_up, lower, held, fixed, is_remote
    )
    if branches and a.bound[0] * ROUNDING < best:
        spare = best / ROUNDING - a.reduced[0] - a.rest_reduced[0]
        dropped = drop_dear(g, s, w, steep_base, spare, a)
        take_slowest(g, s, a)
        start_rows(s, a, stage, lower, held)
        walk_on(a.slow, s.air, s.stage_s, a, k, a.state[0], 0, a.steps.shape[0])
        second = dearest_second(s, w, a.state[0, READY], a.state[0, CAR], held, is_remote)
        dropped = drop_dominated(g, s, w, tier, second, a) or dropped
        if are_stale(g, s, a):
            stage, steep_base, branches = relax(
                g, s, w, a, clock, tier, way, favourite, typical_up, lower, held, fixed, is_remote
            )
        elif dropped:
            branches = set_out(g, s, w, a, clock, tier, stage, steep_base, fixed, is_remote)
    nodes, level, unexplored = 1, -1, np.inf
    if a.bound[0] * ROUNDING < best:
        a.joules[0] = s.loose_j
        a.memory[0] = 0.0
        a.memory[0, CAR] = s.loose_memory
        for i in range(g.n_critical):
            if a.choices[i, 1] < 0:
                a.joules[0] += s.bundle_j[i, a.now[i]]
                a.memory[0, tier[i]] += s.bundle_memory[i, a.now[i]]
        fits = a.joules[0] <= s.joule_limit
        for x in range(s.memory_limit.size):
            fits = fits and a.memory[0, x] <= s.memory_limit[x]
        start_rows(s, a, stage, lower, held)
        walk_on(s.options, s.air, s.stage_s, a, k, a.state[0], 0, a.branch[0])
        level = 0 if fits else -1
        a.turn[0] = 0
    while level >= 0:
        if nodes >= max_nodes:
            for d in range(level + 1):
                unexplored = min(unexplored, a.bound[d])
            break
        if level == branches:
            best, best_mean = finish(g, s, w, a, k, a.state[level], choice, option, best, best_mean)
            level -= 1
            continue
        number, step, below = a.turn[level], a.branch[level], level + 1
        a.turn[level] += 1
        i, t = g.step_position[step], g.step_tensor[step]
        is_choice = g.step_kind[step] == CHOOSE
        over = a.choices[i, number] < 0 if is_choice else number >= a.kept[t]
        if over or a.bound[level] * ROUNDING >= best:  # the best may have improved since
            level -= 1
            continue
        a.joules[below] = a.joules[level]
        for x in range(3):
            a.memory[below, x] = a.memory[level, x]
        if is_choice:
            c = a.choices[i, number]
            a.price[below] = a.price[level] + stage_cost(s, w, i, c)
            a.reduced[below] = a.reduced[level] + worth(s, w, i, c, a.reference[i], steep_base)
            a.joules[below] += s.bundle_j[i, c]
            a.memory[below, tier[i]] += s.bundle_memory[i, c]
            if a.joules[below] > s.joule_limit or a.memory[below, tier[i]] > s.memory_limit[tier[i]]:
                continue
            a.now[i] = c
        else:
            o = a.order[g.option_pointer[t] + number]
            a.price[below] = a.price[level] + s.options[o, PRICE]
            a.reduced[below] = a.reduced[level] + a.reduced_cost[o]
            if (a.reduced[below] + a.rest_reduced[below]) * ROUNDING >= best:
                level -= 1  # sorted: the others are dearer still
                continue
            a.now_option[t] = o
        nodes += 1
        least = max(a.price[below] + a.rest_price[below], a.reduced[below] + a.rest_reduced[below])
        if least * ROUNDING >= best:
            continue
        state = a.state[below]
        for r in range(ROWS):
            rows.copy(state[r], a.state[level, r])
        if is_choice:  # what was found with the reference in the way
            rows.shift(state[LOWER], state[LOWER], -max(0.0, a.reference[i] - s.stage_s[i, a.now[i]]))
        # The branch itself, then, if there is hope, the steps up to the next one.
        until = step if is_choice else step + 1
        for _ in range(2):
            walk_on(s.options, s.air, s.stage_s, a, k, state, step, until)
            if until > step:
                slack_s, rest = a.slack[below], a.rest_price[below]
                cost = capped_cost(clock, state[LOWER], state[HELD], is_remote, slack_s, a.scratch)
                if slack_s > 0.0:
                    steep = steepness(clock, state[LOWER], is_remote, slack_s, a.scratch)
                    rest = a.rest_codecs[below] + least_worth(g, s, w, a, below, branches, steep)
                least = max(least, a.price[below] + rest + cost)
            step, until = until, a.branch[below]
            if least * ROUNDING >= best:
                break
        a.bound[below] = least
        if least * ROUNDING < best:
            level = below
            a.turn[level] = 0
    return best, best_mean, unexplored, nodes


@numba.njit(cache=True, nogil=True, inline="always")
def finish(
    g: GraphArrays, s: Situation, w: Weights, a: Refining, k: Tracks, state: Floats, choice: Ints, option: Ints,
    best: float, best_mean: float,
) -> tuple[float, float]:  # fmt: skip
    """The objective of a schedule that has been walked to its end; keeps it if it is the best so far."""
    place_auxiliaries(g, a.now)
    whole_price, local, fits = surroundings(g, s, w, a.now, a.now_option, k.leaves)
    if fits:
        found, mean_s, _ = objective(s, w, state[READY], state[CAR], local, whole_price, k.late)
        if found < best:
            best, best_mean = found, mean_s
            choice[:] = a.now
            option[:] = a.now_option
    for t in range(g.producer.size):
        if not a.left[t]:
            a.now_option[t] = -1
    return best, best_mean
