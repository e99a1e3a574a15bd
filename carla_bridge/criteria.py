"""What a drive did wrong, and when it is over: the rules of CARLA's Leaderboard 2.0 (driving-metrics; the public rules
are described at leaderboard.carla.org, "Driving score and infractions"). The scores made from this live elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import carla
import numpy as np

from bev import Pose2D
from carla_bridge.convert import location_to_carla, wrap_angle
from carla_bridge.routes import Route, RouteTracker, lines_on_route
from carla_bridge.truth import Body, LightColour, StopLine, Truth


class InfractionKind(str, Enum):
    """Names as in a Leaderboard results file."""

    PEDESTRIAN = "collisions_pedestrian"
    VEHICLE = "collisions_vehicle"
    STATIC = "collisions_layout"
    RED_LIGHT = "red_light"
    STOP_SIGN = "stop_infraction"
    SCENARIO_TIMEOUT = "scenario_timeouts"
    YIELD_EMERGENCY = "yield_emergency_vehicle_infractions"
    OUTSIDE_LANES = "outside_route_lanes"
    MIN_SPEED = "min_speed_infractions"
    ROUTE_DEVIATION = "route_dev"
    BLOCKED = "vehicle_blocked"
    TIMEOUT = "route_timeout"


COMPLETED = "Completed"
FAILED = {
    InfractionKind.ROUTE_DEVIATION: "Failed - Agent deviated from the route",
    InfractionKind.BLOCKED: "Failed - Agent got blocked",
    InfractionKind.TIMEOUT: "Failed - Agent timed out",
}


@dataclass(frozen=True)
class Infraction:
    kind: InfractionKind
    time_s: float
    x: float  # where the ego was [m], world frame, ISO 8855
    y: float
    actor: int  # the other one's actor id, 0 for none
    detail: str
    value: float = 1.0  # OUTSIDE_LANES: fraction of the route; MIN_SPEED: own speed over that of the traffic


@dataclass(frozen=True)
class RouteOutcome:
    """The end of a drive. status: Leaderboard's words; completion and off_route_fraction in [0, 1]."""

    status: str
    completion: float
    infractions: tuple[Infraction, ...]
    off_route_fraction: float
    route_length_m: float
    duration_s: float  # simulated


@dataclass(frozen=True)
class CriteriaConfig:
    blocked_s: float = 180.0
    blocked_mps: float = 0.1
    off_route_m: float = 30.0
    merge_s: float = 5.0
    collision_mps: float = 0.1
    pushed_s: float = 1.0  # for so long after he was hit where he stood, nobody answers for being pushed on
    timeout_base_s: float = 300.0
    timeout_speed_share: float = 0.1  # the slowest allowed mean speed, as a share of the speed limit
    longest_s: float = math.inf  # no drive may take longer
    speed_checkpoints: int = 4
    traffic_radius_m: float = 50.0
    light_reach_m: float = 60.0  # a red light nearer than this explains why one stands
    sign_reach_m: float = 5.0  # and a stop sign nearer than this, where one has to stand before one drives on
    standing_mps: float = 0.1
    queue_m: float = 40.0  # and so does a car ahead (waiting before or behind a junction) that is slower than this:
    queue_mps: float = 1.0


class LaneCheck:
    """Is a place on the driving lanes, and driven in their direction? Asks the client's map, which asks no server."""

    def __init__(self, world_map: carla.Map, tolerance_m: float = 0.5, wrong_way_deg: float = 120.0) -> None:
        self._map, self._tolerance_m, self._wrong_way_rad = world_map, tolerance_m, math.radians(wrong_way_deg)

    def __call__(self, pose: Pose2D) -> bool:
        place = location_to_carla(pose.x, pose.y)
        waypoint = self._map.get_waypoint(place, lane_type=carla.LaneType.Driving)
        if waypoint is None:
            return False
        centre = waypoint.transform.location
        if math.hypot(centre.x - place.x, centre.y - place.y) > waypoint.lane_width / 2.0 + self._tolerance_m:
            return False
        turn = wrap_angle(pose.yaw + math.radians(waypoint.transform.rotation.yaw))
        return waypoint.is_junction or abs(turn) < self._wrong_way_rad


class Criteria:
    """Watches one drive. Call `update` once a tick; it returns what is new. `ended` says why the drive is over."""

    def __init__(
        self,
        route: Route,
        stop_lines: Sequence[StopLine],
        in_lane: Callable[[Pose2D], bool],
        config: CriteriaConfig | None = None,
        stop_signs: Sequence[StopLine] = (),
    ) -> None:
        """stop_lines: of lights. stop_signs: lines before which one has to come to a standstill."""
        self.config = config or CriteriaConfig()
        self.route = route
        self.infractions: list[Infraction] = []
        self.ended: InfractionKind | str | None = None  # COMPLETED, or the kind that ended the drive
        slowest_mps = self.config.timeout_speed_share * float(route.speed_limits_mps.mean())
        self.timeout_s = min(self.config.longest_s, self.config.timeout_base_s + route.length_m / slowest_mps)
        self._tracker = RouteTracker(route)  # on true positions, whatever the car believes
        self._stop_lines, self._in_lane = tuple(stop_lines), in_lane
        self._route_lines = lines_on_route(route, stop_lines)
        self._route_signs = lines_on_route(route, stop_signs)
        self._start_s: float | None = None
        self._now_s = 0.0
        self._moved_s = 0.0
        self._last: Body | None = None
        self._speeds_before = (0.0, 0.0)  # two ticks ago, one tick ago
        self._last_contact_s: dict[int, float] = {}
        self._excused_until_s: dict[int, float] = {}
        self._sign_speeds: dict[float, float] = {}  # the lowest one before each stop sign of the route, by arc length
        self._outside_m = 0.0
        self._speeds: list[tuple[float, float]] = []  # own and mean traffic speed since the last checkpoint
        self._checkpoint = 1

    @property
    def completion(self) -> float:
        return self._tracker.completion

    def update(self, truth: Truth) -> tuple[Infraction, ...]:
        if self.ended is not None:
            return ()
        before = len(self.infractions)
        if self._start_s is None:
            self._start_s = self._moved_s = truth.time_s
        self._now_s = truth.time_s
        self._tracker.update(truth.ego.pose.x, truth.ego.pose.y)
        self._watch_contacts(truth)
        self._watch_lights(truth)
        self._watch_signs(truth)
        for fault in truth.faults:
            self._add(InfractionKind(fault.kind), truth, fault.actor_id, fault.detail)
        self._watch_lanes(truth)
        self._watch_speed(truth)
        self._watch_end(truth)
        self._last = truth.ego
        self._speeds_before = (self._speeds_before[1], abs(truth.ego.speed_mps))
        return tuple(self.infractions[before:])

    def outcome(self, failure: str = "Failed - Simulation crashed") -> RouteOutcome:
        """The result so far. failure: the status of a drive that was cut off from outside."""
        status = COMPLETED if self.ended == COMPLETED else failure
        if isinstance(self.ended, InfractionKind):
            status = FAILED[self.ended]
        fraction = min(1.0, self._outside_m / self.route.length_m)
        infractions = list(self.infractions)
        if fraction > 0.0 and self._last is not None:
            infractions.append(
                Infraction(
                    InfractionKind.OUTSIDE_LANES,
                    self._now_s,
                    self._last.pose.x,
                    self._last.pose.y,
                    0,
                    f"{self._outside_m:.1f} m ({100.0 * fraction:.1f} % of the route) outside the lanes",
                    fraction,
                )
            )
        return RouteOutcome(
            status,
            self.completion,
            tuple(infractions),
            fraction,
            self.route.length_m,
            0.0 if self._start_s is None else self._now_s - self._start_s,
        )

    def _add(self, kind: InfractionKind, truth: Truth, actor: int, detail: str, value: float = 1.0) -> None:
        pose = truth.ego.pose
        self.infractions.append(Infraction(kind, truth.time_s, pose.x, pose.y, actor, detail, value))

    def _watch_contacts(self, truth: Truth) -> None:
        # Contacts are those of the tick before, so the speed before the impact is one tick older still. Who stood is
        # not at fault, even if the impact has pushed him away.
        speed = self._speeds_before[0]
        for contact in truth.contacts:
            last_s = self._last_contact_s.get(contact.other_id)
            merged = last_s is not None and truth.time_s - last_s < self.config.merge_s
            if not merged and speed < self.config.collision_mps:
                self._excused_until_s[contact.other_id] = truth.time_s + self.config.pushed_s
                continue
            if not merged and truth.time_s < self._excused_until_s.get(contact.other_id, -math.inf):
                continue
            self._last_contact_s[contact.other_id] = truth.time_s
            if not merged:
                kind = (
                    InfractionKind.PEDESTRIAN
                    if contact.other_type.startswith("walker.")
                    else InfractionKind.VEHICLE
                    if contact.other_type.startswith("vehicle.")
                    else InfractionKind.STATIC
                )
                detail = f"with {contact.other_type or 'scenery'} at {speed:.1f} m/s"
                self._add(kind, truth, contact.other_id, detail)

    def _watch_lights(self, truth: Truth) -> None:
        if self._last is None:
            return
        then, now = front_of(self._last), front_of(truth.ego)
        for line in self._stop_lines:
            if truth.lights.get(line.light_id) == LightColour.RED and crosses(line, then, now):
                self._add(InfractionKind.RED_LIGHT, truth, line.light_id, f"light {line.light_id} was red")

    def _watch_signs(self, truth: Truth) -> None:
        """Who drives over the line of a stop sign must have stood before it, within `sign_reach_m`."""
        if self._last is None:
            return
        then, now = front_of(self._last), front_of(truth.ego)
        for arc, line in self._route_signs:
            gap = line.pose.transform_to_local(np.array([now]))[0]
            if -self.config.sign_reach_m <= gap[0] < 0.0 and abs(gap[1]) < line.width_m:
                lowest = self._sign_speeds.get(arc, math.inf)
                self._sign_speeds[arc] = min(lowest, abs(truth.ego.speed_mps))
            if crosses(line, then, now) and self._sign_speeds.get(arc, math.inf) > self.config.standing_mps:
                detail = f"did not stand before the line of lane {line.lane}"
                self._add(InfractionKind.STOP_SIGN, truth, 0, detail)

    def _watch_lanes(self, truth: Truth) -> None:
        if self._last is not None and not self._in_lane(truth.ego.pose):
            self._outside_m += math.hypot(truth.ego.pose.x - self._last.pose.x, truth.ego.pose.y - self._last.pose.y)

    def _watch_speed(self, truth: Truth) -> None:
        """At checkpoints along the route: own mean speed over that of the traffic nearby. Ticks in which the ego has to
        stand, at a red light, at a stop sign or behind a standing car, are left out on both sides."""
        ego = truth.ego.pose
        around = [
            abs(body.speed_mps)
            for body in truth.others
            if body.type_id.startswith("vehicle.")
            and math.hypot(body.pose.x - ego.x, body.pose.y - ego.y) < self.config.traffic_radius_m
        ]
        if around and not (abs(truth.ego.speed_mps) <= self.config.blocked_mps and self._has_to_wait(truth)):
            self._speeds.append((abs(truth.ego.speed_mps), sum(around) / len(around)))
        while (
            self._checkpoint <= self.config.speed_checkpoints
            and self.completion >= self._checkpoint / self.config.speed_checkpoints
        ):
            self._checkpoint += 1
            own, traffic = (sum(pair[i] for pair in self._speeds) for i in range(2))
            if traffic > 0.0 and own < traffic:
                detail = f"{100.0 * own / traffic:.0f} % of the traffic's mean speed"
                self._add(InfractionKind.MIN_SPEED, truth, 0, detail, own / traffic)
            self._speeds.clear()

    def _has_to_wait(self, truth: Truth) -> bool:
        front = self._tracker.progress_m + truth.ego.half_length_m
        line = next((line for arc, line in self._route_lines if 0.0 <= arc - front < self.config.light_reach_m), None)
        if line is not None and truth.lights.get(line.light_id) in (LightColour.RED, LightColour.YELLOW):
            return True
        if any(0.0 <= arc - front < self.config.sign_reach_m for arc, _ in self._route_signs):
            return True
        here = self._tracker.progress_m
        for body in truth.others:
            if abs(body.speed_mps) < self.config.queue_mps:
                arc, side = self.route.project(body.pose.x, body.pose.y, here, here + self.config.queue_m + 5.0)
                if 1.0 < arc - here < self.config.queue_m and abs(side) < 2.0:
                    return True
        return False

    def _watch_end(self, truth: Truth) -> None:
        assert self._start_s is not None
        if abs(truth.ego.speed_mps) >= self.config.blocked_mps:
            self._moved_s = truth.time_s
        pose = truth.ego.pose
        _, offset = self.route.project(pose.x, pose.y, self._tracker.progress_m - 50.0, self._tracker.progress_m + 50.0)
        if self._tracker.finished:
            self.ended = COMPLETED
        elif abs(offset) > self.config.off_route_m:
            self._end(InfractionKind.ROUTE_DEVIATION, truth, f"{abs(offset):.0f} m off the route")
        elif truth.time_s - self._moved_s >= self.config.blocked_s:
            self._end(InfractionKind.BLOCKED, truth, f"no movement for {self.config.blocked_s:.0f} s")
        elif truth.time_s - self._start_s >= self.timeout_s:
            self._end(InfractionKind.TIMEOUT, truth, f"not finished after {self.timeout_s:.0f} s")

    def _end(self, kind: InfractionKind, truth: Truth, detail: str) -> None:
        self.ended = kind
        self._add(kind, truth, 0, detail)


def front_of(body: Body) -> tuple[float, float]:
    """The middle of the front bumper."""
    return (
        body.pose.x + body.half_length_m * math.cos(body.pose.yaw),
        body.pose.y + body.half_length_m * math.sin(body.pose.yaw),
    )


def crosses(line: StopLine, then: tuple[float, float], now: tuple[float, float]) -> bool:
    """Did a point go over the line, in driving direction and within its lane?"""
    cos, sin = math.cos(line.pose.yaw), math.sin(line.pose.yaw)
    ahead = [cos * (x - line.pose.x) + sin * (y - line.pose.y) for x, y in (then, now)]
    if not ahead[0] < 0.0 <= ahead[1]:
        return False
    share = -ahead[0] / (ahead[1] - ahead[0])
    x, y = (a + share * (b - a) for a, b in zip(then, now, strict=True))
    return abs(cos * (y - line.pose.y) - sin * (x - line.pose.x)) <= line.width_m / 2.0
