"""What becomes of the decisions: cells and edge servers serve whole jobs in order of arrival, in virtual time, and the
first answer wins. One event loop over all cars and frames; deterministic.

The car's accelerator is simulated, too: the run that a car holds ready for an unanswered frame has priority from its
start F on, and newer frames' work waits or is interrupted. A resource of capacity c serves a job in its own time but
is taken for 1/c of it: c = 2 stands for two carriers or two accelerators, c = inf for nobody ever waiting. A job whose
car already has its own answer is dropped before or during service.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from scheduling.fleet.decision import CAR, CLOUD, EDGE, Risk, prepare
from scheduling.fleet.menu import MenuArrays
from scheduling.fleet.prices import server_of
from scheduling.fleet.world import Drive, Radio

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOCAL, BY_EDGE, BY_CLOUD, BY_FALLBACK = 0, 1, 2, 3
_UPLINK, _SERVER, _DOWNLINK, _ANSWER = 0, 1, 2, 3


class Outcome(NamedTuple):
    """latency_s, source: (F, N), source one of LOCAL, BY_EDGE, BY_CLOUD, BY_FALLBACK. late: (F, N) past the deadline.
    taken_s: (F + 1 or 2, R) seconds for which each resource was taken, by when the service began; the last row is what
    began after the last period."""

    latency_s: Floats
    source: Ints
    late: npt.NDArray[np.bool_]
    taken_s: Floats


class Servers(NamedTuple):
    """The state of all resources (R,). bin_s: width of a row of taken_s."""

    free_s: Floats  # from when on
    capacity: Floats
    taken_s: Floats
    bin_s: float


def execute(
    menu: MenuArrays, radio: Radio, risk: Risk, capacity: Floats, period_s: float, drive: Drive, choice: Ints,
    watch: bool = False,
) -> Outcome:  # fmt: skip
    """capacity: (R,) as on the board. watch: keep the time taken by period and resource; without, only its sum."""
    frames, cars = drive.shape
    in_flight = int(np.ceil((risk.longest_s + risk.margin_s) / period_s)) + 2
    outcome = Outcome(
        np.full((frames, cars), np.inf), np.zeros((frames, cars), np.int64), np.zeros((frames, cars), np.bool_),
        np.zeros((frames + 1 if watch else 2, len(capacity))),
    )  # fmt: skip
    order = np.argsort(drive.phase_s, kind="stable")
    servers = Servers(np.zeros(len(capacity)), capacity, outcome.taken_s, period_s if watch else frames * period_s)
    _execute(menu, radio, risk, servers, period_s, drive, choice, order, in_flight, outcome)
    return outcome


@numba.njit(cache=True)
def _serve(r: Servers, k: int, arrival_s: float, service_s: float, cancel_s: float) -> float:
    """When the job leaves resource k, first come first served; inf when it was dropped."""
    start_s = max(arrival_s, r.free_s[k])
    if start_s >= cancel_s:
        return np.inf
    served_s = min(service_s, cancel_s - start_s)
    r.free_s[k] = start_s + served_s / r.capacity[k]
    r.taken_s[min(int(start_s / r.bin_s), r.taken_s.shape[0] - 1), k] += served_s / r.capacity[k]
    return start_s + served_s if served_s == service_s else np.inf


@numba.njit(cache=True)
def _around_windows(start_s: float, work_s: float, starts_s: Floats, ends_s: Floats, first: int) -> float:
    """When work that gives way to a ring of windows, the oldest at `first`, ends."""
    now_s = start_s
    for k in range(starts_s.size):
        w = (first + k) % starts_s.size
        if ends_s[w] <= now_s:
            continue
        if now_s + work_s <= starts_s[w]:
            break
        work_s -= max(0.0, starts_s[w] - now_s)
        now_s = ends_s[w]
    return now_s + work_s


class Runs(NamedTuple):
    """What the cars' accelerators do. The ring of runs held ready for frames in flight: (N, W), -inf where there is
    none or the answer is there; they follow one another."""

    free_s: Floats  # (N,) from when on, as to work that is not held ready
    ready_from: Floats
    ready_until: Floats
    last_s: Floats  # (N,) end of the last one
    cancel_s: Floats  # (F, N) when the car has its own answer


@numba.njit(cache=True)
def _capture(
    menu: MenuArrays, risk: Risk, runs: Runs, drive: Drive, choice: Ints, t: int, i: int, now_s: float, out: Outcome
) -> float:
    """Starts a frame. When its message is ready to be sent; inf when nothing is sent."""
    car, j = prepare(menu, risk, drive.speed_mps[t, i], drive.slowdown[t, i]), choice[t, i]
    rings = runs.ready_from.shape[1]
    end_s, work_s = max(now_s, runs.free_s[i]), menu.car_s[j] * car.slowdown
    if work_s > 0.0:
        end_s = _around_windows(end_s, work_s, runs.ready_from[i], runs.ready_until[i], (t + 1) % rings)
    slot = t % rings
    runs.ready_from[i, slot] = runs.ready_until[i, slot] = -np.inf
    if menu.tier[j] == CAR:
        runs.free_s[i] = end_s
        out.latency_s[t, i] = end_s - now_s
        out.late[t, i] = out.latency_s[t, i] > car.deadline_s
        return np.inf
    start_s = max(now_s + car.fallback_at_s, runs.last_s[i])
    runs.last_s[i] = runs.cancel_s[t, i] = start_s + car.local_s
    runs.ready_from[i, slot], runs.ready_until[i, slot] = start_s, start_s + car.local_s
    runs.free_s[i] = min(end_s, start_s)
    out.source[t, i] = BY_FALLBACK
    out.latency_s[t, i] = runs.cancel_s[t, i] - now_s
    out.late[t, i] = out.latency_s[t, i] > car.deadline_s
    return max(end_s + menu.codec_s[j], now_s + drive.gap_s[t, i]) if end_s <= start_s else np.inf


@numba.njit(cache=True)
def _advance(
    menu: MenuArrays, radio: Radio, resources: Servers, drive: Drive, j: int, what: int, t: int, i: int, now_s: float,
    cancel_s: float,
) -> float:  # fmt: skip
    """Serves a job at its next resource. When it arrives at the one after; inf when it does not."""
    cells, cell = radio.columns * radio.rows, drive.cell[t, i]
    half_s = 0.5 * drive.rtt_s[t, i]
    beyond_s = 0.5 * radio.wan_rtt_s if menu.tier[j] == CLOUD else 0.0
    if what == _UPLINK:
        if drive.up_bps[t, i] <= 0.0:
            return np.inf
        left_s = _serve(resources, cell, now_s, menu.up_bits[j] / drive.up_bps[t, i], cancel_s)
        if drive.lost[t, i]:
            return np.inf
        return left_s + half_s + beyond_s + (menu.up_bits[j] / radio.wan_bps if menu.tier[j] == CLOUD else 0.0)
    if what == _SERVER:
        if menu.tier[j] == CLOUD:
            return now_s + menu.remote_s[j] + beyond_s + menu.down_bits[j] / radio.wan_bps
        k = 2 * cells + server_of(cell, radio.columns, radio.block)
        return _serve(resources, k, now_s, menu.remote_s[j], cancel_s)
    if drive.down_bps[t, i] <= 0.0:
        return np.inf
    return _serve(resources, cells + cell, now_s, menu.down_bits[j] / drive.down_bps[t, i], cancel_s) + half_s


@numba.njit(cache=True)
def _execute(
    menu: MenuArrays, radio: Radio, risk: Risk, resources: Servers, period_s: float, drive: Drive, choice: Ints,
    by_phase: Ints, in_flight: int, out: Outcome,
) -> None:  # fmt: skip
    frames, cars = choice.shape
    runs = Runs(
        np.zeros(cars), np.full((cars, in_flight), -np.inf), np.full((cars, in_flight), -np.inf),
        np.full(cars, -np.inf), np.zeros((frames, cars)),
    )  # fmt: skip
    events = [(np.inf, 0, 0, 0)]  # (time, what, frame, car); the first one is never reached
    captured, t, i = 0, 0, 0
    while captured < frames * cars or len(events) > 1:
        capture_s = np.inf
        if captured < frames * cars:
            t, i = captured // cars, by_phase[captured % cars]
            capture_s = t * period_s + drive.phase_s[i]
        if capture_s <= events[0][0]:
            captured += 1
            next_s = _capture(menu, risk, runs, drive, choice, t, i, capture_s, out)
            if next_s < np.inf:
                heapq.heappush(events, (next_s, _UPLINK, t, i))
            continue
        now_s, what, t, i = heapq.heappop(events)
        j, cancel_s = choice[t, i], runs.cancel_s[t, i]
        if what < _ANSWER:
            next_s = _advance(menu, radio, resources, drive, j, what, t, i, now_s, cancel_s)
            if next_s < np.inf:
                heapq.heappush(events, (next_s, what + 1, t, i))
        elif now_s <= cancel_s:
            car = prepare(menu, risk, drive.speed_mps[t, i], drive.slowdown[t, i])
            out.latency_s[t, i] = now_s - (t * period_s + drive.phase_s[i])
            out.source[t, i] = BY_EDGE if menu.tier[j] == EDGE else BY_CLOUD
            out.late[t, i] = out.latency_s[t, i] > car.deadline_s
            slot = t % in_flight
            if runs.ready_until[i, slot] == cancel_s:  # the run held ready is no longer needed
                runs.ready_until[i, slot] = now_s if runs.ready_from[i, slot] < now_s else -np.inf
