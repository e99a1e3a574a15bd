"""What no schedule can beat: relaxations that the search prunes with, for all futures at once.

Latency never falls when a rate falls or a delay grows. So these hold for every schedule: a tensor takes at least as
long to another tier as its best codec on an idle way (`fastest_transfers`); it is at a tier no earlier than along its
fastest way there (`heads`); and from the end of a stage it takes at least `tails` until every sink is on the car.
"""

from __future__ import annotations

from typing import NamedTuple

import numba

from scheduling import rows
from scheduling.compiled import GraphArrays, Ints
from scheduling.problem import Floats
from scheduling.solver import (
    BYTES,
    CAR,
    CAR_TO_CLOUD,
    CAR_TO_EDGE,
    CLOUD,
    CLOUD_TO_EDGE,
    CLOUD_TO_EDGE_SITE,
    DECODE,
    EDGE,
    EDGE_TO_CAR,
    EDGE_TO_CLOUD,
    ENCODE,
    UP_S,
    Situation,
    Weights,
)


@numba.njit(cache=True, nogil=True, inline="always")
def fastest_ways(g: GraphArrays, s: Situation, tiers: int, way: Floats, scratch: Floats, least: Floats) -> None:
    """Fills way (tensor, origin * tiers + target, M): least seconds of a tensor between two tiers by any codec.
    scratch (M,), least (3, M): space."""
    for t in range(g.producer.size):
        for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
            size, fixed = s.options[o, BYTES], s.options[o, ENCODE] + s.options[o, DECODE]
            for hop in range(3):
                rate = s.air[UP_S + hop]
                if o == g.option_pointer[t]:
                    rows.scaled(least[hop], rate, size, fixed)
                else:
                    rows.scaled(scratch, rate, size, fixed)
                    rows.lower_to(least[hop], scratch)
        rows.total(way[t, CAR * tiers + EDGE], least[0], s.air[CAR_TO_EDGE])
        rows.total(way[t, EDGE * tiers + CAR], least[1], s.air[EDGE_TO_CAR])
        if tiers > CLOUD:
            rows.total(way[t, CAR * tiers + CLOUD], least[0], s.air[CAR_TO_CLOUD])
            rows.total(way[t, CLOUD * tiers + CAR], way[t, EDGE * tiers + CAR], s.air[CLOUD_TO_EDGE_SITE])
            rows.total(way[t, EDGE * tiers + CLOUD], least[2], s.air[EDGE_TO_CLOUD])
            rows.total(way[t, CLOUD * tiers + EDGE], least[2], s.air[CLOUD_TO_EDGE])


@numba.njit(cache=True, nogil=True, inline="always")
def heads(g: GraphArrays, s: Situation, way: Floats, quickest: Floats, tiers: int, head: Floats, done: Floats) -> None:
    """Fills head (tensor, tier, M): no tensor is at a tier earlier. done (tier, M): space."""
    for t in range(g.producer.size):
        if g.producer[t] < 0:
            for k in range(tiers):
                if k == s.home[t]:
                    rows.fill(head[t, k], 0.0)
                else:
                    rows.copy(head[t, k], way[t, s.home[t] * tiers + k])
    for i in range(g.n_critical):
        for k in range(tiers):
            rows.copy(done[k], s.air[k])
            for x in range(g.input_pointer[i], g.input_pointer[i + 1]):
                rows.raise_to(done[k], head[g.input_tensor[x], k])
            rows.shift(done[k], done[k], quickest[i, k])
        for x in range(g.output_pointer[i], g.output_pointer[i + 1]):
            t = g.output_tensor[x]
            for k in range(tiers):
                rows.copy(head[t, k], done[k])
                for q in range(tiers):
                    if q != k:
                        rows.lower_to_sum(head[t, k], done[q], way[t, q * tiers + k])


@numba.njit(cache=True, nogil=True, inline="always")
def tails(
    g: GraphArrays, way: Floats, quickest: Floats, tiers: int, tail: Floats, after: Floats, scratch: Floats
) -> None:
    """Fills tail (position, tier, M): least seconds from the end of a stage at that tier until every sink is on the
    car. after (position, tier, M), scratch (M,): space."""
    for i in range(g.n_critical - 1, -1, -1):
        for tier in range(tiers):
            row = tail[i, tier]
            rows.fill(row, 0.0)
            for x in range(g.output_pointer[i], g.output_pointer[i + 1]):
                t = g.output_tensor[x]
                if g.is_sink[t] and tier != CAR:
                    rows.raise_to(row, way[t, tier * tiers + CAR])
                for r in range(g.reader_pointer[t], g.reader_pointer[t + 1]):
                    j = g.reader[r]
                    rows.copy(scratch, after[j, tier])
                    for target in range(tiers):
                        if target != tier:
                            rows.lower_to_sum(scratch, way[t, tier * tiers + target], after[j, target])
                    rows.raise_to(row, scratch)
            rows.shift(after[i, tier], row, quickest[i, tier])


@numba.njit(cache=True, nogil=True, inline="always")
def tail_row(g: GraphArrays, way: Floats, tiers: int, tier: Ints, seconds: Floats, tail: Floats, i: int) -> None:
    """Fills tail[i] (M,): least seconds from the end of a stage until the sinks are on the car: over the fastest ways
    to its readers, and through the next stage on the same computer, which serves one at a time in list order. tier:
    of it and of all behind it; seconds: of each stage there."""
    row, k = tail[i], tier[i]
    rows.fill(row, 0.0)
    for j in range(i + 1, g.n_critical):
        if tier[j] == k:
            rows.shift(row, tail[j], seconds[j])
            break
    for x in range(g.output_pointer[i], g.output_pointer[i + 1]):
        t = g.output_tensor[x]
        if g.is_sink[t] and k != CAR:
            rows.raise_to(row, way[t, k * tiers + CAR])
        for r in range(g.reader_pointer[t], g.reader_pointer[t + 1]):
            j = g.reader[r]
            if tier[j] == k:
                rows.raise_to_shifted(row, tail[j], seconds[j])
            else:
                rows.raise_to_sum(row, way[t, k * tiers + tier[j]], tail[j], seconds[j])


class Clock(NamedTuple):
    """The numbers behind the latency part of the objective. Times are seconds after capture."""

    mean_weight: float
    late_weight: float  # of lateness in the mean: the tail's mean is at least that of all
    start_s: float  # of the fallback
    end_s: float
    deadline_s: float
    energy_slope: float  # price of a second of the fallback's run
    penalty_s: float  # quality lost when the fallback answers


@numba.njit(cache=True, nogil=True, inline="always")
def clock_of(s: Situation, w: Weights) -> Clock:
    start_s = s.fallback_start_s
    slope = w.per_joule * s.fallback_j / s.fallback_s if s.fallback_s > 0.0 else 0.0
    end_s = start_s + s.fallback_s
    return Clock(w.mean, w.late + w.tail, start_s, end_s, s.deadline_s, slope, s.fallback_penalty_s)


@numba.njit(cache=True, nogil=True)
def capped_cost(clock: Clock, bound: Floats, held: Floats, remote: bool, slack_s: float, scratch: Floats) -> float:
    """Least of what the objective asks for time and for the fallback when answers cannot be there before `bound` and,
    in a remote schedule, the car has worked for the main run until `held`. Cut off at the fallback's end: an answer
    is there then. slack_s: by how much answers may yet be earlier than `bound`, which `steepness` prices."""
    mean, late, start_s, end_s, deadline_s, slope, penalty_s = clock
    if remote:
        for m in range(bound.size):
            x = end_s if held[m] > start_s else min(bound[m], end_s)
            falls = penalty_s if held[m] > start_s or bound[m] - slack_s > end_s else 0.0
            scratch[m] = mean * x + late * max(0.0, x - deadline_s) + slope * max(0.0, x - start_s) + falls
    else:
        for m in range(bound.size):
            x = min(bound[m], end_s)
            scratch[m] = mean * x + late * max(0.0, x - deadline_s)
    return rows.fold(scratch) / bound.size


@numba.njit(cache=True, nogil=True)
def fill_slopes(clock: Clock, bound: Floats, remote: bool, slack_s: float, slopes: Floats) -> None:
    """What a second more than `bound` costs at least in each future, up to the fallback's end, and what up to slack_s
    less can save at most, a second: up to there the cost of time is convex."""
    mean, late, start_s, end_s, deadline_s, slope, _ = clock
    energy = slope if remote else 0.0
    for m in range(bound.size):
        x = min(bound[m], end_s)
        steep = mean + (late if x >= deadline_s else 0.0) + (energy if x >= start_s else 0.0)
        slopes[m] = steep if bound[m] - slack_s < end_s else 0.0


@numba.njit(cache=True, nogil=True)
def steepness(clock: Clock, bound: Floats, remote: bool, slack_s: float, scratch: Floats) -> float:
    """Mean of the slopes."""
    fill_slopes(clock, bound, remote, slack_s, scratch)
    return rows.fold(scratch) / bound.size
