"""Scenarios between junctions: what stands in the lane, brakes, pulls out or crosses there.

Each author writes the script of one type; arc lengths are along the route, T is that of the trigger. Types and their
meaning: CARLA Leaderboard 2.0, "Traffic scenarios" (leaderboard.carla.org/scenarios).
"""

from __future__ import annotations

import math

import numpy as np

from carla_bridge.routes import Route, lines_on_route
from carla_bridge.scenarios.behaviours import After, Brake, EgoAt, EgoIn, Go, Gone, Stand
from carla_bridge.scenarios.line import Line, across_route, along_lanes, along_route, beside_route, extended, ramp
from carla_bridge.scenarios.script import CARS, Author, Flow, Prop, Role, Script, Stage
from carla_bridge.truth import LaneKey

AHEAD_M = 45.0  # from the trigger to what stands in the way
VAN, POLICE, BICYCLE = "vehicle.mercedes.sprinter", "vehicle.dodge.charger_police_2020", "vehicle.diamondback.century"
HAZARD = ("RightBlinker", "LeftBlinker")
BLUE = ("Special1", "Special2")
# Close together, and early: who sees a few seconds ahead must see that the other lane is taken, or meets them in it.
ONCOMING_MPS, ONCOMING_GAPS_M, ONCOMING_FROM_M = 7.0, (12.0, 16.0), 55.0


def half_lane(stage: Stage, arc_m: float) -> float:
    route = stage.route
    return float(np.interp(arc_m, route.arc_m, route.lane_widths_m)) / 2.0


def kerb(stage: Stage, arc_m: float) -> float:
    """Offset of a car parked half on the kerb, its flank at the edge of the lane."""
    return -(half_lane(stage, arc_m) + 1.15)


def walker(stage: Stage, number: int = 0) -> str:
    return f"walker.pedestrian.{1 + (stage.seed + 11 * number) % 40:04d}"


def car(stage: Stage, number: int = 0) -> str:
    return CARS[(stage.seed + number) % len(CARS)]


def stops_on(route: Route, stage: Stage, start_m: float) -> tuple[tuple[float, int], ...]:
    """The lights on a line that begins at an arc length of the route and follows it."""
    lines = lines_on_route(route, stage.stop_lines)
    return tuple((arc - start_m, line.light_id) for arc, line in lines if arc > start_m)


def on_route(stage: Stage, start_m: float, end_m: float) -> tuple[Line, tuple[tuple[float, int], ...]]:
    """The route itself as a line for others."""
    return along_route(stage.route, start_m, end_m), stops_on(stage.route, stage, start_m)


def parked_obstacle(stage: Stage) -> Script:
    at = stage.trigger_m + stage.spec.number("distance", AHEAD_M)
    return Script(
        stage.spec,
        stage.trigger_m,
        at + 15.0,
        props=(Prop(car(stage), beside_route(stage.route, at, -0.7), HAZARD),),
        flows=oncoming(stage, at),
    )


def accident(stage: Stage) -> Script:
    at = stage.trigger_m + stage.spec.number("distance", AHEAD_M)
    parts = (
        Prop("static.prop.warningaccident", beside_route(stage.route, at - 8.0, -half_lane(stage, at) - 0.2)),
        Prop(POLICE, beside_route(stage.route, at, -0.7), BLUE),
        # more to the left than the police: what nobody can see nobody can go around
        Prop(car(stage), beside_route(stage.route, at + 8.0, -0.3, math.radians(8.0)), HAZARD),
    )
    return Script(stage.spec, stage.trigger_m, at + 20.0, props=parts, flows=oncoming(stage, at + 8.0))


def construction(stage: Stage) -> Script:
    at = stage.trigger_m + stage.spec.number("distance", AHEAD_M)
    place, route = beside_route, stage.route
    parts = [
        Prop("static.prop.warningconstruction", place(route, at - 10.0, -half_lane(stage, at) - 0.2)),
        *(Prop("static.prop.streetbarrier", place(route, at, side, math.pi / 2.0)) for side in (-0.1, -1.3)),
        *(Prop("static.prop.trafficcone01", place(route, at + ahead, 0.4)) for ahead in (2.5, 5.0, 7.5, 10.0)),
        Prop("static.prop.streetbarrier", place(route, at + 12.0, -0.6, math.pi / 2.0)),
    ]
    return Script(stage.spec, stage.trigger_m, at + 24.0, props=tuple(parts), flows=oncoming(stage, at + 12.0))


def oncoming(stage: Stage, at_m: float) -> tuple[Flow, ...]:
    """A few cars on the other side of the road, for the types with TwoWays in their names."""
    if not stage.spec.kind.endswith("TwoWays"):
        return ()
    lane = lane_against(stage, at_m)
    if lane is None:
        raise ValueError(f"scenario {stage.spec.name}: no lane of the other direction at arc length {at_m:.0f} m")
    line = along_lanes(stage.graph, extended(stage.graph, [lane], 60.0, 60.0))
    here, _ = line.project(*stage.route.points_at(np.array([at_m]))[0])
    speed = stage.spec.number("flow_speed", ONCOMING_MPS)
    first_m, start = stage.trigger_m - ONCOMING_FROM_M, max(0.0, here - 70.0)
    return (Flow(line, speed, ONCOMING_GAPS_M, 3, first_m, at_m - 10.0, start, stops_of(stage, line)),)


def stops_of(stage: Stage, line: Line) -> tuple[tuple[float, int], ...]:
    """The lights whose stop line lies on a line."""
    found = []
    for stop in stage.stop_lines:
        arc, side = line.project(stop.pose.x, stop.pose.y)
        if abs(side) < 1.0 and math.cos(line.pose_at(arc).yaw - stop.pose.yaw) > 0.8:
            found.append((arc, stop.light_id))
    return tuple(found)


def lane_against(stage: Stage, at_m: float) -> LaneKey | None:
    """The lane of the other direction beside the route."""
    pose = stage.route.pose_at(at_m)
    best: tuple[float, LaneKey] | None = None
    for key in sorted(stage.graph.lanes):
        lane = stage.graph.lanes[key]
        if lane.junction_id >= 0:
            continue
        gaps = np.hypot(lane.points[:, 0] - pose.x, lane.points[:, 1] - pose.y)
        i = int(np.argmin(gaps))
        if gaps[i] < 8.0 and math.cos(float(lane.yaws[i]) - pose.yaw) < -0.8 and (best is None or gaps[i] < best[0]):
            best = (float(gaps[i]), key)
    return None if best is None else best[1]


def opening_door(stage: Stage) -> Script:
    """A parked car opens its door and pulls out by the width of the door: not every server has doors one can hit."""
    at = stage.trigger_m + stage.spec.number("distance", 35.0)
    side = kerb(stage, at) + 0.3
    line = along_route(stage.route, at, at + 60.0, ramp(at + 0.5, 5.0, side, side + 1.1))
    play = (Stand(EgoIn(at, 2.6, 12.0)), Go(2.5, Gone(4.0)), Brake(5.0, 15.0), Go(6.0))
    door = Role(car(stage), line, play, opens_door=True, lamps=("LeftBlinker",))
    return Script(stage.spec, stage.trigger_m, at + 20.0, (door,), flows=oncoming(stage, at))


def hard_brake(stage: Stage) -> Script:
    start = stage.trigger_m + 28.0
    line, stops = on_route(stage, start, start + 190.0)
    play = (Stand(EgoAt(stage.trigger_m)), Go(8.0, Gone(35.0)), Brake(7.5, 3.0), Go(9.0))
    lead = Role(car(stage), line, play, stops=stops)
    return Script(stage.spec, stage.trigger_m, start + 100.0, (lead,))


def parking_cut_in(stage: Stage) -> Script:
    at = stage.trigger_m + stage.spec.number("distance", 35.0)
    line = along_route(stage.route, at, at + 170.0, ramp(at + 1.0, 10.0, kerb(stage, at), 0.0))
    play = (Stand(EgoIn(at, 2.4, 14.0)), Go(4.5, Gone(14.0)), Go(7.5))
    stops = stops_on(stage.route, stage, at)
    puller = Role(car(stage), line, play, stops=stops, lamps=("LeftBlinker",))
    behind = Prop(car(stage, 2), beside_route(stage.route, at - 8.0, kerb(stage, at)))
    return Script(stage.spec, stage.trigger_m, at + 60.0, (puller,), (behind,))


def highway_cut_in(stage: Stage) -> Script:
    """From the lane to the left, which must go the same way."""
    at = stage.trigger_m + 30.0
    width = 2.0 * half_lane(stage, at)
    line = along_route(stage.route, at, at + 200.0, ramp(at + 32.0, 22.0, width, 0.0))
    play = (Stand(EgoAt(stage.trigger_m)), Go(9.5, Gone(55.0), 4.0), Go(6.5, After(4.0)), Go(9.0))
    cutter = Role(car(stage), line, play, heeds=False, lamps=("RightBlinker",))
    return Script(stage.spec, stage.trigger_m, at + 110.0, (cutter,))


def crossing_behind_van(stage: Stage) -> Script:
    """DynamicObjectCrossing: somebody steps out from behind a van at the kerb."""
    at = stage.trigger_m + stage.spec.number("distance", 40.0)
    edge = half_lane(stage, at)
    walk = Role(walker(stage), across_route(stage.route, at, -edge - 2.4, edge * 3.0 + 2.0), _dash(at, 2.0))
    van = Prop(VAN, beside_route(stage.route, at - 4.6, kerb(stage, at)))
    return Script(stage.spec, stage.trigger_m, at + 8.0, (walk,), (van,))


def crossing_between_cars(stage: Stage) -> Script:
    """ParkingCrossingPedestrian: from between parked cars."""
    at = stage.trigger_m + stage.spec.number("distance", 40.0)
    edge = half_lane(stage, at)
    walk = Role(walker(stage), across_route(stage.route, at, -edge - 2.2, edge * 3.0 + 2.0), _dash(at, 1.7))
    parked = tuple(
        Prop(car(stage, i), beside_route(stage.route, at + ahead, kerb(stage, at)))
        for i, ahead in enumerate((-10.4, -4.2, 4.4))
    )
    return Script(stage.spec, stage.trigger_m, at + 8.0, (walk,), parked)


def _dash(at_m: float, speed_mps: float) -> tuple[Stand | Go, ...]:
    """Sets out when the ego can still brake, hard."""
    return (Stand(EgoIn(at_m, 2.6, 13.0)), Go(speed_mps))


def pedestrians_on_crosswalk(stage: Stage) -> Script:
    at = stage.trigger_m + stage.spec.number("distance", 35.0)
    edge = half_lane(stage, at)
    roles = tuple(
        Role(
            walker(stage, i),
            across_route(stage.route, at + 0.8 * i - 0.8, start, goal),
            (Stand(EgoIn(at, wait, 14.0)), Go(speed)),
        )
        for i, (start, goal, wait, speed) in enumerate(
            [(-edge - 1.6, 3.0 * edge + 1.6, 4.6, 1.4), (3.0 * edge + 1.2, -edge - 1.6, 5.2, 1.5)]
        )
    )
    return Script(stage.spec, stage.trigger_m, at + 8.0, roles)


def crossing_bicycle(stage: Stage) -> Script:
    """A cyclist rides over the road from the right, in no hurry to look."""
    at = stage.trigger_m + stage.spec.number("distance", 42.0)
    edge = half_lane(stage, at)
    line = across_route(stage.route, at, -edge - 5.0, 3.0 * edge + 6.0)
    rider = Role(BICYCLE, line, (Stand(EgoIn(at, 3.4, 16.0)), Go(4.0)), heeds=False)
    return Script(stage.spec, stage.trigger_m, at + 8.0, (rider,))


def control_loss(stage: Stage) -> Script:
    """Three slippery patches of dirt."""
    parts = []
    for at in (stage.trigger_m + ahead for ahead in (10.0, 24.0, 38.0)):
        parts.append(Prop("static.trigger.friction", beside_route(stage.route, at, 0.0), friction=0.4, half_m=2.5))
        parts.append(Prop("static.prop.dirtdebris01", beside_route(stage.route, at, -half_lane(stage, at) - 0.3)))
    return Script(stage.spec, stage.trigger_m, stage.trigger_m + 45.0, props=tuple(parts))


AUTHORS: dict[str, Author] = {
    "ParkedObstacle": parked_obstacle,
    "ParkedObstacleTwoWays": parked_obstacle,
    "Accident": accident,
    "AccidentTwoWays": accident,
    "ConstructionObstacle": construction,
    "ConstructionObstacleTwoWays": construction,
    "VehicleOpensDoorTwoWays": opening_door,
    "HardBreakRoute": hard_brake,
    "ParkingCutIn": parking_cut_in,
    "HighwayCutIn": highway_cut_in,
    "DynamicObjectCrossing": crossing_behind_van,
    "ParkingCrossingPedestrian": crossing_between_cars,
    "PedestrianCrossing": pedestrians_on_crosswalk,
    "CrossingBicycleFlow": crossing_bicycle,
    "ControlLoss": control_loss,
}
