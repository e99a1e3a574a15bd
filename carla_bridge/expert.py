"""The privileged driver whose demonstrations the network imitates: it knows the route, every actor and every light.

Car following is the Intelligent Driver Model (Treiber, Hennecke, Helbing, Phys. Rev. E 62, 2000, eq. 2-4). Its pedals
and wheel go through the very controller that later executes the network's trajectories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bev import EgoMotion, FloatArray, Pose2D
from carla_bridge.convert import compose
from carla_bridge.corridor import Obstacle, find_obstacles
from carla_bridge.routes import Route, RouteTracker, lines_on_route
from carla_bridge.truth import LightColour, StopLine, Truth
from planner import (
    PATH_POINTS,
    PATH_SPACING_M,
    SPEED_CLASSES_MPS,
    WAYPOINT_SPACING_S,
    WAYPOINTS,
    Control,
    Controller,
    Light,
    Trajectory,
)

SLOW_MPS = 1.5  # a lead slower than this does not leave room behind a junction soon


@dataclass(frozen=True)
class ExpertConfig:
    cruise_mps: float = 8.0
    lateral_mps2: float = 1.8  # in bends
    brake_mps2: float = 1.8  # comfortable, and what the speed profiles are drawn with
    yellow_brake_mps2: float = 3.0  # harder than this we do not brake for a yellow
    accelerate_mps2: float = 1.8
    headway_s: float = 1.2
    standstill_gap_m: float = 3.0
    stop_margin_m: float = 1.8  # front bumper to the end of the lane: the line is painted a little before it
    light_reach_m: float = 45.0  # farther lights are neither labelled nor obeyed
    look_ahead_m: float = 45.0  # for bends
    respond_s: float = 0.8  # target speed = speed + IDM acceleration x this


@dataclass(frozen=True)
class GoverningLight:
    """The next light on the route, if within reach. distance_m: front bumper to its line; line_arc_m: on the route."""

    light: Light
    distance_m: float
    line_arc_m: float
    line: StopLine


@dataclass(frozen=True)
class ExpertDecision:
    """path: (PATH_POINTS, 2) along the route, in the frame of the pose asked for. stop_reason: what holds the speed
    down: "", "bend", "light", "lead", "crossing" or "junction"."""

    control: Control
    target_speed_mps: float
    path: FloatArray
    light_state: Light
    stop_reason: str
    governing: GoverningLight | None


class Expert:
    """Drives one route. Call `decide` once a tick."""

    def __init__(self, route: Route, stop_lines: tuple[StopLine, ...], config: ExpertConfig | None = None) -> None:
        self.config = config or ExpertConfig()
        self.route = route
        self.tracker = RouteTracker(route)
        self._controller = Controller()
        self._bend_mps = bend_speeds(route, self.config)
        self._lines = lines_on_route(route, stop_lines)
        self._seen: dict[float, Light] = {}  # arc of a line -> its light a tick ago
        self._committed: set[float] = set()  # arcs of lines to be passed although their light has left green

    def decide(self, truth: Truth, virtual: Pose2D | None = None) -> ExpertDecision:
        """virtual: a pose relative to the ego for which path is wanted; the driving itself is always the real ego's."""
        ego = truth.ego
        self.tracker.update(ego.pose.x, ego.pose.y)
        governing = self.governing_light(truth)
        obstacles = find_obstacles(self.route, self.tracker.progress_m, ego, truth.others)
        limits = [(self._free_speed(), "")]
        limits.append((self._bend_speed(), "bend"))
        if governing is not None and self._must_stop(governing, ego.speed_mps):
            limits.append((self._stop_speed(governing.distance_m - self.config.stop_margin_m), "light"))
        for obstacle in obstacles[:3]:
            limits.append(
                (self._follow_speed(ego.speed_mps, limits[0][0], obstacle), "crossing" if obstacle.crossing else "lead")
            )
        front = self.tracker.progress_m + ego.half_length_m
        blocked = self._blocked_junction_m(obstacles, front, 2.0 * ego.half_length_m)
        if blocked is not None:
            limits.append((self._stop_speed(blocked), "junction"))
        target, reason = min(limits, key=lambda limit: limit[0])
        path = self.path(truth)
        return ExpertDecision(
            self._control(truth, target, path),
            target,
            path if virtual is None else self.path(truth, virtual),
            governing.light if governing else Light.NONE,
            reason,
            governing,
        )

    def path(self, truth: Truth, virtual: Pose2D | None = None) -> FloatArray:
        """The route's line ahead, every PATH_SPACING_M, in the ego frame or that of a virtual pose in it."""
        pose = compose(truth.ego.pose, virtual) if virtual else truth.ego.pose
        arc, _ = self.route.project(pose.x, pose.y, self.tracker.progress_m - 5.0, self.tracker.progress_m + 5.0)
        return pose.transform_to_local(self.route.points_at(arc + PATH_SPACING_M * np.arange(1, PATH_POINTS + 1)))

    def governing_light(self, truth: Truth) -> GoverningLight | None:
        front = self.tracker.progress_m + truth.ego.half_length_m
        ahead = next(((arc, line) for arc, line in self._lines if arc > front), None)
        if ahead is None or ahead[0] - front > self.config.light_reach_m:
            return None
        colour = truth.lights.get(ahead[1].light_id, LightColour.UNKNOWN)
        if colour in (LightColour.OFF, LightColour.UNKNOWN):
            return None
        light = Light.GREEN if colour == LightColour.GREEN else Light.RED_OR_YELLOW
        return GoverningLight(light, ahead[0] - front, ahead[0], ahead[1])

    # -- speeds ---------------------------------------------------------------------------------------------------

    def _free_speed(self) -> float:
        limit = float(np.interp(self.tracker.progress_m, self.route.arc_m, self.route.speed_limits_mps))
        return min(self.config.cruise_mps, limit)

    def _bend_speed(self) -> float:
        """Slow enough now to be slow enough at every bend ahead."""
        here = self.tracker.progress_m
        ahead = (self.route.arc_m >= here - 1.0) & (self.route.arc_m <= here + self.config.look_ahead_m)
        distance = np.maximum(self.route.arc_m[ahead] - here, 0.0)
        return float(np.sqrt(self._bend_mps[ahead] ** 2 + 2.0 * self.config.brake_mps2 * distance).min(initial=99.0))

    def _stop_speed(self, distance_m: float) -> float:
        return math.sqrt(2.0 * self.config.brake_mps2 * max(0.0, distance_m))

    def _must_stop(self, governing: GoverningLight, speed_mps: float) -> bool:
        """For red and yellow, unless it was too late to brake when the light left green."""
        key = governing.line_arc_m
        before, self._seen[key] = self._seen.get(key), governing.light
        if governing.light != Light.RED_OR_YELLOW:
            self._committed.discard(key)
            return False
        needed = speed_mps**2 / (2.0 * max(governing.distance_m - 0.5, 0.1))
        if before == Light.GREEN and needed > self.config.yellow_brake_mps2:
            self._committed.add(key)
        return key not in self._committed

    def _follow_speed(self, speed_mps: float, free_mps: float, obstacle: Obstacle) -> float:
        config = self.config
        wanted = config.standstill_gap_m + max(
            0.0,
            speed_mps * config.headway_s
            + speed_mps
            * (speed_mps - obstacle.speed_mps)
            / (2.0 * math.sqrt(config.accelerate_mps2 * config.brake_mps2)),
        )
        acceleration = config.accelerate_mps2 * (
            1.0 - (speed_mps / free_mps) ** 4 - (wanted / max(obstacle.gap_m, 0.1)) ** 2
        )
        return float(np.clip(speed_mps + acceleration * config.respond_s, 0.0, free_mps))

    def _blocked_junction_m(self, obstacles: list[Obstacle], front_m: float, length_m: float) -> float | None:
        """Metres to the stop before a junction that could not be left again, because a slow car stands behind it."""
        span = next((span for span in self.route.junctions if span.entry_m > front_m), None)
        lead = next((found for found in obstacles if not found.crossing), None)
        if span is None or lead is None or lead.speed_mps > SLOW_MPS:
            return None
        if front_m + lead.gap_m > span.exit_m + length_m + self.config.standstill_gap_m:
            return None
        return span.entry_m - front_m - self.config.stop_margin_m

    def _control(self, truth: Truth, target_mps: float, path: FloatArray) -> Control:
        ego = EgoMotion(truth.ego.speed_mps, truth.ego.yaw_rate_rps, truth.ego.pose)
        times = WAYPOINT_SPACING_S * np.arange(1, WAYPOINTS + 1)
        places = self.route.points_at(self.tracker.progress_m + target_mps * times)
        trajectory = Trajectory(
            truth.frame_id,
            truth.time_s,
            truth.ego.pose,
            path,
            speed_distribution(target_mps),
            truth.ego.pose.transform_to_local(places),
        )
        return self._controller.control(trajectory, truth.time_s, ego)


def bend_speeds(route: Route, config: ExpertConfig, half_window: int = 3) -> FloatArray:
    """(N,) speed at each route point at which its curvature costs `lateral_mps2`."""
    turn = np.zeros(len(route.yaws))
    for i in range(len(turn)):
        low, high = max(0, i - half_window), min(len(turn) - 1, i + half_window)
        turn[i] = abs(route.yaws[high] - route.yaws[low]) / max(route.arc_m[high] - route.arc_m[low], 0.1)
    return np.sqrt(config.lateral_mps2 / np.maximum(turn, 1e-4))


def speed_distribution(speed_mps: float) -> FloatArray:
    """(S,) probabilities on the two speed classes around a speed whose mean it is, as the training target has them."""
    classes = np.array(SPEED_CLASSES_MPS)
    speed = float(np.clip(speed_mps, classes[0], classes[-1]))
    upper = int(np.clip(np.searchsorted(classes, speed), 1, len(classes) - 1))
    share = (speed - classes[upper - 1]) / (classes[upper] - classes[upper - 1])
    out = np.zeros(len(classes))
    out[upper - 1], out[upper] = 1.0 - share, share
    return out
