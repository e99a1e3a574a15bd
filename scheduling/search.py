"""Branch and bound over placement, precision and codecs: the exact minimum of the objective for one size of the model.

First placements, one stage a level, from the sinks back, so that what is decided fixes the way that is left; then, for
each placement that survives, precisions and codecs in list order (`scheduling.refine`). At every level the bounds of
`scheduling.bounds` tell what the best completion could cost in all M futures; one more counts that the uplink serves
one job at a time: the answer waits for all that must go up before a stage.
Subtrees whose bound is not below the best schedule found are left out; nothing else is, so what remains at the end is
the optimum. If `max_nodes` is reached the search stops, and the least bound among what was left unexplored tells how
far from optimal the answer can be.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.typed import List

from scheduling import rows
from scheduling.borrow import borrow
from scheduling.bounds import capped_cost, clock_of, fastest_ways, heads, tail_row, tails
from scheduling.compiled import GraphArrays, Ints
from scheduling.narrowing import ROUNDING
from scheduling.problem import Floats
from scheduling.refine import refine
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
    ZERO,
    Situation,
    Weights,
    assess,
    states_on_car,
)
from scheduling.workspace import Placing

LEAST_PRICE, LEAST_BYTES, CHAIN_PRICE, CHAIN_BYTES = 0, 1, 2, 3  # columns: see `strands`
SLOWEST_S_PER_BYTE = 1e-5  # 0.8 Mbit/s: dead futures shall not drown out the others in guesses about a typical one


@numba.njit(cache=True, nogil=True, inline="always")
def cheapest_by_tier(g: GraphArrays, s: Situation, w: Weights, a: Placing) -> None:
    """By (position, tier), the least of each over the precisions that fit at all: seconds (inf: none does); and with
    the auxiliary stages that follow: price, bytes of parameters, joules on the car."""
    a.quickest[:] = np.inf
    a.cheapest[:] = np.inf
    a.lightest[:] = np.inf
    a.thriftiest[:] = np.inf
    for i in range(g.n_critical):
        for c in range(g.choice_tier.size):
            k = g.choice_tier[c]
            if s.memory[i, c] + s.working[i, c] <= s.memory_limit[k]:
                a.quickest[i, k] = min(a.quickest[i, k], s.stage_s[i, c])
                a.cheapest[i, k] = min(a.cheapest[i, k], s.stage_price[i, c] + w.per_joule * s.bundle_j[i, c])
                a.lightest[i, k] = min(a.lightest[i, k], s.bundle_memory[i, c])
                a.thriftiest[i, k] = min(a.thriftiest[i, k], s.bundle_j[i, c])
        least = np.inf
        for k in range(a.cheapest.shape[1]):
            least = min(least, a.cheapest[i, k])
        a.rest[i + 1] = a.rest[i] + least


@numba.njit(cache=True, nogil=True, inline="always")
def strands(g: GraphArrays, s: Situation, w: Weights, typical_up: float, least: Floats, favourite: Ints) -> None:
    """By tensor: least codec price and bytes of its own, and the same of anything on its chain back to a source on
    the car, when there is such a chain of stages with one input and one output each that nobody else reads (a camera
    and its backbone); inf where there is none. And a favourite codec: the best if everything waits for its upload at
    a typical rate."""
    least[:] = np.inf
    for t in range(g.producer.size):
        cheapest = np.inf
        for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
            least[t, LEAST_PRICE] = min(least[t, LEAST_PRICE], s.options[o, PRICE])
            least[t, LEAST_BYTES] = min(least[t, LEAST_BYTES], s.options[o, BYTES])
            fixed = s.options[o, ENCODE] + s.options[o, DECODE]
            cost = s.options[o, PRICE] + w.mean * (fixed + typical_up * s.options[o, BYTES])
            if cost < cheapest:
                favourite[t], cheapest = o, cost
        if g.producer[t] < 0 and s.home[t] == CAR:
            least[t, CHAIN_PRICE], least[t, CHAIN_BYTES] = least[t, LEAST_PRICE], least[t, LEAST_BYTES]
    for i in range(g.n_critical):
        inputs = g.input_pointer[i + 1] - g.input_pointer[i]
        if inputs == 1 and g.output_pointer[i + 1] - g.output_pointer[i] == 1:
            x, t = g.input_tensor[g.input_pointer[i]], g.output_tensor[g.output_pointer[i]]
            readers = g.reader_pointer[x + 1] - g.reader_pointer[x]  # one upload would serve several chains
            if readers == 1 and least[x, CHAIN_PRICE] < np.inf:
                least[t, CHAIN_PRICE] = min(least[t, LEAST_PRICE], least[x, CHAIN_PRICE])
                least[t, CHAIN_BYTES] = min(least[t, LEAST_BYTES], least[x, CHAIN_BYTES])


@numba.njit(cache=True, nogil=True, inline="always")
def strand_floors(g: GraphArrays, a: Placing) -> None:
    """What a chain from the car's source costs at least beyond the cheapest tiers of its stages, wherever its reader
    is: all its stages on the car, or a codec of one of its tensors. Fills floors (position + 1,), the sum over chains
    that end before a position, and own (position,), that of the chain which a stage belongs to."""
    a.own[:] = 0.0
    a.floors[:] = 0.0
    for t in range(g.producer.size):
        maker = g.producer[t]
        if maker < 0 or a.least[t, CHAIN_PRICE] == np.inf:
            continue
        ends = True
        for r in range(g.reader_pointer[t], g.reader_pointer[t + 1]):
            for x in range(g.output_pointer[g.reader[r]], g.output_pointer[g.reader[r] + 1]):
                ends = ends and a.least[g.output_tensor[x], CHAIN_PRICE] == np.inf
        if not ends:
            continue
        on_car, plain, i = 0.0, 0.0, maker
        while i >= 0:
            on_car += a.cheapest[i, CAR]
            plain += a.rest[i + 1] - a.rest[i]
            i = g.producer[g.input_tensor[g.input_pointer[i]]]
        floor, i = max(0.0, min(on_car, a.least[t, CHAIN_PRICE]) - plain), maker
        a.floors[maker + 1] += floor
        while i >= 0:
            a.own[i] = floor
            i = g.producer[g.input_tensor[g.input_pointer[i]]]
    for i in range(g.n_critical):
        a.floors[i + 1] += a.floors[i]


@numba.njit(cache=True, nogil=True, inline="always")
def crossings(
    g: GraphArrays, s: Situation, lowest: int, tier: Ints, least: Floats, uploads: Floats
) -> tuple[float, float]:
    """Least codec price of the tensors that must leave their tier, given the tiers of positions from `lowest` on; and
    how much of it is that of chains whose own tiers are not decided yet.
    uploads: by position, filled with the least bytes that must go up before that stage can run."""
    for j in range(lowest, uploads.size):
        uploads[j] = 0.0
    price, undecided = 0.0, 0.0
    for t in range(g.producer.size):
        maker = g.producer[t]
        chained = 0 <= maker < lowest
        if chained and least[t, CHAIN_PRICE] == np.inf:
            continue
        home = CAR if chained else (s.home[t] if maker < 0 else tier[maker])
        first = -1
        for r in range(g.reader_pointer[t], g.reader_pointer[t + 1]):
            j = g.reader[r]
            if j >= lowest and tier[j] != home:
                first = j
                break
        if first >= 0 and home == CAR:
            uploads[first] += least[t, CHAIN_BYTES] if chained else least[t, LEAST_BYTES]
        if first >= 0 or (g.is_sink[t] and home != CAR):
            price += least[t, CHAIN_PRICE] if chained else least[t, LEAST_PRICE]
            undecided += least[t, CHAIN_PRICE] if chained else 0.0
    return price, undecided


@numba.njit(cache=True, nogil=True, inline="always")
def uplink_row(air: Floats, lowest: int, a: Placing, typical_up: float) -> bool:
    """Fills base (M,): when the answer can be there at the earliest because of what must go up before the stage that
    this holds up most. False when nothing goes up."""
    worst, total, together, key = -1, 0.0, 0.0, -1.0
    for j in range(lowest, a.tier.size):
        if a.uploads[j] > 0.0:
            total += a.uploads[j]
            value = total * typical_up + a.quickest[j, a.tier[j]] + a.tail_mean[j]
            if value > key:
                key, worst, together = value, j, total
    if worst >= 0:
        tier = a.tier[worst]
        rows.combine(a.base, air[UP_FREE], together, air[UP_S])
        rows.add(a.base, air[CAR_TO_CLOUD] if tier == CLOUD else air[CAR_TO_EDGE])
        rows.shift(a.base, a.base, a.quickest[worst, tier])
        rows.add(a.base, a.tail[worst])
    return worst >= 0


@numba.njit(cache=True, nogil=True, inline="always")
def lower_row(g: GraphArrays, s: Situation, a: Placing, i: int, k: int, depth: int) -> None:
    """Position i at tier k: fills its tail, and lower[depth + 1] and held[depth + 1] from those of `depth`."""
    after = a.tail[i]
    a.seconds[i] = a.quickest[i, k]
    tail_row(g, a.way, a.quickest.shape[1], a.tier, a.seconds, a.tail, i)
    rows.copy(a.row, s.air[k])
    for x in range(g.input_pointer[i], g.input_pointer[i + 1]):
        rows.raise_to(a.row, a.head[g.input_tensor[x], k])
    new = a.lower[depth + 1]
    rows.copy(new, a.lower[depth])
    rows.raise_to_sum(new, a.row, after, a.quickest[i, k])
    held, a.work[depth + 1] = a.held[depth + 1], a.work[depth]
    rows.copy(held, a.held[depth])
    if k == CAR:
        a.work[depth + 1] += a.quickest[i, CAR]
        rows.raise_to_shifted(held, a.row, a.quickest[i, CAR])
        rows.raise_to_shifted(held, s.air[CAR], a.work[depth + 1])
    a.tail_mean[i] = min(after[after.size // 2], 1.0)  # any future will do: it only chooses between valid bounds


@numba.njit(cache=True, nogil=True, inline="always")
def are_twins(g: GraphArrays, s: Situation) -> bool:
    """Whether payloads too are the same for all twins (they are learned for each tensor on its own)."""
    same = g.twin_count > 1
    for number in range(1, g.twin_count):
        for j in range(g.twin_length):
            i, other = g.twin_base + j, g.twin_base + number * g.twin_length + j
            for end in range(2):  # what goes in, what comes out
                t = g.output_tensor[g.output_pointer[i]] if end else g.input_tensor[g.input_pointer[i]]
                u = g.output_tensor[g.output_pointer[other]] if end else g.input_tensor[g.input_pointer[other]]
                shift = g.option_pointer[u] - g.option_pointer[t]
                for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
                    same = same and s.options[o, BYTES] == s.options[o + shift, BYTES]
    return same


@numba.njit(cache=True, nogil=True, inline="always")
def is_mirrored(g: GraphArrays, tier: Ints, lowest: int) -> bool:
    """Given the tiers from `lowest` on: whether a twin wholly on the car stands before one wholly off it, while no twin
    is partly there. Another placement, which the search looks at too, is worth the same: see `CompiledGraph._twins`."""
    seen_remote, mirrored, mixed = False, False, False
    for number in range(g.twin_count - 1, -1, -1):
        first = g.twin_base + number * g.twin_length
        if first < lowest:
            mixed = mixed or g.twin_length > 1  # it may yet be
            break
        on_car = 0
        for j in range(g.twin_length):
            on_car += 1 if tier[first + j] == CAR else 0
        if on_car == 0:
            seen_remote = True
        elif on_car == g.twin_length:
            mirrored = mirrored or seen_remote
        else:
            mixed = True
    return mirrored and not mixed


@numba.njit(cache=True, nogil=True)
def search(
    box: List, situation: Situation, w: Weights, fallback_choice: int, previous: Ints, previous_option: Ints,
    chosen: Ints, chosen_option: Ints, limit: float, max_nodes: int,
) -> tuple[float, float, float, int]:  # fmt: skip
    """Best schedule with an objective below `limit`: (objective, mean latency, lower bound on everything that was not
    explored (inf: all was), nodes). chosen (position) and chosen_option (tensor, -1: does not leave) are filled; the
    objective is `limit` and they are as they were when nothing better exists.

    fallback_choice: the one for all stages that is the last resort and exempt from memory and power, -1: none here.
    previous, previous_option: a schedule worth a try, -1: none. box: see `workspace.make_box`.
    """
    graph, space = box[0]
    g, s, choice, option = borrow(graph), borrow(situation), borrow(chosen), borrow(chosen_option)
    a, refining, k_tracks = borrow(space.placing), borrow(space.refining), borrow(space.tracks)
    futures, tensors, n = s.air.shape[1], g.producer.size, g.n_critical
    tiers, nothing, clock = a.quickest.shape[1], s.air[ZERO], clock_of(s, w)
    typical_up = 0.0
    for m in range(futures):
        typical_up += min(s.air[UP_S, m], SLOWEST_S_PER_BYTE) / futures
    cheapest_by_tier(g, s, w, a)
    best, best_mean = limit, np.inf
    trial, trial_option = a.trial, a.trial_option
    more = fallback_choice >= 0
    for t in range(tensors):  # the last resort fetches states that lie elsewhere, by any codec
        a.favourite[t] = g.option_pointer[t] if g.state_maker[t] >= 0 and s.home[t] != CAR else -1
    while more:
        trial[:] = fallback_choice
        trial_option[:] = a.favourite
        value, mean_s, _, _, _ = assess(g, s, w, trial, trial_option, k_tracks)
        if value < best:
            best, best_mean = value, mean_s
            choice[:] = trial
            option[:] = trial_option
        more = False
        for t in range(tensors):  # count on
            if a.favourite[t] >= 0:
                a.favourite[t] += 1
                if a.favourite[t] < g.option_pointer[t + 1]:
                    more = True
                    break
                a.favourite[t] = g.option_pointer[t]
    strands(g, s, w, typical_up, a.least, a.favourite)
    news = previous[0] >= 0
    if news and best < limit:  # often the last resort again
        news = False
        for i in range(n):
            news = news or previous[i] != choice[i]
    if news:
        trial[:] = previous
        for t in range(tensors):
            trial_option[t] = previous_option[t] if previous_option[t] >= 0 else a.favourite[t]
        value, mean_s, _, _, fits = assess(g, s, w, trial, trial_option, k_tracks)
        if fits and value < best:
            best, best_mean = value, mean_s
            choice[:] = trial
            option[:] = trial_option
    strand_floors(g, a)
    fastest_ways(g, s, tiers, a.way, a.row, a.done)
    heads(g, s, a.way, a.quickest, tiers, a.head, a.done)
    tails(g, a.way, a.quickest, tiers, a.loose, a.after, a.row)
    for i in range(n):  # what each tier of each stage costs at least, alone
        for k in range(tiers):
            a.alone[i, k] = np.inf
            if a.quickest[i, k] < np.inf:
                rows.copy(a.row, s.air[k])
                for x in range(g.input_pointer[i], g.input_pointer[i + 1]):
                    rows.raise_to(a.row, a.head[g.input_tensor[x], k])
                rows.shift(a.row, a.row, a.quickest[i, k])
                rows.add(a.row, a.loose[i, k])
                others = s.quality_price_s + w.per_joule * s.loose_j
                others += a.rest[n] - (a.rest[i + 1] - a.rest[i]) + a.floors[n] - a.own[i]
                a.alone[i, k] = capped_cost(clock, a.row, nothing, k != CAR, 0.0, a.scratch) + a.cheapest[i, k] + others
            x = k  # insertion sort: the promising first
            while x > 0 and a.alone[i, a.turn_order[i, x - 1]] > a.alone[i, k]:
                a.turn_order[i, x] = a.turn_order[i, x - 1]
                x -= 1
            a.turn_order[i, x] = k
    for k in range(tiers):  # everything in one tier, where that could be the best so far
        hopeless = k == CAR and fallback_choice >= 0  # that is the last resort
        for i in range(n):
            hopeless = hopeless or a.alone[i, k] * ROUNDING >= best
            trial[i] = g.default_choice[k]
            for c in range(g.choice_tier.size):
                if g.choice_tier[c] == k and s.stage_s[i, c] == a.quickest[i, k]:
                    trial[i] = c
        if not hopeless:
            trial_option[:] = a.favourite
            value, mean_s, _, _, fits = assess(g, s, w, trial, trial_option, k_tracks)
            if fits and value < best:
                best, best_mean = value, mean_s
                choice[:] = trial
                option[:] = trial_option

    a.remote[0] = 0 if states_on_car(g, s) else 1
    a.price[0] = s.quality_price_s + w.per_joule * s.loose_j
    a.bound[0] = a.price[0] + a.rest[n]
    a.cost[0], a.moves[0], a.joules[0] = 0.0, 0.0, s.loose_j
    a.memory[0] = 0.0
    a.memory[0, CAR] = s.loose_memory
    rows.fill(a.lower[0], 0.0)
    rows.fill(a.held[0], 0.0)
    a.work[0] = 0.0
    a.turn[0] = 0
    unexplored, nodes, twins = np.inf, 0, are_twins(g, s)
    depth = 0
    while depth >= 0:
        if nodes >= max_nodes:
            for d in range(depth + 1):
                if a.turn[d] < tiers:  # the next is the most promising of those that are left
                    i = n - 1 - d
                    unexplored = min(unexplored, max(a.bound[d], a.alone[i, a.turn_order[i, a.turn[d]]]))
            break
        number, i = a.turn[depth], n - 1 - depth
        a.turn[depth] += 1
        if number >= tiers or a.bound[depth] * ROUNDING >= best:
            depth -= 1
            continue
        k = a.turn_order[i, number]
        if a.alone[i, k] * ROUNDING >= best:
            depth -= 1  # sorted: the others are no better
            continue
        nodes += 1
        below = depth + 1
        is_remote = a.remote[depth] != 0 or k != CAR
        joules = a.joules[depth] + (a.thriftiest[i, k] if k == CAR else 0.0)
        if joules > s.joule_limit or a.memory[depth, k] + a.lightest[i, k] > s.memory_limit[k]:
            continue
        a.tier[i] = k
        if twins and is_mirrored(g, a.tier, i):
            continue
        moved = 0.0
        for x in range(g.input_pointer[i], g.input_pointer[i + 1]):
            t = g.input_tensor[x]
            if g.state_maker[t] == i and s.home[t] != k:
                moved += w.per_switch
        a.price[below] = a.price[depth] + a.cheapest[i, k] + moved
        sent, undecided = crossings(g, s, i, a.tier, a.least, a.uploads)
        floor = a.price[below] + a.rest[i] + max(sent, sent - undecided + a.floors[i])
        if (floor + a.cost[depth]) * ROUNDING >= best:
            continue
        lower_row(g, s, a, i, k, depth)
        if uplink_row(s.air, i, a, typical_up):
            rows.raise_to(a.lower[below], a.base)
        a.cost[below] = capped_cost(clock, a.lower[below], a.held[below], is_remote, 0.0, a.scratch)
        a.bound[below] = floor + a.cost[below]
        if a.bound[below] * ROUNDING >= best:
            continue
        a.moves[below] = a.moves[depth] + moved
        a.joules[below] = joules
        a.remote[below] = 1 if is_remote else 0
        for x in range(3):
            a.memory[below, x] = a.memory[depth, x]
        a.memory[below, k] += a.lightest[i, k]
        if below < n:
            depth = below
            a.turn[depth] = 0
            continue
        best, best_mean, open_bound, used = refine(
            g, s, w, refining, k_tracks, clock, a.tier, a.way, a.favourite, typical_up, a.lower[n], a.held[n],
            a.price[0] + a.moves[n], is_remote, choice, option, best, best_mean, max_nodes - nodes,
        )  # fmt: skip
        unexplored = min(unexplored, open_bound)
        nodes += used
    return best, best_mean, unexplored, nodes
