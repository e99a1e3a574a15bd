"""Where others may be in the next seconds: along the lanes they are on, or on as they turn now.

A vehicle in a lane is taken to follow it, and every lane that it may take next; it stops where it has to give way and
still can. One outside lanes, and everybody in the first second, keeps speed and yaw rate. Who walks walks straight on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bev import FloatArray
from carla_bridge.surroundings import LaneMatch, Surroundings
from carla_bridge.truth import Body, LaneKey

TIMES_S = 0.4 * np.arange(21)
STANDING_MPS = 0.3
MOST_CHAINS = 5
TURN_IN_LANE_RAD = math.radians(35.0)
OFF_LANE_M = 1.6
ALIKE_M, ALIKE_RAD = 0.6, math.radians(15.0)  # lanes that fit almost as well as the best one
TURNING_S = 1.2  # for how long the yaw rate of a car in a lane is believed
GIVES_WAY_MPS2 = 3.0  # who has to brake harder than this to give way does not
PULL_AWAY_MPS2, PULL_AWAY_TO_MPS = 1.5, 6.0

MustStop = Callable[[LaneKey], bool]


@dataclass(frozen=True, eq=False)
class Forecast:
    """One way in which a body may move. poses: (T, 3) x, y, yaw at TIMES_S; NaN: nothing is said about then."""

    body: Body
    poses: FloatArray
    swings: bool = False  # in a junction, where nobody keeps to the middle of his lane


class Forecaster:
    def __init__(self, surroundings: Surroundings | None) -> None:
        self._town = surroundings

    def forecasts(self, body: Body, must_stop: MustStop) -> list[Forecast]:
        """must_stop: does a vehicle that comes along this lane have to stop at its end, for us or for a light?"""
        if abs(body.speed_mps) < STANDING_MPS:
            return [Forecast(body, _standing(body))]
        if not body.type_id.startswith("vehicle.") or self._town is None or body.speed_mps < 0.0:
            return [Forecast(body, turning(body, TIMES_S))]
        matches = self._town.lanes_at(body.pose, OFF_LANE_M, TURN_IN_LANE_RAD)
        if not matches:
            return [Forecast(body, turning(body, TIMES_S))]
        best = matches[0]
        alike = [
            match
            for match in matches
            if abs(match.side_m - best.side_m) < ALIKE_M and abs(match.turn_rad - best.turn_rad) < ALIKE_RAD
        ]
        soon = turning(body, TIMES_S)
        soon[TIMES_S > TURNING_S] = np.nan
        swings = self._town.graph.lanes[best.key].junction_id >= 0
        found = [Forecast(body, soon, swings)]
        seen: set[tuple[LaneKey, ...]] = set()
        for match in alike:
            for chain in self._chains(match, body.speed_mps * TIMES_S[-1] + 15.0):
                if chain not in seen and len(found) <= 2 * MOST_CHAINS:
                    seen.add(chain)
                    found += [Forecast(body, poses, swings) for poses in self._along(body, match, chain, must_stop)]
        return found

    def _chains(self, match: LaneMatch, reach_m: float) -> list[tuple[LaneKey, ...]]:
        assert self._town is not None
        graph = self._town.graph
        done: list[tuple[LaneKey, ...]] = []
        first = graph.lanes[match.key].length_m - match.arc_m
        todo: list[tuple[tuple[LaneKey, ...], float]] = [((match.key,), first)]
        while todo and len(done) + len(todo) <= MOST_CHAINS:
            chain, length = todo.pop(0)
            after = graph.successors(chain[-1]) if length < reach_m else []
            if not after or len(chain) > 8:
                done.append(chain)
            todo += [((*chain, key), length + graph.lanes[key].length_m) for key in after]
        return done + [chain for chain, _ in todo]

    def _along(self, body: Body, match: LaneMatch, chain: tuple[LaneKey, ...], must_stop: MustStop) -> list[FloatArray]:
        assert self._town is not None
        lanes = [self._town.graph.lanes[key] for key in chain]
        points = np.concatenate([lane.points if i == 0 else lane.points[1:] for i, lane in enumerate(lanes)])
        yaws = np.unwrap(np.concatenate([lane.yaws if i == 0 else lane.yaws[1:] for i, lane in enumerate(lanes)]))
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        hold, end = math.inf, -match.arc_m
        for lane in lanes:
            end += lane.length_m
            room = end - body.half_length_m
            needed = body.speed_mps**2 / (2.0 * max(room, 0.1))
            if room > -1.0 and lane.junction_id < 0 and must_stop(lane.key) and needed < GIVES_WAY_MPS2:
                hold = max(room, 0.0)
                break
        speeds = [(body.speed_mps, 0.0)]
        if body.speed_mps < PULL_AWAY_TO_MPS - 1.0 and math.isinf(hold):
            speeds.append((body.speed_mps, PULL_AWAY_MPS2))
        out = []
        for speed, gain in speeds:
            travelled = np.minimum(_travelled(speed, gain), hold)
            at = np.minimum(match.arc_m + travelled, arc[-1])
            beyond = match.arc_m + travelled - at
            yaw = np.interp(at, arc, yaws)
            side = match.side_m * np.exp(-travelled / 20.0)
            x = np.interp(at, arc, points[:, 0]) + beyond * np.cos(yaw) - side * np.sin(yaw)
            y = np.interp(at, arc, points[:, 1]) + beyond * np.sin(yaw) + side * np.cos(yaw)
            out.append(np.stack([x, y, yaw], axis=1))
        return out


def _travelled(speed_mps: float, gain_mps2: float) -> FloatArray:
    """(T,) metres: speed rises evenly up to PULL_AWAY_TO_MPS."""
    if gain_mps2 == 0.0:
        return speed_mps * TIMES_S
    until = (PULL_AWAY_TO_MPS - speed_mps) / gain_mps2
    rising = np.minimum(TIMES_S, until)
    return speed_mps * rising + 0.5 * gain_mps2 * rising**2 + PULL_AWAY_TO_MPS * (TIMES_S - rising)


def _standing(body: Body) -> FloatArray:
    return np.tile([body.pose.x, body.pose.y, body.pose.yaw], (len(TIMES_S), 1))


def turning(body: Body, times_s: FloatArray) -> FloatArray:
    """(T, 3) poses of a body that keeps its speed and its yaw rate (exact along the arc)."""
    rate = body.yaw_rate_rps if body.type_id.startswith("vehicle.") else 0.0
    turn = rate * times_s
    half = np.where(np.abs(turn) > 1e-6, turn / 2.0, 1e-6)
    chord = body.speed_mps * times_s * np.sin(half) / half
    heading = body.pose.yaw + turn / 2.0
    return np.stack(
        [body.pose.x + chord * np.cos(heading), body.pose.y + chord * np.sin(heading), body.pose.yaw + turn], axis=1
    )
