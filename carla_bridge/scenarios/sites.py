"""Where along a route each type of scenario can be: for `benchmark`, which makes routes with scenarios."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import carla
import numpy as np

from bev import Command, FloatArray
from carla_bridge.convert import location_to_carla
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import JunctionSpan, Route
from carla_bridge.surroundings import find_crosswalks, find_stop_signs
from carla_bridge.truth import LaneKey

FIRST_M = 12.0  # of a route: no trigger before
BEFORE_JUNCTION_M = 42.0
FREE_BEFORE_M, FREE_BEHIND_M = 5.0, 32.0  # of straight road around what stands in the way
LIGHT_QUEUE_M = 25.0
FAST_MPS = 13.0  # roads with ramps are faster


@dataclass(frozen=True, eq=False)
class Town:
    """graph and what its map says beside the lanes."""

    graph: LaneGraph
    stops: frozenset[LaneKey]
    crosswalks: tuple[FloatArray, ...]

    @classmethod
    def of(cls, world_map: carla.Map) -> Town:
        graph = LaneGraph(world_map)
        return cls(graph, frozenset(find_stop_signs(world_map, graph)), find_crosswalks(world_map))


@dataclass(frozen=True)
class Site:
    """trigger_m: arc length along the route. where: equal for sites at the same place."""

    trigger_m: float
    where: tuple[object, ...]


Finder = Callable[[Town, Route], Iterator[Site]]


def stretch(length_m: float, *, left: str = "any", edge: bool = True, queue: bool = True) -> Finder:
    """Straight road from the trigger on. left: what must lie there: "against", "same" or "any". edge: whether ours must
    be the rightmost lane. queue: whether nobody may queue there for lights."""

    def find(town: Town, route: Route) -> Iterator[Site]:
        for trigger in np.arange(FIRST_M, route.length_m - length_m - FREE_BEHIND_M, 6.0).tolist():
            low, high = trigger - FREE_BEFORE_M, trigger + length_m + FREE_BEHIND_M
            if any(
                span.entry_m < high + (LIGHT_QUEUE_M if queue and span.signalised else 0.0) and span.exit_m > low
                for span in route.junctions
            ):
                continue
            yaws = np.interp(np.linspace(trigger, high, 12), route.arc_m, route.yaws)
            if np.ptp(yaws) > math.radians(14.0):
                continue
            if all(_fits(town, route, arc, left, edge) for arc in (trigger + 10.0, trigger + length_m)):
                pose = route.pose_at(trigger)
                yield Site(trigger, (town.graph.town, round(pose.x / 25.0), round(pose.y / 25.0), round(pose.yaw)))

    return find


def _fits(town: Town, route: Route, arc_m: float, left: str, edge: bool) -> bool:
    pose = route.pose_at(arc_m)
    waypoint = town.graph.map.get_waypoint(location_to_carla(pose.x, pose.y), lane_type=carla.LaneType.Driving)
    if waypoint is None:
        return False
    right, beside = waypoint.get_right_lane(), waypoint.get_left_lane()
    if edge and right is not None and right.lane_type == carla.LaneType.Driving:
        return False
    if left == "any":
        return True
    if beside is None or beside.lane_type != carla.LaneType.Driving:
        return False
    return (beside.lane_id * waypoint.lane_id > 0) == (left == "same")


def junction(
    *commands: Command,
    signalised: bool | None = None,
    stop: bool | None = None,
    wanted: Callable[[Town, Route, JunctionSpan], bool] | None = None,
) -> Finder:
    """Before a junction that the route passes in one of these ways. stop: whether we have a stop sign there."""

    def find(town: Town, route: Route) -> Iterator[Site]:
        before = 0.0
        for span in route.junctions:
            trigger, last_exit, before = span.entry_m - BEFORE_JUNCTION_M, before, span.exit_m
            if trigger < max(FIRST_M, last_exit - 15.0) or span.exit_m + 40.0 > route.length_m:
                continue
            if (commands and span.command not in commands) or signalised not in (None, span.signalised):
                continue
            if stop not in (None, span.approach in town.stops) or not (wanted is None or wanted(town, route, span)):
                continue
            yield Site(trigger, (town.graph.town, span.junction_id, span.approach, span.command))

    return find


def leaves_fast_road(town: Town, route: Route, span: JunctionSpan) -> bool:
    """Out of a road that also goes on, into a slower one."""
    lanes = town.graph.lanes
    behind = route.lanes[route.lanes.index(span.approach) + 2]
    if lanes[span.approach].speed_limit_mps < FAST_MPS or len(town.graph.successors(span.approach)) < 2:
        return False
    return abs(behind[2]) > 2 or lanes[behind].speed_limit_mps < lanes[span.approach].speed_limit_mps


def no_side_street(town: Town, route: Route, span: JunctionSpan) -> bool:
    """A junction of many ways, not a fork."""
    inside = [key for key, lane in town.graph.lanes.items() if lane.junction_id == span.junction_id]
    return len(inside) > 3


def crosswalk(town: Town, route: Route) -> Iterator[Site]:
    """35 m before a crosswalk over our road; not at junctions with lights, which part us from those on foot anyway."""
    for polygon in town.crosswalks:
        x, y = polygon.mean(axis=0)
        arc, side = route.project(float(x), float(y))
        trigger = arc - 35.0
        if any(span.signalised and span.entry_m - 15.0 < arc < span.exit_m + 15.0 for span in route.junctions):
            continue
        if abs(side) < 5.0 and trigger > FIRST_M and arc + 40.0 < route.length_m:
            yield Site(trigger, (town.graph.town, round(float(x)), round(float(y)), round(route.pose_at(arc).yaw)))


_L, _R, _S = Command.LEFT, Command.RIGHT, Command.STRAIGHT
FINDERS: Mapping[str, Finder] = {
    "ParkedObstacleTwoWays": stretch(45.0, left="against"),
    "AccidentTwoWays": stretch(60.0, left="against"),
    "ConstructionObstacleTwoWays": stretch(58.0, left="against"),
    "VehicleOpensDoorTwoWays": stretch(42.0, left="against"),
    "HardBreakRoute": stretch(75.0, edge=False, queue=False),
    "ParkingCutIn": stretch(50.0),
    "HighwayCutIn": stretch(80.0, left="same", edge=False),
    "DynamicObjectCrossing": stretch(42.0, queue=False),
    "ParkingCrossingPedestrian": stretch(46.0, queue=False),
    "PedestrianCrossing": crosswalk,
    "CrossingBicycleFlow": stretch(44.0, queue=False),
    "ControlLoss": stretch(42.0, edge=False, queue=False),
    "SignalizedJunctionLeftTurn": junction(_L, signalised=True),
    "SignalizedJunctionRightTurn": junction(_R, signalised=True),
    "NonSignalizedJunctionLeftTurn": junction(_L, signalised=False, stop=False, wanted=no_side_street),
    "NonSignalizedJunctionRightTurn": junction(_R, signalised=False, stop=False, wanted=no_side_street),
    "VanillaNonSignalizedTurnEncounterStopsign": junction(_L, _R, _S, stop=True),
    "MergerIntoSlowTraffic": junction(_S, signalised=False),
    "HighwayExit": junction(signalised=False, wanted=leaves_fast_road),
    "OppositeVehicleRunningRedLight": junction(_S, signalised=True),
    "OppositeVehicleTakingPriority": junction(_S, _L, signalised=False, stop=False, wanted=no_side_street),
    "YieldToEmergencyVehicle": junction(_S, _L, wanted=no_side_street),
    "BlockedIntersection": junction(_S, _R, _L, wanted=no_side_street),
    "VehicleTurningRoute": junction(_R, _L, wanted=no_side_street),
    "VehicleTurningRoutePedestrian": junction(_R, _L, wanted=no_side_street),
}
