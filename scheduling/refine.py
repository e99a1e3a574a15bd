"""The second half of the search: precisions and codecs, for one placement, in list order.

With the tiers fixed it is known which step of the recursion sends which tensor over which hop. What is left to decide
are the *branches*: the codec of each tensor when it first leaves, and the precision of each stage, where there is more
than one that could be best. Every level of the search takes one branch and then walks on, for all futures at once, to
the next; `LOWER` says when the answer can be there at the earliest.

Beside that there is a bound that costs a comparison: every codec of a tensor that goes up before the stage that waits
longest for the uplink has a *reduced cost*, its price plus what its extra bytes cost if the uplink is what everything
waits for. Extra bytes delay every future by at least min(bytes x seconds a byte, headroom / tensors): the headroom up
to where the fallback answers anyway is shared out among the tensors, so that their sum never claims more than there is.
"""

from __future__ import annotations

import numba
import numpy as np

from scheduling import rows
from scheduling.bounds import Clock, capped_cost
from scheduling.compiled import CHOOSE, DELIVER, FETCH, RUN, GraphArrays, Ints
from scheduling.problem import Floats
from scheduling.solver import (
    BYTES,
    CAR,
    DECODE,
    DOWN_FREE,
    ENCODE,
    PRICE,
    UP_FREE,
    UP_S,
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

ROUNDING = 1.0 - 1e-12  # bounds are summed in another order than objectives: allow for the last bits
STAYS, LEAVES, FOLLOWS, ARRIVED = 0, 1, 2, 3  # what a fetching step finds: see `lay_out`


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
def reduce_costs(g: GraphArrays, s: Situation, w: Weights, tier: Ints, stage: int, base: Floats, a: Refining) -> None:
    """Reduced cost of every codec option, and the options of each tensor sorted by it. base: when the answer can be
    there at the earliest because of what must go up before `stage` (-1: nothing must)."""
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
        if a.goes_up[t] and g.option_pointer[t + 1] - g.option_pointer[t] > 1:
            competing += 1
    rows.headroom(a.headroom, base, s.fallback_start_s + s.fallback_s, 1.0 / max(competing, 1))
    for t in range(g.producer.size):
        begin, end = g.option_pointer[t], g.option_pointer[t + 1]
        least, shift = s.options[begin, BYTES], 0
        for o in range(begin, end):
            least = min(least, s.options[o, BYTES])
        if t > 0 and begin - g.option_pointer[t - 1] == end - begin and a.goes_up[t] == a.goes_up[t - 1]:
            shift = end - begin  # the tensor before may be as large: cameras are
            for o in range(begin, end):
                if s.options[o, BYTES] != s.options[o - shift, BYTES]:
                    shift = 0
                    break
        for o in range(begin, end):
            cost = s.options[o, PRICE]
            if shift > 0:
                cost += a.reduced_cost[o - shift] - s.options[o - shift, PRICE]
            elif a.goes_up[t] and s.options[o, BYTES] > least:
                extra = s.options[o, BYTES] - least
                cost += w.mean * rows.mean_limited(s.air[UP_S], extra, a.headroom, a.scratch)
            a.reduced_cost[o] = cost
            x = o  # insertion sort
            while x > begin and a.reduced_cost[a.order[x - 1]] > cost:
                a.order[x] = a.order[x - 1]
                x -= 1
            a.order[x] = o


@numba.njit(cache=True, nogil=True, inline="always")
def lay_out(g: GraphArrays, s: Situation, w: Weights, tier: Ints, a: Refining) -> tuple[int, float, float]:
    """What each step does under this placement, which of them branch, and what is left to pay from each branch on.
    Decisions without alternative are taken at once: returns (branches, their price, their reduced price)."""
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
                more = s.stage_price[i, c] + w.per_joule * s.bundle_j[i, c]
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
                first = g.option_pointer[t]
                a.now_option[t] = first
                if g.option_pointer[t + 1] - first > 1:
                    this[3] = LEAVES
                    a.branch[branches] = step
                    branches += 1
                else:
                    price, reduced = price + s.options[first, PRICE], reduced + a.reduced_cost[first]
    for t in range(g.producer.size):
        if not a.left[t]:
            a.now_option[t] = -1
    a.branch[branches] = g.step_kind.size
    a.rest_price[branches] = a.rest_reduced[branches] = 0.0
    for b in range(branches - 1, -1, -1):
        step = a.branch[b]
        least, least_reduced = np.inf, np.inf
        if g.step_kind[step] == CHOOSE:
            i, x = g.step_position[step], 0
            while a.choices[i, x] >= 0:
                c = a.choices[i, x]
                least = min(least, s.stage_price[i, c] + w.per_joule * s.bundle_j[i, c])
                x += 1
            least_reduced = least
        else:
            t = g.step_tensor[step]
            for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
                least = min(least, s.options[o, PRICE])
            least_reduced = a.reduced_cost[a.order[g.option_pointer[t]]]
        a.rest_price[b] = a.rest_price[b + 1] + least
        a.rest_reduced[b] = a.rest_reduced[b + 1] + least_reduced
    return branches, price, reduced


@numba.njit(cache=True, nogil=True)
def walk_on(
    options: Floats, air: Floats, stage_s: Floats, tail: Floats, a: Refining, k: Tracks, level: Floats, begin: int,
    end: int,
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
            rows.raise_to_sum(lower, k.made[i], tail[i], 0.0)
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
                    rows.raise_to_sum(lower, there, tail[i], stage_s[i, a.now[i]])
            rows.raise_to(ready, there)
        if kind == DELIVER:
            rows.raise_to(lower, ready)


@numba.njit(cache=True, nogil=True, inline="always")
def refine(
    g: GraphArrays, s: Situation, w: Weights, a: Refining, k: Tracks, clock: Clock, tier: Ints, tail: Floats,
    stage: int, base: Floats, lower: Floats, held: Floats, fixed: float, is_remote: bool, choice: Ints, option: Ints,
    best: float, best_mean: float, max_nodes: int,
) -> tuple[float, float, float, int]:  # fmt: skip
    """Best schedule of one placement with an objective below `best`: as `search.search`.

    tail (position, M): least seconds from the end of each stage until the sinks are on the car. base, stage: see
    `search.uplink_row`. lower: when the answer can be there at the earliest. held: until when the car works for it at
    least. fixed: price of the placement itself.
    """
    if stage >= 0 and is_remote:
        rows.raise_where_above(base, held, clock.start_s, clock.end_s)  # lost: the fallback answers, codecs or not
    useful_choices(g, s, tier, a.choices)
    reduce_costs(g, s, w, tier, stage, base, a)
    branches, sure, sure_reduced = lay_out(g, s, w, tier, a)
    a.price[0] = fixed + sure
    a.reduced[0] = fixed + sure_reduced
    if stage >= 0:
        a.reduced[0] += capped_cost(clock, base, s.air[ZERO], is_remote, a.scratch)
    a.bound[0] = max(a.price[0] + a.rest_price[0], a.reduced[0] + a.rest_reduced[0])
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
        first = a.state[0]
        for r in range(5):
            rows.copy(first[r], s.air[r])
        rows.copy(first[LOWER], lower)
        rows.copy(first[HELD], held)
        rows.fill(first[READY], 0.0)
        walk_on(s.options, s.air, s.stage_s, tail, a, k, first, 0, a.branch[0])
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
        over = a.choices[i, number] < 0 if is_choice else number >= g.option_pointer[t + 1] - g.option_pointer[t]
        if over or a.bound[level] * ROUNDING >= best:  # the best may have improved since
            level -= 1
            continue
        a.joules[below] = a.joules[level]
        for x in range(3):
            a.memory[below, x] = a.memory[level, x]
        if is_choice:
            c = a.choices[i, number]
            more = s.stage_price[i, c] + w.per_joule * s.bundle_j[i, c]
            a.price[below], a.reduced[below] = a.price[level] + more, a.reduced[level] + more
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
        # The branch itself, then, if there is hope, the steps up to the next one.
        until = step if is_choice else step + 1
        for _ in range(2):
            walk_on(s.options, s.air, s.stage_s, tail, a, k, state, step, until)
            if until > step:
                cost = capped_cost(clock, state[LOWER], state[HELD], is_remote, a.scratch)
                least = max(least, a.price[below] + a.rest_price[below] + cost)
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
