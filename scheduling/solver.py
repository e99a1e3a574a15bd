"""The latency recursion and the objective of docs/scheduling.md in numba, for one given schedule.

`scheduling.search` looks for the best schedule; it and every policy are judged by `evaluate`. All futures are walked
at once: times are rows of M numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from scheduling.compiled import GraphArrays, Ints
from scheduling.problem import Floats

CAR, EDGE, CLOUD = 0, 1, 2
UP, DOWN = 3, 4  # rows of the resources behind the three computers
LONGEST_S_PER_BYTE = 1e6  # a dead link is a very slow one: keeps infinities out of sums


class Situation(NamedTuple):
    """Everything about one decision that is not the graph. Times are seconds after capture."""

    stage_s: Floats  # (position, choice)
    stage_j: Floats  # (position, choice), 0 off the car
    stage_price: Floats  # (position, choice): of precision, in seconds
    memory: Floats  # (position, choice) bytes of parameters (0 where the fallback holds them anyway)
    working: Floats  # (position, choice) bytes of the largest working set
    option_bytes: Floats
    option_price: Floats  # quality and bytes, in seconds
    up_s: Floats  # (M,) seconds a byte
    down_s: Floats
    wan_s: Floats
    half_rtt_s: Floats  # (M,) one way between car and edge
    half_wan_s: Floats  # (M,) one way between edge and cloud
    loss: Floats
    free_s: Floats  # (5, M) when car, edge, cloud, uplink, downlink are free of earlier frames
    home: Ints  # tensor -> tier where a source lies
    memory_limit: Floats  # by tier, what the fallback leaves
    joule_limit: float  # a frame on the car
    deadline_s: float
    fallback_start_s: float
    fallback_s: float  # how long the fallback's run takes
    fallback_j: float
    fallback_penalty_s: float  # quality lost when the fallback answers
    quality_price_s: float  # of this size of the model


class Weights(NamedTuple):
    """The objective, in seconds. See `scheduling.policies.PolicyConfig`."""

    mean: float
    late: float
    tail: float
    tail_share: float
    per_joule: float
    per_switch: float


@numba.njit(cache=True, nogil=True)
def transfer(
    s: Situation, o: int, origin: int, target: int, made: Floats, encode_s: float, decode_s: float,
    free_up: Floats, free_down: Floats, sent: bool, up_end: Floats, new_up: Floats, new_down: Floats, arrival: Floats,
) -> int:  # fmt: skip
    """Arrival of a tensor at another tier in every future. up_end: end of its radio uplink, where `sent` says that it
    went up already; else it is set. Returns which resource row was written: UP, DOWN or -1."""
    futures = s.up_s.size
    size = s.option_bytes[o]
    if origin == CAR:
        if not sent:
            for m in range(futures):
                up_end[m] = max(made[m] + encode_s, free_up[m]) + size * s.up_s[m]
                new_up[m] = up_end[m]
        if target == EDGE:
            for m in range(futures):
                arrival[m] = up_end[m] + s.half_rtt_s[m] + decode_s
        else:
            for m in range(futures):
                arrival[m] = up_end[m] + s.half_rtt_s[m] + size * s.wan_s[m] + s.half_wan_s[m] + decode_s
        return -1 if sent else UP
    if target != CAR:
        for m in range(futures):
            arrival[m] = made[m] + encode_s + size * s.wan_s[m] + s.half_wan_s[m] + decode_s
        return -1
    if origin == EDGE:
        for m in range(futures):
            new_down[m] = max(made[m] + encode_s, free_down[m]) + size * s.down_s[m]
    else:
        for m in range(futures):
            at_edge = made[m] + encode_s + size * s.wan_s[m] + s.half_wan_s[m]
            new_down[m] = max(at_edge, free_down[m]) + size * s.down_s[m]
    for m in range(futures):
        arrival[m] = new_down[m] + s.half_rtt_s[m] + decode_s
    return DOWN


@numba.njit(cache=True, nogil=True)
def objective(
    s: Situation, w: Weights, answer: Floats, free_car: Floats, local: bool, price: float, late: Floats,
) -> tuple[float, float, float]:  # fmt: skip
    """(objective, mean latency, mean share of frames answered by the fallback). answer: when the sinks are on the car;
    free_car: when the car's last critical stage has ended; late: scratch."""
    futures = answer.size
    end_s = s.fallback_start_s + s.fallback_s
    latency_sum, late_sum, joules, fell = 0.0, 0.0, 0.0, 0.0
    for m in range(futures):
        if local:
            latency = answer[m]
            late[m] = max(0.0, latency - s.deadline_s)
        else:
            lost = free_car[m] > s.fallback_start_s
            first = end_s if lost else min(answer[m], end_s)
            q = s.loss[m]
            latency = (1.0 - q) * first + q * end_s
            late[m] = (1.0 - q) * max(0.0, first - s.deadline_s) + q * max(0.0, end_s - s.deadline_s)
            share = 0.0
            if s.fallback_s > 0.0:
                share = min(max((first - s.fallback_start_s) / s.fallback_s, 0.0), 1.0)
            joules += ((1.0 - q) * share + q) * s.fallback_j
            fell += ((1.0 - q) if lost or end_s < answer[m] else 0.0) + q
        latency_sum += latency
        late_sum += late[m]
    worst = max(1, int(np.ceil(w.tail_share * futures - 1e-9)))
    tail = late_sum
    if worst < futures and late_sum > 0.0:
        tail = 0.0
        order = np.sort(late)
        for m in range(futures - worst, futures):
            tail += order[m]
    mean_s = latency_sum / futures
    value = price + s.quality_price_s + w.mean * mean_s + w.late * (late_sum / futures) + w.tail * (tail / worst)
    value += w.per_joule * (joules / futures) + s.fallback_penalty_s * (fell / futures)
    return value, mean_s, fell / futures


@numba.njit(cache=True, nogil=True)
def place_auxiliaries(g: GraphArrays, choice: Ints) -> None:
    """Auxiliary stages follow the maker of their first input, at the computer's default precision."""
    for i in range(g.n_critical, choice.size):
        tier = CAR if g.follows[i] < 0 else g.choice_tier[choice[g.follows[i]]]
        choice[i] = g.default_choice[tier]


@numba.njit(cache=True, nogil=True)
def leaves(g: GraphArrays, s: Situation, choice: Ints, t: int) -> bool:
    """Whether a tensor leaves its tier under a complete placement."""
    maker = g.producer[t]
    home = s.home[t] if maker < 0 else g.choice_tier[choice[maker]]
    if g.is_sink[t] and home != CAR:
        return True
    for i in range(choice.size):
        for k in range(g.input_pointer[i], g.input_pointer[i + 1]):
            if g.input_tensor[k] == t and g.choice_tier[choice[i]] != home:
                return True
    return False


@numba.njit(cache=True, nogil=True)
def states_on_car(g: GraphArrays, s: Situation) -> bool:
    for t in range(g.producer.size):
        if g.state_maker[t] >= 0 and s.home[t] != CAR:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def surroundings(g: GraphArrays, s: Situation, w: Weights, choice: Ints, option: Ints) -> tuple[float, bool, bool]:
    """(price of a placement whatever the link does, no critical stage off the car, within memory and power).

    Sets `option` of tensors that only auxiliary stages pull across to their cheapest codec, of those that do not
    leave their tier to -1.
    """
    price, joules = 0.0, 0.0
    memory, working = np.zeros(3), np.zeros(3)
    local = states_on_car(g, s)
    for i in range(choice.size):
        c = choice[i]
        tier = g.choice_tier[c]
        price += s.stage_price[i, c]
        joules += s.stage_j[i, c]
        memory[tier] += s.memory[i, c]
        working[tier] = max(working[tier], s.working[i, c])
        if i < g.n_critical and tier != CAR:
            local = False
    fits = joules + (0.0 if local else s.fallback_j) <= s.joule_limit
    for tier in range(s.memory_limit.size):
        fits = fits and memory[tier] + working[tier] <= s.memory_limit[tier]
    price += w.per_joule * joules
    for t in range(g.producer.size):
        maker = g.state_maker[t]
        if maker >= 0 and g.choice_tier[choice[maker]] != s.home[t]:
            price += w.per_switch
        if not leaves(g, s, choice, t):
            option[t] = -1
            continue
        if option[t] < 0:
            best = g.option_pointer[t]
            for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
                if s.option_price[o] < s.option_price[best]:
                    best = o
            option[t] = best
        price += s.option_price[option[t]]
    return price, local, fits


@numba.njit(cache=True, nogil=True)
def walk(g: GraphArrays, s: Situation, choice: Ints, option: Ints, answer: Floats, free: Floats) -> None:
    """Fills answer (M,) and free (5, M) for a complete schedule; every tensor that leaves has its option."""
    futures, tensors = s.up_s.size, g.producer.size
    free[:] = s.free_s
    made = np.zeros((g.n_critical, futures))
    nothing = np.zeros(futures)
    arrival = np.empty((tensors, 3, futures))
    known = np.zeros((tensors, 3), np.bool_)
    up_end, sent = np.empty((tensors, futures)), np.zeros(tensors, np.bool_)
    ready = np.empty(futures)
    for i in range(g.n_critical + 1):
        last = i == g.n_critical
        tier = CAR if last else g.choice_tier[choice[i]]
        ready[:] = 0.0
        begin, end = (0, g.sinks.size) if last else (g.input_pointer[i], g.input_pointer[i + 1])
        for k in range(begin, end):
            t = g.sinks[k] if last else g.input_tensor[k]
            maker = g.producer[t]
            home = s.home[t] if maker < 0 else g.choice_tier[choice[maker]]
            here = nothing if maker < 0 else made[maker]
            if home != tier:
                if not known[t, tier]:
                    o = option[t]
                    transfer(
                        s, o, home, tier, here, g.option_encode_s[o], g.option_decode_s[o],
                        free[UP], free[DOWN], sent[t], up_end[t], free[UP], free[DOWN], arrival[t, tier],
                    )  # fmt: skip
                    sent[t], known[t, tier] = True, True
                here = arrival[t, tier]
            for m in range(futures):
                ready[m] = max(ready[m], here[m])
        if last:
            answer[:] = ready
        else:
            seconds = s.stage_s[i, choice[i]]
            for m in range(futures):
                free[tier, m] = max(ready[m], free[tier, m]) + seconds
                made[i, m] = free[tier, m]


@numba.njit(cache=True, nogil=True)
def evaluate(
    g: GraphArrays, s: Situation, w: Weights, choice: Ints, option: Ints
) -> tuple[float, float, float, bool, bool]:
    """(objective, mean latency, fallback share, local, fits) of a schedule. choice: one a critical position, those of
    auxiliary ones are set; option: one a tensor, -1 where it does not matter."""
    place_auxiliaries(g, choice)
    price, local, fits = surroundings(g, s, w, choice, option)
    futures = s.up_s.size
    answer, free, late = np.empty(futures), np.empty((5, futures)), np.empty(futures)
    walk(g, s, choice, option, answer, free)
    value, mean_s, fell = objective(s, w, answer, free[CAR], local, price, late)
    return value, mean_s, fell, local, fits
