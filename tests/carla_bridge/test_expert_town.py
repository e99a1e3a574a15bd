"""The expert on the map of a town, with others put where they matter; no world behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import carla
import numpy as np
import pytest
from bridge_helpers import car, truth

from bev import Pose2D
from carla_bridge.embedded.towns import load_town
from carla_bridge.expert import Expert, ExpertDecision
from carla_bridge.forecast import TIMES_S, Forecaster
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import Route, covering_routes, lines_on_route
from carla_bridge.surroundings import Surroundings, survey
from carla_bridge.traffic import plan_obstacles
from carla_bridge.truth import Body
from planner import Manoeuvre

TICK_S = 0.05


@lru_cache(maxsize=1)
def thornby() -> Surroundings:
    town_map = carla.Map("Thornby", load_town("Thornby").opendrive)
    return survey(town_map, LaneGraph(town_map), (), None)


@lru_cache(maxsize=1)
def routes() -> tuple[Route, ...]:
    return covering_routes(thornby().graph, 20)


@lru_cache(maxsize=1)
def route_to_a_stop_sign() -> tuple[Route, float]:
    """A route, and the arc length of its first stop line."""
    for route in routes():
        lines = lines_on_route(route, tuple(thornby().stops.values()))
        if lines and lines[0][0] > 40.0:
            return route, lines[0][0]
    raise AssertionError("no stop sign on any route")


@dataclass
class Drive:
    """The ego follows the expert's path and speed without delay."""

    expert: Expert
    pose: Pose2D
    speed: float = 6.0
    time_s: float = 0.0

    def step(self, others: tuple[Body, ...]) -> ExpertDecision:
        ego = car(self.pose.x, self.pose.y, self.pose.yaw, self.speed)
        decision = self.expert.decide(truth(self.time_s, ego, others, lights={0: 3}))
        wanted = decision.target_speed_mps if decision.target_speed_mps > 1.0 else 0.0
        self.speed += float(np.clip(wanted - self.speed, -5.0 * TICK_S, 2.2 * TICK_S))
        ahead = decision.path[1]
        turn = math.atan2(ahead[1], ahead[0]) * min(1.0, self.speed * TICK_S / 2.0)
        place = self.pose.transform_from_local(self.speed * TICK_S * np.array([[math.cos(turn), math.sin(turn)]]))[0]
        self.pose = Pose2D(float(place[0]), float(place[1]), self.pose.yaw + turn)
        self.time_s += TICK_S
        return decision


def at(route: Route, arc_m: float) -> Pose2D:
    return route.pose_at(arc_m)


def test_stops_at_the_line_of_a_stop_sign_and_goes_on() -> None:
    route, line = route_to_a_stop_sign()
    drive = Drive(Expert(route, (), thornby()), at(route, line - 38.0))
    drive.expert.tracker.progress_m = line - 38.0
    stood, decisions = 0.0, []
    for _ in range(400):
        decisions.append(drive.step(()))
        stood += TICK_S if drive.speed == 0.0 else 0.0
    assert decisions[0].governing_stop is not None
    assert any(decision.manoeuvre == Manoeuvre.STOP_SIGN for decision in decisions)
    assert 0.9 <= stood <= 1.6
    assert drive.expert.tracker.progress_m > line + 20.0


def test_waits_for_who_crosses_and_not_for_who_has_to_stop_himself() -> None:
    """Behind the stop line: a car that comes along any lane through ours holds us, unless it comes to a sign too."""
    route, line = route_to_a_stop_sign()
    graph = thornby().graph
    span = next(span for span in route.junctions if span.entry_m > line - 5.0)
    inside = [key for key in graph.lanes if graph.lanes[key].junction_id == span.junction_id]
    entries = sorted({before for key in inside for before in graph.graph.predecessors(key)} - {span.approach})
    for entry in entries:
        lane = graph.lanes[entry]
        body = Body(
            2, "vehicle.x", Pose2D(*map(float, lane.points[-16]), float(lane.yaws[-16])), 6.0, 0.0, 2.4, 0.95, 1.5
        )
        forecasts = Forecaster(thornby()).forecasts(body, lambda key: key in thornby().stops)
        end = lane.points[-1]
        reaches = [
            np.nanmin(np.hypot(*(one.poses[:, :2] - end).T)) for one in forecasts if not np.isnan(one.poses[-1, 0])
        ]
        travelled = [
            np.hypot(*(one.poses[-1, :2] - one.poses[0, :2])) for one in forecasts if not np.isnan(one.poses[-1, 0])
        ]
        if entry in thornby().stops:
            assert max(travelled) < 16.0
        else:
            assert max(travelled) > 20.0
        assert min(reaches) < 4.0
    assert len(TIMES_S) == 21


def walker(x: float, y: float, yaw: float, speed: float) -> Body:
    return Body(5, "walker.pedestrian.0001", Pose2D(x, y, yaw), speed, 0.0, 0.19, 0.19, 1.8)


def test_yields_to_who_steps_onto_a_crosswalk() -> None:
    town = thornby()
    for route in routes():
        expert = Expert(route, (), town)
        spans = [span for span in expert.crosswalks if span.entry_m > 40.0]
        if spans:
            break
    middle = at(route, (spans[0].entry_m + spans[0].exit_m) / 2.0)
    start = spans[0].entry_m - 12.0
    for side, turn, yields in ((3.0, -math.pi / 2, True), (3.0, math.pi / 2, False), (9.0, math.pi / 2, False)):
        place = middle.transform_from_local(np.array([[0.0, side]]))[0]
        body = walker(float(place[0]), float(place[1]), middle.yaw + turn, 1.3)
        expert = Expert(route, (), town)
        expert.tracker.progress_m = start
        pose = at(route, start)
        decision = expert.decide(truth(0.0, car(pose.x, pose.y, pose.yaw, 6.0), (body,), lights={0: 3}))
        assert (decision.manoeuvre == Manoeuvre.YIELD) == yields


@pytest.mark.parametrize("oncoming", [False, True])
def test_goes_around_what_stands_in_the_lane_once_the_other_lane_is_free(oncoming: bool) -> None:
    town = thornby()
    route, plan = next((route, plans[0]) for route in routes() if (plans := plan_obstacles(route, town.graph, 1, 3)))
    kind, pose = plan.parts[0]
    block = Body(7, kind, pose, 0.0, 0.0, 2.2, 0.9, 1.5)
    arc, _ = route.project(pose.x, pose.y)
    drive = Drive(Expert(route, (), town), at(route, arc - 30.0))
    drive.expert.tracker.progress_m = arc - 30.0
    manoeuvres, nearest = [], math.inf
    for i in range(round(45.0 / TICK_S)):
        others = [block]
        if oncoming and i * TICK_S < 14.0:  # one after the other comes along the other lane
            for ahead in (0.0, 18.0, 36.0):
                at_arc = arc + 30.0 - (6.0 * i * TICK_S + ahead) % 54.0
                x, y = at(route, at_arc).transform_from_local(np.array([[0.0, 3.0]]))[0]
                others.append(
                    replace(car(float(x), float(y), at(route, at_arc).yaw + math.pi, 6.0), actor_id=20 + int(ahead))
                )
        manoeuvres.append(drive.step(tuple(others)).manoeuvre)
        side = pose.transform_to_local(np.array([[drive.pose.x, drive.pose.y]]))[0]
        if abs(side[0]) < 4.0:
            nearest = min(nearest, abs(float(side[1])))
        passed_s = i * TICK_S if side[0] > 8.0 else None
        if passed_s is not None:
            break
    assert passed_s is not None
    assert Manoeuvre.AVOID in manoeuvres
    assert nearest > 0.95 + 0.9 + 0.3
    assert (passed_s > 12.0) == oncoming
