"""The latency recursion and the objective of docs/scheduling.md in numba, for one given schedule.

`scheduling.search` looks for the best schedule; it and every policy are judged by `evaluate`. All futures are walked
at once: times are rows of M numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from scheduling import rows
from scheduling.borrow import borrow
from scheduling.compiled import GraphArrays, Ints
from scheduling.problem import Floats

CAR, EDGE, CLOUD = 0, 1, 2
# Rows of `Situation.air`: what the link is like in each future. First when the five resources are free of earlier
# frames (the three computers by tier, then the radio), then seconds a byte, then delays.
UP_FREE, DOWN_FREE = 3, 4
UP_S, DOWN_S, WAN_S = 5, 6, 7
EDGE_TO_CAR, CLOUD_TO_EDGE_SITE = 8, 9  # half a round trip each; from the cloud, what precedes the downlink
CAR_TO_EDGE, CAR_TO_CLOUD, EDGE_TO_CLOUD, CLOUD_TO_EDGE = 10, 11, 12, 13  # with the wait at the server
LOSS, ZERO = 14, 15
AIR_ROWS = 16
LONGEST_S_PER_BYTE = 1e6  # a dead link is a very slow one: keeps infinities out of sums
# Columns of `Situation.options`.
BYTES, PRICE, ENCODE, DECODE = 0, 1, 2, 3


class Situation(NamedTuple):
    """Everything about one decision that is not the graph. Times are seconds after capture."""

    stage_s: Floats  # (position, choice)
    stage_j: Floats  # (position, choice), 0 off the car
    stage_price: Floats  # (position, choice): of precision, in seconds
    bundle_j: Floats  # (position, choice) as stage_j, with the auxiliary stages that follow that one
    bundle_memory: Floats  # (position, choice) as memory, with theirs
    memory: Floats  # (position, choice) bytes of parameters (0 where the fallback holds them anyway)
    working: Floats  # (position, choice) bytes of the largest working set
    options: Floats  # (option, 4): payload bytes, price in seconds, seconds of encoding and of decoding
    air: Floats  # (AIR_ROWS, M)
    home: Ints  # tensor -> tier where a source lies
    memory_limit: Floats  # by tier, what the fallback leaves
    joule_limit: float  # a frame on the car
    loose_j: float  # joules of auxiliary stages that are on the car wherever the others are
    loose_memory: float  # bytes of theirs
    deadline_s: float
    fallback_start_s: float
    fallback_s: float  # how long the fallback's run takes
    fallback_j: float
    fallback_penalty_s: float  # quality lost when the fallback answers
    quality_price_s: float  # of this size of the model


class Weights(NamedTuple):
    """The objective, in seconds. See `scheduling.preferences.PolicyConfig`."""

    mean: float
    late: float
    tail: float
    tail_share: float
    per_joule: float
    per_switch: float


class Tracks(NamedTuple):
    """Scratch space of a walk: times by future (the last axis)."""

    made: Floats  # (position, M), and a last row of zeros: when a source is there
    arrival: Floats  # (tensor, tier, M)
    up_end: Floats  # (tensor, M)
    answer: Floats
    late: Floats
    free: Floats  # (5, M)
    known: Ints  # (tensor, tier)
    sent: Ints  # (tensor,)
    leaves: Ints  # (tensor,)


def make_tracks(stages: int, tensors: int, futures: int) -> Tracks:
    """stages: critical ones."""
    return Tracks(
        np.zeros((stages + 1, futures)), np.empty((tensors, 3, futures)), np.empty((tensors, futures)),
        np.empty(futures), np.empty(futures), np.empty((5, futures)), np.zeros((tensors, 3), np.int64),
        np.zeros(tensors, np.int64), np.zeros(tensors, np.int64),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def fill_air(
    air: Floats, up_bps: Floats, down_bps: Floats, wan_bps: Floats, rtt_s: Floats, wan_rtt_s: Floats, loss: Floats,
    edge_wait_s: Floats, cloud_wait_s: Floats, busy_s: tuple[float, float, float, float, float],
) -> None:  # fmt: skip
    """`Situation.air` of a forecast. busy_s: of car, edge, cloud, uplink, downlink."""
    slowest_bps = 8.0 / LONGEST_S_PER_BYTE
    for m in range(up_bps.size):
        for r in range(5):
            air[r, m] = busy_s[r]
        air[UP_S, m] = 8.0 / max(up_bps[m], slowest_bps)
        air[DOWN_S, m] = 8.0 / max(down_bps[m], slowest_bps)
        air[WAN_S, m] = 8.0 / max(wan_bps[m], slowest_bps)
        radio_s, wan_s = 0.5 * rtt_s[m], 0.5 * wan_rtt_s[m]
        air[EDGE_TO_CAR, m] = radio_s
        air[CLOUD_TO_EDGE_SITE, m] = wan_s
        air[CAR_TO_EDGE, m] = radio_s + edge_wait_s[m]
        air[CAR_TO_CLOUD, m] = radio_s + wan_s + cloud_wait_s[m]
        air[EDGE_TO_CLOUD, m] = wan_s + cloud_wait_s[m]
        air[CLOUD_TO_EDGE, m] = wan_s + edge_wait_s[m]
        air[LOSS, m] = loss[m]
        air[ZERO, m] = 0.0


@numba.njit(cache=True, nogil=True)
def transfer(
    air: Floats, size: float, encode_s: float, decode_s: float, origin: int, target: int, made: Floats, sent: bool,
    up_end: Floats, free_up: Floats, free_down: Floats, arrival: Floats,
) -> None:  # fmt: skip
    """Arrival of a tensor at another tier in every future. free_up, free_down: when the radio is free, moved on.
    up_end: end of its radio uplink, where `sent` says that it went up already; else it is set."""
    if origin == CAR:
        if not sent:
            rows.send(free_up, made, encode_s, size, air[UP_S])
            rows.copy(up_end, free_up)
        rows.shift(arrival, up_end, decode_s)
        if target == EDGE:
            rows.add(arrival, air[CAR_TO_EDGE])
        else:
            rows.combine(arrival, arrival, size, air[WAN_S])
            rows.add(arrival, air[CAR_TO_CLOUD])
        return
    rows.shift(arrival, made, encode_s)
    if target != CAR:
        rows.combine(arrival, arrival, size, air[WAN_S])
        rows.add(arrival, air[EDGE_TO_CLOUD] if target == CLOUD else air[CLOUD_TO_EDGE])
    else:
        if origin == CLOUD:
            rows.combine(arrival, arrival, size, air[WAN_S])
            rows.add(arrival, air[CLOUD_TO_EDGE_SITE])
        rows.send(free_down, arrival, 0.0, size, air[DOWN_S])
        rows.copy(arrival, free_down)
        rows.add(arrival, air[EDGE_TO_CAR])
    rows.shift(arrival, arrival, decode_s)


@numba.njit(cache=True, nogil=True, inline="always")
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
            q = s.air[LOSS, m]
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


@numba.njit(cache=True, nogil=True, inline="always")
def place_auxiliaries(g: GraphArrays, choice: Ints) -> None:
    """Auxiliary stages follow the maker of their first input, at the computer's default precision."""
    for i in range(g.n_critical, choice.size):
        tier = CAR if g.follows[i] < 0 else g.choice_tier[choice[g.follows[i]]]
        choice[i] = g.default_choice[tier]


@numba.njit(cache=True, nogil=True, inline="always")
def mark_leaving(g: GraphArrays, s: Situation, choice: Ints, leaves: Ints) -> None:
    """Which tensors leave their tier under a complete placement."""
    for t in range(leaves.size):
        maker = g.producer[t]
        leaves[t] = 1 if g.is_sink[t] and maker >= 0 and g.choice_tier[choice[maker]] != CAR else 0
    for i in range(choice.size):
        tier = g.choice_tier[choice[i]]
        for x in range(g.input_pointer[i], g.input_pointer[i + 1]):
            t = g.input_tensor[x]
            maker = g.producer[t]
            if tier != (s.home[t] if maker < 0 else g.choice_tier[choice[maker]]):
                leaves[t] = 1


@numba.njit(cache=True, nogil=True, inline="always")
def states_on_car(g: GraphArrays, s: Situation) -> bool:
    there = True
    for t in range(g.producer.size):
        there = there and (g.state_maker[t] < 0 or s.home[t] == CAR)
    return there


@numba.njit(cache=True, nogil=True, inline="always")
def surroundings(
    g: GraphArrays, s: Situation, w: Weights, choice: Ints, option: Ints, leaves: Ints
) -> tuple[float, bool, bool]:
    """(price of a placement whatever the link does, whether it is local, whether it fits memory and power).

    Sets `option` of tensors that only auxiliary stages pull across to their cheapest codec, of those that do not
    leave their tier to -1. leaves: scratch.
    """
    price, joules = 0.0, 0.0
    local = states_on_car(g, s)
    for i in range(choice.size):
        price += s.stage_price[i, choice[i]]
        joules += s.stage_j[i, choice[i]]
        if i < g.n_critical and g.choice_tier[choice[i]] != CAR:
            local = False
    fits = joules <= s.joule_limit
    for tier in range(s.memory_limit.size):
        memory = working = 0.0
        for i in range(choice.size):
            if g.choice_tier[choice[i]] == tier:
                memory += s.memory[i, choice[i]]
                working = max(working, s.working[i, choice[i]])
        fits = fits and memory + working <= s.memory_limit[tier]
    price += w.per_joule * joules
    mark_leaving(g, s, choice, leaves)
    for t in range(g.producer.size):
        maker = g.state_maker[t]
        if maker >= 0 and g.choice_tier[choice[maker]] != s.home[t]:
            price += w.per_switch
        if not leaves[t]:
            option[t] = -1
            continue
        if option[t] < 0:
            best = g.option_pointer[t]
            for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
                if s.options[o, PRICE] < s.options[best, PRICE]:
                    best = o
            option[t] = best
        price += s.options[option[t], PRICE]
    return price, local, fits


@numba.njit(cache=True, nogil=True, inline="always")
def walk(g: GraphArrays, s: Situation, choice: Ints, option: Ints, k: Tracks) -> None:
    """Fills answer and free of the tracks for a complete schedule; every tensor that leaves has its option."""
    for r in range(5):
        rows.copy(k.free[r], s.air[r])
    k.known[:] = 0
    k.sent[:] = 0
    for i in range(g.n_critical + 1):
        last = i == g.n_critical
        tier = CAR if last else g.choice_tier[choice[i]]
        rows.fill(k.answer, 0.0)
        begin = 0 if last else g.input_pointer[i]
        end = g.sinks.size if last else g.input_pointer[i + 1]
        for x in range(begin, end):
            t = g.sinks[x] if last else g.input_tensor[x]
            maker = g.producer[t]
            home = s.home[t] if maker < 0 else g.choice_tier[choice[maker]]
            if home == tier:
                rows.raise_to(k.answer, k.made[maker])  # -1: the row of zeros
                continue
            if not k.known[t, tier]:
                o = option[t]
                transfer(
                    s.air, s.options[o, BYTES], s.options[o, ENCODE], s.options[o, DECODE], home, tier, k.made[maker],
                    k.sent[t] != 0, k.up_end[t], k.free[UP_FREE], k.free[DOWN_FREE], k.arrival[t, tier],
                )  # fmt: skip
                k.sent[t], k.known[t, tier] = 1, 1
            rows.raise_to(k.answer, k.arrival[t, tier])
        if not last:
            rows.serve(k.free[tier], k.answer, s.stage_s[i, choice[i]])
            rows.copy(k.made[i], k.free[tier])


@numba.njit(cache=True, nogil=True)
def assess(
    g: GraphArrays, s: Situation, w: Weights, choice: Ints, option: Ints, k: Tracks
) -> tuple[float, float, float, bool, bool]:
    """As `evaluate`; k: scratch space."""
    place_auxiliaries(g, choice)
    price, local, fits = surroundings(g, s, w, choice, option, k.leaves)
    walk(g, s, choice, option, k)
    value, mean_s, fell = objective(s, w, k.answer, k.free[CAR], local, price, k.late)
    return value, mean_s, fell, local, fits


@numba.njit(cache=True, nogil=True)
def evaluate(
    g: GraphArrays, s: Situation, w: Weights, choice: Ints, option: Ints, k: Tracks
) -> tuple[float, float, float, bool, bool]:
    """(objective, mean latency, fallback share, local, fits) of a schedule. choice: one a critical position, those of
    auxiliary ones are set; option: one a tensor, those of tensors that stay are set to -1."""
    return assess(borrow(g), borrow(s), w, borrow(choice), borrow(option), borrow(k))
