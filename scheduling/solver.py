"""Exact choice of placement and codecs for one frame, by bounded enumeration in numba.

`walk` is the latency recursion. Four resources (car, uplink, edge, downlink) each serve one job at a time in list
order; the executor uses the same recursion with real payloads, so that on a certain link prediction and execution
agree. A tensor that several stages read on the other side crosses once.

`solve` looks at every placement, and for each at every choice of codecs for the tensors that cross. Placements that
would use the radio for auxiliary stages alone are not candidates. Two bounds skip
work without skipping optima, because latency never falls when a rate falls or a delay grows:
  1. the objective of a placement is at least that of its best codec in each respect, in the best future of all;
  2. the mean over futures is at least the partial sum plus that best latency for the futures not yet looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from scheduling.compiled import Floats, GraphArrays, Ints

MAX_STAGES = 16  # 2^16 placements are the most this enumeration is meant for
_ROUNDING = 1.0 - 1e-12  # bounds are computed in another order than objectives: allow for the last bits


class Situation(NamedTuple):
    """Everything about one decision that is not the graph. Times are seconds after capture."""

    car_s: Floats  # by position
    edge_s: Floats
    car_j: Floats
    option_bytes: Floats
    up_bps: Floats  # by future
    down_bps: Floats
    rtt_s: Floats
    loss: Floats
    busy_s: Floats  # until when each of car, uplink, edge, downlink serves earlier frames
    deadline_s: float
    fallback_at_s: float
    previous_mask: int  # -1: none


class Weights(NamedTuple):
    """The objective, in seconds. See `scheduling.policies.PolicyConfig`."""

    mean: float
    late: float
    tail: float
    tail_share: float
    per_joule: float
    per_byte: float
    per_switch: float


@numba.njit(cache=True, nogil=True, inline="always")
def walk(
    g: GraphArrays, s: Situation, mask: int, payload: Floats, encode_s: Floats, decode_s: Floats,
    up_bps: float, down_bps: float, rtt_s: float, end_s: Floats, arrival_s: Floats,
) -> tuple[float, float]:  # fmt: skip
    """(when the last sink is on the car, when the car's last critical stage ends); inf = never.

    end_s (by position) and arrival_s (by tensor) are scratch space.
    """
    free_car, free_up, free_edge, free_down = s.busy_s[0], s.busy_s[1], s.busy_s[2], s.busy_s[3]
    last_car = 0.0
    arrival_s[:] = -1.0
    for i in range(g.n_critical):
        at_edge = (mask >> i) & 1
        ready = 0.0
        for k in range(g.input_pointer[i], g.input_pointer[i + 1]):
            t = g.input_tensor[k]
            maker = g.producer[t]
            home = 0 if maker < 0 else (mask >> maker) & 1
            made = 0.0 if maker < 0 else end_s[maker]
            if home == at_edge:
                here = made
            elif arrival_s[t] >= 0.0:
                here = arrival_s[t]
            elif at_edge:
                free_up = max(made + encode_s[t], free_up) + (8.0 * payload[t] / up_bps if up_bps > 0.0 else np.inf)
                here = free_up + 0.5 * rtt_s + decode_s[t]
                arrival_s[t] = here
            else:
                free_down = max(made + encode_s[t], free_down) + (
                    8.0 * payload[t] / down_bps if down_bps > 0.0 else np.inf
                )
                here = free_down + 0.5 * rtt_s + decode_s[t]
                arrival_s[t] = here
            ready = max(ready, here)
        if at_edge:
            free_edge = max(ready, free_edge) + s.edge_s[i]
            end_s[i] = free_edge
        else:
            free_car = max(ready, free_car) + s.car_s[i]
            end_s[i] = free_car
            last_car = free_car
    ready = 0.0
    for t in g.sinks:
        maker = g.producer[t]
        if maker < 0:
            continue
        here = end_s[maker]
        if (mask >> maker) & 1:
            if arrival_s[t] >= 0.0:
                here = arrival_s[t]
            else:
                free_down = max(here + encode_s[t], free_down) + (
                    8.0 * payload[t] / down_bps if down_bps > 0.0 else np.inf
                )
                here = free_down + 0.5 * rtt_s + decode_s[t]
                arrival_s[t] = here
        ready = max(ready, here)
    return ready, last_car


@numba.njit(cache=True, nogil=True, inline="always")
def _crosses(g: GraphArrays, mask: int, t: int) -> bool:
    maker = g.producer[t]
    if maker >= 0 and (mask >> maker) & 1:
        return (g.consumers[t] & ~mask) != 0 or g.is_sink[t]
    return (g.consumers[t] & mask) != 0


@numba.njit(cache=True, nogil=True, inline="always")
def _crosses_critically(g: GraphArrays, mask: int, t: int) -> bool:
    """Whether the answer waits for this crossing."""
    critical = (1 << g.n_critical) - 1
    maker = g.producer[t]
    if maker >= 0 and (mask >> maker) & 1:
        return (g.consumers[t] & ~mask & critical) != 0 or g.is_sink[t]
    return (g.consumers[t] & mask & critical) != 0


@numba.njit(cache=True, nogil=True, inline="always")
def _fixed_price(g: GraphArrays, s: Situation, w: Weights, mask: int) -> float:
    """Price of a placement whatever the link and the codecs do: energy on the car, switching."""
    price = 0.0
    for i in range(s.car_s.size):
        if not (mask >> i) & 1:
            price += w.per_joule * s.car_j[i]
        if s.previous_mask >= 0 and ((mask ^ s.previous_mask) >> i) & 1:
            price += w.per_switch
    return price


@numba.njit(cache=True, nogil=True, inline="always")
def _race(main_s: float, last_car_s: float, local: bool, start_s: float, end_s: float) -> float:
    """When the first answer is there. From start_s on the car works for the fallback alone, so a remote answer that
    still needs the car then is lost."""
    if local:
        return main_s
    if last_car_s <= start_s:
        return min(main_s, end_s)
    return end_s


@numba.njit(cache=True, nogil=True, inline="always")
def _evaluate(
    g: GraphArrays, s: Situation, w: Weights, mask: int, payload: Floats, encode_s: Floats, decode_s: Floats,
    price: float, floor_s: float, limit: float, end_s: Floats, arrival_s: Floats, worst: Floats,
) -> tuple[float, float]:  # fmt: skip
    """(objective, mean latency) over all futures; (inf, inf) as soon as the objective cannot be below limit."""
    futures = s.up_bps.size
    local = (mask & ((1 << g.n_critical) - 1)) == 0
    local_s, local_j = 0.0, 0.0
    for i in range(g.n_critical):
        local_s += s.car_s[i]
        local_j += s.car_j[i]
    start_s = max(s.fallback_at_s, s.busy_s[0])
    fallback_s = start_s + local_s
    crossings = 0
    for t in range(g.producer.size):
        if _crosses_critically(g, mask, t):
            crossings += 1
    late_floor = max(0.0, floor_s - s.deadline_s)
    latency_sum, late_sum, energy_sum = 0.0, 0.0, 0.0
    worst[:] = 0.0
    for m in range(futures):
        main_s, last_car_s = walk(
            g, s, mask, payload, encode_s, decode_s, s.up_bps[m], s.down_bps[m], s.rtt_s[m], end_s, arrival_s
        )
        first_s = _race(main_s, last_car_s, local, start_s, fallback_s)
        latency, late = first_s, max(0.0, first_s - s.deadline_s)
        if not local:
            kept = 1.0
            for _ in range(crossings):
                kept *= 1.0 - s.loss[m]
            latency = kept * first_s + (1.0 - kept) * fallback_s
            late = kept * late + (1.0 - kept) * max(0.0, fallback_s - s.deadline_s)
            idle_share = max(0.0, first_s - start_s) / local_s
            energy_sum += local_j * (kept * idle_share + (1.0 - kept))
        latency_sum += latency
        late_sum += late
        if late > worst[-1]:  # keep the largest, sorted downwards
            j = worst.size - 1
            while j > 0 and worst[j - 1] < late:
                worst[j] = worst[j - 1]
                j -= 1
            worst[j] = late
        if m % 8 == 7:
            rest = futures - m - 1
            bound = price + w.mean * (latency_sum + rest * floor_s) / futures
            bound += w.late * (late_sum + rest * late_floor) / futures
            if bound * _ROUNDING >= limit:
                return np.inf, np.inf
    tail = 0.0
    for late in worst:
        tail += late
    mean_s = latency_sum / futures
    objective = price + w.mean * mean_s + w.late * (late_sum / futures) + w.tail * (tail / worst.size)
    return objective + w.per_joule * (energy_sum / futures), mean_s


@numba.njit(cache=True, nogil=True)
def solve(g: GraphArrays, s: Situation, w: Weights, masks: Ints) -> tuple[int, Ints, float, float, int]:
    """Best of the given placements over all codecs: (mask, option a tensor (-1: does not cross), objective, mean
    latency, complete evaluations)."""
    tensors, stages = g.producer.size, s.car_s.size
    end_s, arrival_s = np.zeros(stages), np.zeros(tensors)
    payload, encode_s, decode_s = np.zeros(tensors), np.zeros(tensors), np.zeros(tensors)
    worst = np.zeros(max(1, int(np.ceil(w.tail_share * s.up_bps.size))))
    # The best future in every respect, and every tensor's best codec in every respect.
    best_up, best_down, best_rtt = s.up_bps.max(), s.down_bps.max(), s.rtt_s.min()
    low_payload, low_encode, low_decode = np.zeros(tensors), np.zeros(tensors), np.zeros(tensors)
    low_price = np.zeros(tensors)
    for t in range(tensors):
        low_payload[t] = low_encode[t] = low_decode[t] = low_price[t] = np.inf
        for o in range(g.option_pointer[t], g.option_pointer[t + 1]):
            low_payload[t] = min(low_payload[t], s.option_bytes[o])
            low_encode[t] = min(low_encode[t], g.option_encode_s[o])
            low_decode[t] = min(low_decode[t], g.option_decode_s[o])
            low_price[t] = min(low_price[t], g.option_quality_s[o] + w.per_byte * s.option_bytes[o])
    local_s = 0.0
    for i in range(g.n_critical):
        local_s += s.car_s[i]
    start_s = max(s.fallback_at_s, s.busy_s[0])
    bounds = np.empty(masks.size)
    for j in range(masks.size):
        mask = masks[j]
        local = (mask & ((1 << g.n_critical) - 1)) == 0
        if local and mask != 0:  # nothing goes on the air for auxiliary stages alone
            bounds[j] = np.inf
            continue
        main_s, last_car_s = walk(
            g, s, mask, low_payload, low_encode, low_decode, best_up, best_down, best_rtt, end_s, arrival_s
        )
        first_s = _race(main_s, last_car_s, local, start_s, start_s + local_s)
        bound = _fixed_price(g, s, w, mask) + w.mean * first_s + (w.late + w.tail) * max(0.0, first_s - s.deadline_s)
        for t in range(tensors):
            if _crosses(g, mask, t):
                bound += low_price[t]
        bounds[j] = bound

    best_mask, best_objective, best_mean, evaluations = masks[0], np.inf, np.inf, 0
    best_option = np.full(tensors, -1, np.int64)
    option = np.full(tensors, -1, np.int64)
    crossing = np.empty(tensors, np.int64)
    for j in np.argsort(bounds, kind="mergesort"):
        if bounds[j] * _ROUNDING >= best_objective:
            break
        mask = masks[j]
        local = (mask & ((1 << g.n_critical) - 1)) == 0
        fixed = _fixed_price(g, s, w, mask)
        n_crossing = 0
        option[:] = -1
        for t in range(tensors):
            if _crosses(g, mask, t):
                crossing[n_crossing] = t
                n_crossing += 1
                option[t] = g.option_pointer[t]
        while True:
            price = fixed
            for c in range(n_crossing):
                t = crossing[c]
                o = option[t]
                payload[t], encode_s[t], decode_s[t] = s.option_bytes[o], g.option_encode_s[o], g.option_decode_s[o]
                price += g.option_quality_s[o] + w.per_byte * s.option_bytes[o]
            main_s, last_car_s = walk(
                g, s, mask, payload, encode_s, decode_s, best_up, best_down, best_rtt, end_s, arrival_s
            )
            floor_s = _race(main_s, last_car_s, local, start_s, start_s + local_s)
            bound = price + w.mean * floor_s + (w.late + w.tail) * max(0.0, floor_s - s.deadline_s)
            if bound * _ROUNDING < best_objective:
                evaluations += 1
                objective, mean_s = _evaluate(
                    g, s, w, mask, payload, encode_s, decode_s, price, floor_s, best_objective, end_s, arrival_s, worst
                )
                if objective < best_objective:
                    best_mask, best_objective, best_mean = mask, objective, mean_s
                    best_option[:] = option
            # Next combination of codecs: count up in mixed radix.
            c = 0
            while c < n_crossing:
                t = crossing[c]
                option[t] += 1
                if option[t] < g.option_pointer[t + 1]:
                    break
                option[t] = g.option_pointer[t]
                c += 1
            if c == n_crossing:
                break
    return best_mask, best_option, best_objective, best_mean, evaluations


def all_masks(stages: int) -> npt.NDArray[np.int64]:
    if stages > MAX_STAGES:
        raise ValueError(f"exact enumeration is meant for up to {MAX_STAGES} stages, received {stages}")
    return np.arange(1 << stages, dtype=np.int64)
