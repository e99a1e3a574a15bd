"""Who else may come through a junction of a route: the lanes that cross or join the route there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from carla_bridge.convert import wrap_angle
from carla_bridge.lanes import LaneGraph, turn_of
from carla_bridge.routes import TURN_RAD, JunctionSpan, Route
from carla_bridge.scenarios.line import Line, along_lanes, extended
from carla_bridge.truth import LaneKey

MEET_M = 1.2
BEFORE_M, AFTER_M = 60.0, 60.0


class Side(str, Enum):
    """Where a stream comes from, as seen from the route."""

    AHEAD = "ahead"
    LEFT = "left"
    RIGHT = "right"
    BEHIND = "behind"  # beside us, or at an acute angle, as on a ramp


@dataclass(frozen=True, eq=False)
class Stream:
    """line: before, through and behind the junction. Arc lengths: of its stop line and of where it meets the route, on
    the line; of that place on the route. turn_rad: how far it turns in the junction, left positive."""

    line: Line
    approach: LaneKey
    side: Side
    turn_rad: float
    stop_m: float
    meet_m: float
    route_meet_m: float

    @property
    def goes_straight(self) -> bool:
        return abs(self.turn_rad) < TURN_RAD


def streams(graph: LaneGraph, route: Route, span: JunctionSpan) -> list[Stream]:
    """Streams from other lanes whose line meets that of the route in its junction or just behind it, in a fixed
    order."""
    found = []
    inside = {key for key, lane in graph.lanes.items() if lane.junction_id == span.junction_id}
    for first in sorted(inside):
        for approach in sorted(set(graph.graph.predecessors(first)) - inside):
            if (approach[0], approach[2]) == (span.approach[0], span.approach[2]):
                continue  # our own lane
            stream = _stream(graph, route, span, approach, _through(graph, first, inside))
            if stream is not None:
                found.append(stream)
    return found


def _through(graph: LaneGraph, first: LaneKey, inside: set[LaneKey]) -> list[LaneKey]:
    chain = [first]
    while True:
        onward = [key for key in graph.successors(chain[-1]) if key in inside and key not in chain]
        if not onward:
            return chain
        chain.append(onward[0])


def _stream(
    graph: LaneGraph, route: Route, span: JunctionSpan, approach: LaneKey, lanes: list[LaneKey]
) -> Stream | None:
    chain = extended(graph, [approach, *lanes], max(0.0, BEFORE_M - graph.lanes[approach].length_m), AFTER_M)
    line = along_lanes(graph, chain)
    stop_m = line.project(*graph.lanes[approach].points[-1])[0]
    inside_m = sum(graph.lanes[key].length_m for key in lanes)
    mine = route.arc_m[(route.arc_m >= span.entry_m) & (route.arc_m <= span.exit_m + 4.0)]
    theirs = np.arange(stop_m, stop_m + inside_m + 4.0, 0.5)
    places = np.array([(pose.x, pose.y) for pose in map(line.pose_at, theirs)])
    gaps = np.hypot(*(route.points_at(mine)[:, None] - places[None]).transpose(2, 0, 1))
    meeting = np.argwhere(gaps < MEET_M)
    if not len(meeting):
        return None
    i, j = (int(k) for k in meeting[0])
    j = int(np.argmin(gaps[i]))
    against = wrap_angle(float(graph.lanes[approach].yaws[-1]) - route.pose_at(span.entry_m).yaw)
    side = (
        Side.BEHIND
        if abs(against) < math.radians(45.0)
        else Side.AHEAD
        if abs(against) > math.radians(135.0)
        else Side.RIGHT
        if against > 0
        else Side.LEFT
    )
    turn = turn_of([graph.lanes[lanes[0]].yaws[0], graph.lanes[lanes[-1]].yaws[-1]])
    return Stream(line, approach, side, turn, stop_m, float(theirs[j]), float(mine[i]))
