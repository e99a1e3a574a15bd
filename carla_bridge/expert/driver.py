"""The privileged driver whose demonstrations the network imitates: it knows the route, the map and the lights, and of
all others what can be seen from the car.

Every tick: who is in sight, what limits the speed (bends, lights, signs, leads, gaps, pedestrians), the lowest limit
wins. Its pedals and wheel go through the very controller that later executes the network's trajectories.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bev import EgoMotion, FloatArray, Pose2D
from carla_bridge.convert import compose
from carla_bridge.corridor import (
    STEP_M,
    Corridor,
    Obstacle,
    corridor_along,
    crossings_later,
    obstacles_now,
    occupied,
)
from carla_bridge.expert.detours import Detour, StandingWatch, is_in_the_way, plan_detour, stop_before
from carla_bridge.expert.gaps import GiveWay, Margins, crosswalk_stop, give_way
from carla_bridge.expert.lines import Lights, StopSigns, crosswalks_on, gives_way
from carla_bridge.expert.speeds import bend_speeds, follow_speed, rollout, slow_in_time, speed_distribution, stop_speed
from carla_bridge.expert.types import MANOEUVRE_FOR, ExpertConfig, ExpertDecision, GoverningLight, GoverningStop
from carla_bridge.forecast import TIMES_S, Forecaster
from carla_bridge.lanes import LaneGraph
from carla_bridge.routes import Route, RouteTracker
from carla_bridge.surroundings import Surroundings, survey
from carla_bridge.truth import Body, LaneKey, LightColour, StopLine, Truth
from carla_bridge.visibility import Eyes
from planner import (
    PATH_POINTS,
    PATH_SPACING_M,
    WAYPOINT_SPACING_S,
    WAYPOINTS,
    Control,
    Controller,
    Light,
    Manoeuvre,
    Trajectory,
)

if TYPE_CHECKING:
    from carla_bridge.session import Session

SLOW_MPS = 1.5  # a lead slower than this does not leave room behind a junction soon
EYE_M = 0.7  # the cameras, ahead of the middle of the car
WAITING_MPS = 0.3
LEADS = 3
GIVE_UP_S = 12.0  # a detour on which one has to stand for so long is planned anew

_surveys: weakref.WeakKeyDictionary[LaneGraph, Surroundings] = weakref.WeakKeyDictionary()


def expert_of(session: Session, config: ExpertConfig | None = None) -> Expert:
    """For the drive that a session has started. The town is surveyed once a session."""
    if session.graph not in _surveys:
        _surveys[session.graph] = survey(session.map, session.graph, session.stop_lines, session.world)
    return Expert(session.route, session.stop_lines, _surveys[session.graph], config)


class Expert:
    """Drives one route. Call `decide` once a tick."""

    def __init__(
        self,
        route: Route,
        stop_lines: tuple[StopLine, ...],
        town: Surroundings | None = None,
        config: ExpertConfig | None = None,
    ) -> None:
        """town: without it there are no signs, crosswalks, lanes of others, houses."""
        self.config = config or ExpertConfig()
        self.route = route
        self.tracker = RouteTracker(route)
        self._town = town
        self._controller = Controller()
        self._lights = Lights(route, stop_lines, self.config)
        self._signs = StopSigns(route, town, self.config)
        self.crosswalks = crosswalks_on(route, town)
        self._forecaster = Forecaster(town)
        self._eyes = Eyes(np.zeros((0, 5)) if town is None else town.walls)
        self._watch = StandingWatch()
        self._detour: Detour | None = None
        self._free_mps = np.minimum(self.config.cruise_mps, self.config.limit_share * route.speed_limits_mps)
        slow = np.minimum(self._free_mps, bend_speeds(route, self.config))
        for span in route.junctions:
            if gives_way(span, town):
                slow[np.argmin(np.abs(route.arc_m - span.entry_m))] = min(
                    self.config.give_way_mps, float(np.interp(span.entry_m, route.arc_m, slow))
                )
        self._cap_mps = slow_in_time(route.arc_m, slow, self.config.brake_mps2)
        self._gave_way = False
        self._waiting_since_s: float | None = None
        self._lights_now: dict[LaneKey, bool] = {}

    def decide(self, truth: Truth, virtual: Pose2D | None = None) -> ExpertDecision:
        """virtual: a pose relative to the ego for which path is wanted; the driving itself is always the real ego's."""
        ego, config = truth.ego, self.config
        self.tracker.update(ego.pose.x, ego.pose.y)
        here = self.tracker.progress_m
        front = here + ego.half_length_m
        eye = ego.pose.transform_from_local(np.array([[EYE_M, 0.0]]))[0]
        seen = self._eyes.look(Pose2D(float(eye[0]), float(eye[1]), ego.pose.yaw), truth.others, truth.time_s)
        self._watch.update(seen, truth.time_s)
        light, sign = self._lights.governing(truth, front), self._signs.governing(truth, front)
        waited_s = self._waited(truth)
        self._lights_now = self._red_lanes(truth)

        corridor = self._corridor(ego, self._detour)
        obstacles = obstacles_now(corridor, front, seen)
        limits: list[tuple[float, str]] = [
            (self._at(self._free_mps, here), ""),
            (self._at(self._cap_mps, here), "bend"),
        ]
        stop_m = float("inf")
        if light is not None and self._lights.must_stop(light, ego.speed_mps):
            stop_m = light.line_arc_m - config.stop_margin_m
            limits.append((stop_speed(config, stop_m - front), "light"))
        if sign is not None:
            stop_m = min(stop_m, sign.line_arc_m - config.stop_margin_m)
            limits.append((stop_speed(config, sign.distance_m - config.stop_margin_m), "stop"))
        if self._detour is None or here > self._detour.end_m or waited_s > GIVE_UP_S:
            self._detour = None
            blocked = self._go_around(truth, seen, obstacles, corridor)
            if self._detour is not None:
                corridor = self._corridor(ego, self._detour)
                obstacles = obstacles_now(corridor, front, seen)
            elif blocked is not None:
                limits.append((stop_speed(config, blocked - front), "lead"))
        if self._detour is not None and here > self._detour.start_m - 12.0:
            limits.append((config.detour_mps, "bend"))
        leads = [one for one in obstacles if one.along or abs(one.body.speed_mps) < WAITING_MPS][:LEADS]
        for lead in leads:
            speed = follow_speed(config, ego.speed_mps, limits[0][0], lead.gap_m, lead.speed_mps)
            limits.append((speed, "lead"))
        for reason, way in self._give_way(truth, seen, corridor, leads, min(limits)[0], stop_m, waited_s):
            limits.append((stop_speed(config, way.stop_m - front), reason))
        room = self._blocked_junction_m(leads, front, 2.0 * ego.half_length_m)
        if room is not None and waited_s < 4.0 * config.patience_s:
            limits.append((stop_speed(config, room), "junction"))
        target, reason = min(limits, key=lambda limit: limit[0])
        return self._answer(truth, virtual, corridor, target, reason, light, sign)

    # -- the line ---------------------------------------------------------------------------------------------------

    def _corridor(self, ego: Body, detour: Detour | None) -> Corridor:
        offsets = None if detour is None else detour.offsets_m
        return corridor_along(self.route, self.tracker.progress_m, ego.half_width_m, offsets)

    def _path(self, corridor: Corridor, pose: Pose2D) -> FloatArray:
        """The line ahead, every PATH_SPACING_M, in the frame of a pose."""
        arc, _ = corridor.project(pose.x, pose.y)
        arcs = arc + PATH_SPACING_M * np.arange(1, PATH_POINTS + 1)
        return pose.transform_to_local(_points_at(corridor, arcs))

    def _at(self, speeds: FloatArray, arc_m: float) -> float:
        return float(np.interp(arc_m, self.route.arc_m, speeds))

    # -- others -----------------------------------------------------------------------------------------------------

    def _red_lanes(self, truth: Truth) -> dict[LaneKey, bool]:
        if self._town is None:
            return {}
        red = (LightColour.RED, LightColour.YELLOW)
        return {lane: truth.lights.get(line.light_id) in red for lane, line in self._town.lights.items()}

    def _must_stop(self, lane: LaneKey) -> bool:
        return self._town is not None and (lane in self._town.stops or self._lights_now.get(lane, False))

    def _give_way(
        self,
        truth: Truth,
        seen: Sequence[Body],
        corridor: Corridor,
        leads: Sequence[Obstacle],
        cap_mps: float,
        stop_m: float,
        waited_s: float,
    ) -> list[tuple[str, GiveWay]]:
        ego, config = truth.ego, self.config
        here, half = self.tracker.progress_m, ego.half_length_m
        following = {lead.body.actor_id for lead in leads}
        forecasts = [
            forecast
            for body in seen
            if body.actor_id not in following and abs(body.speed_mps) >= WAITING_MPS
            for forecast in self._forecaster.forecasts(body, self._must_stop)
        ]
        crossings = crossings_later(corridor, forecasts)
        lead = leads[0] if leads else None
        way = rollout(config, here, ego.speed_mps, self.route.arc_m, self._cap_mps, here + half, lead, stop_m)
        margins = self._margins(waited_s)
        entries = [span for span in self.route.junctions if span.exit_m > here]
        found = give_way(config, crossings, way, half, ego.speed_mps, margins, entries)
        self._gave_way = found is not None
        answers = [] if found is None else [("crossing", found)]
        walkers = [body for body in seen if body.type_id.startswith("walker.")]
        zebra = crosswalk_stop(config, self.crosswalks, corridor, here + half, ego.speed_mps, walkers, waited_s)
        return answers if zebra is None else [*answers, ("crosswalk", zebra)]

    def _margins(self, waited_s: float) -> Margins:
        """Who gives way needs a little more room to go than he needed to keep going; who has waited long takes less."""
        config = self.config
        more = 0.4 if self._gave_way else 0.0
        share = 1.0 if waited_s < config.patience_s else 0.5 if waited_s < 2.0 * config.patience_s else 0.25
        return Margins(share * (config.early_s + more), share * (config.late_s + more / 2.0))

    def _waited(self, truth: Truth) -> float:
        """Seconds of standing."""
        if truth.ego.speed_mps > WAITING_MPS:
            self._waiting_since_s = None
        elif self._waiting_since_s is None:
            self._waiting_since_s = truth.time_s
        return 0.0 if self._waiting_since_s is None else truth.time_s - self._waiting_since_s

    def _blocked_junction_m(self, leads: Sequence[Obstacle], front_m: float, length_m: float) -> float | None:
        """Metres to the stop before a junction that could not be left again, because a slow car stands behind it."""
        span = next((span for span in self.route.junctions if span.entry_m > front_m), None)
        if span is None or not leads or leads[0].speed_mps > SLOW_MPS:
            return None
        if front_m + leads[0].gap_m > span.exit_m + length_m + self.config.standstill_gap_m:
            return None
        return span.entry_m - front_m - self.config.stop_margin_m

    # -- going around -----------------------------------------------------------------------------------------------

    def _go_around(
        self, truth: Truth, seen: Sequence[Body], obstacles: Sequence[Obstacle], corridor: Corridor
    ) -> float | None:
        """Begins a detour if one is needed and free; else where to wait for it, None if nothing stands in the way."""
        config, ego = self.config, truth.ego
        here, front = self.tracker.progress_m, self.tracker.progress_m + ego.half_length_m
        blockers = [one for one in obstacles if one.gap_m < 40.0 and self._in_the_way(one, truth.time_s)]
        if self._town is None or not blockers or blockers[0] is not obstacles[0]:
            return None
        wait = stop_before(config, blockers[0], corridor, ego.half_length_m)
        if blockers[0].gap_m > 28.0:
            return wait

        def is_free(detour: Detour) -> bool:
            return self._is_free(detour, truth, seen, {one.body.actor_id for one in blockers})

        self._detour = plan_detour(config, self.route, here, ego.half_length_m, ego.half_width_m, blockers, is_free)
        return max(wait, front - 0.5) if wait < front else wait

    def _in_the_way(self, obstacle: Obstacle, now_s: float) -> bool:
        config = self.config
        queues = any(
            -3.0 < span.entry_m - obstacle.front_m < (config.light_queue_m if span.signalised else config.queue_m)
            for span in self.route.junctions
        )
        return is_in_the_way(config, obstacle, self._watch.stood_s(obstacle.body, now_s), queues)

    def _is_free(self, detour: Detour, truth: Truth, seen: Sequence[Body], passed: set[int]) -> bool:
        """May we drive this line now, at the speed of a detour, without meeting anybody?"""
        ego, config = truth.ego, self.config
        here, half = self.tracker.progress_m, ego.half_length_m
        corridor = self._corridor(ego, detour)
        standing = [one for one in obstacles_now(corridor, here + half, seen) if abs(one.body.speed_mps) < WAITING_MPS]
        if any(one.rear_m < detour.end_m + 2.0 for one in standing):
            return False
        if not self._is_clear(corridor, detour, ego.half_width_m):
            return False
        forecasts = [
            forecast
            for body in seen
            if abs(body.speed_mps) >= WAITING_MPS
            for forecast in self._forecaster.forecasts(body, self._must_stop)
        ]
        caps = np.minimum(self._cap_mps, config.detour_mps)
        way = rollout(config, here, ego.speed_mps, self.route.arc_m, caps, here + half, None, float("inf"))
        inside = way < detour.end_m
        way = np.where(inside, way, detour.end_m)
        margins = Margins(2.0, 1.0)
        crossings = [one for one in crossings_later(corridor, forecasts) if not _behind_and_along(one.body, ego)]
        return give_way(config, crossings, way, half, ego.speed_mps, margins, ()) is None

    def _is_clear(self, corridor: Corridor, detour: Detour, half_width_m: float) -> bool:
        """Does the line stay on the road and off what belongs to the town?"""
        assert self._town is not None
        on_way = (corridor.arc_m >= detour.start_m) & (corridor.arc_m <= detour.end_m)
        points, yaws = corridor.points[on_way], corridor.yaws[on_way]
        if not len(points):
            return False
        side = half_width_m * np.stack([-np.sin(yaws), np.cos(yaws)], axis=1)
        if not self._town.on_road(np.concatenate([points + side, points - side])):
            return False
        walls = self._town.walls[np.hypot(*(self._town.walls[:, :2] - points[0]).T) < 80.0]
        return bool((occupied(points, yaws, corridor.half_width_m, STEP_M / 2.0, walls)[:, 0] < 0).all())

    # -- the answer -------------------------------------------------------------------------------------------------

    def _answer(
        self,
        truth: Truth,
        virtual: Pose2D | None,
        corridor: Corridor,
        target_mps: float,
        reason: str,
        light: GoverningLight | None,
        sign: GoverningStop | None,
    ) -> ExpertDecision:
        path = self._path(corridor, truth.ego.pose)
        manoeuvre = MANOEUVRE_FOR[reason]
        detour = self._detour
        if detour is not None and reason in ("", "bend", "lead") and self.tracker.progress_m > detour.start_m - 8.0:
            manoeuvre = Manoeuvre.AVOID
        return ExpertDecision(
            self._control(truth, corridor, target_mps, path),
            target_mps,
            path if virtual is None else self._path(corridor, compose(truth.ego.pose, virtual)),
            light.light if light else Light.NONE,
            reason,
            light,
            sign,
            manoeuvre,
        )

    def _control(self, truth: Truth, corridor: Corridor, target_mps: float, path: FloatArray) -> Control:
        ego = EgoMotion(truth.ego.speed_mps, truth.ego.yaw_rate_rps, truth.ego.pose)
        times = WAYPOINT_SPACING_S * np.arange(1, WAYPOINTS + 1)
        places = _points_at(corridor, self.tracker.progress_m + target_mps * times)
        trajectory = Trajectory(
            truth.frame_id,
            truth.time_s,
            truth.ego.pose,
            path,
            speed_distribution(target_mps),
            truth.ego.pose.transform_to_local(places),
        )
        return self._controller.control(trajectory, truth.time_s, ego)


def _points_at(corridor: Corridor, arcs_m: FloatArray) -> FloatArray:
    """(K, 2) points of the line."""
    return np.stack([np.interp(arcs_m, corridor.arc_m, corridor.points[:, i]) for i in range(2)], axis=1)


def _behind_and_along(body: Body, ego: Body) -> bool:
    """Follows us: keeps clear by itself."""
    x = ego.pose.transform_to_local(np.array([[body.pose.x, body.pose.y]]))[0, 0]
    return bool(x < -ego.half_length_m and np.cos(body.pose.yaw - ego.pose.yaw) > 0.7)


__all__ = ["TIMES_S", "Expert", "expert_of"]
