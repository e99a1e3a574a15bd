"""The Leaderboard's data, as its evaluator hands them to an agent -> our types. No server is asked for anything.

Formats: carla-simulator/leaderboard, `autoagents/agent_wrapper.py`, `envs/sensor_interface.py` and
`utils/route_manipulation.py`: cameras as BGRA, GNSS as latitude, longitude, altitude, IMU as accelerometer, gyroscope
and compass, a plan as places with road options.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import carla
import numpy as np

from bev import CameraRig, Command, FloatArray, ImageArray, SensorFrame
from carla_bridge.convert import mount_to_carla, turn_rates_from_carla, vector_from_carla
from carla_bridge.odometry import Odometer
from carla_bridge.routes import JunctionSpan, Route, RouteTracker

GNSS, IMU, SPEEDOMETER = "gnss", "imu", "speedometer"
_GYROSCOPE = slice(3, 6)
_COMMANDS = {1: Command.LEFT, 2: Command.RIGHT, 3: Command.STRAIGHT}  # RoadOption, by value; all others: FOLLOW
_EARTH_RADIUS_M = 6_378_137.0  # of the Leaderboard's own projection
_STEP_M = 1.0
# How much nearer one of two GNSS places must be to say which way latitudes count. At the start, which is a place of the
# plan, only noise blurs it (0.6 m, in the Leaderboard's sensor); later on, a thinned out plan cuts corners by metres.
_START_M = 3.0
_DECIDES_AT_START_M, _DECIDES_LATER_M = 2.0, 10.0
_MIN_GAP_M = 1e-3


def sensor_specs(rig: CameraRig) -> list[dict[str, Any]]:
    """What `sensors()` answers: the rig's cameras, GNSS, IMU and speedometer. The ego frame is taken for the actor's:
    the two differ by millimetres for the Leaderboard's car."""
    specs: list[dict[str, Any]] = []
    for camera in rig.cameras:
        mount = mount_to_carla(camera, (0.0, 0.0, 0.0))
        specs.append({
            "type": "sensor.camera.rgb", "id": camera.name, **_place(mount),
            "width": camera.width, "height": camera.height, "fov": math.degrees(camera.fov_rad),
        })  # fmt: skip
    centre = _place(carla.Transform())
    specs.append({"type": "sensor.other.gnss", "id": GNSS, **centre})
    specs.append({"type": "sensor.other.imu", "id": IMU, **centre})
    specs.append({"type": "sensor.speedometer", "id": SPEEDOMETER, "reading_frequency": 20})
    return specs


def _place(mount: carla.Transform) -> dict[str, float]:
    at, turn = mount.location, mount.rotation
    return {"x": at.x, "y": at.y, "z": at.z, "roll": turn.roll, "pitch": turn.pitch, "yaw": turn.yaw}


def route_from_plan(places: FloatArray, options: Sequence[int]) -> Route:
    """A plan's places (N, 2) [m], ISO 8855, with a RoadOption each -> a route to follow progress on. Between places it
    goes straight, however far apart they are. A junction is a run of places with a turn or STRAIGHT."""
    keep = np.concatenate([[True], np.hypot(*np.diff(places, axis=0).T) > _MIN_GAP_M])
    places, options = places[keep], [int(o) for o, k in zip(options, keep, strict=True) if k]
    if len(places) < 2:
        raise ValueError(f"a plan needs at least 2 distinct places, received {len(places)}")
    marks = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
    arc = np.unique(np.concatenate([marks, np.arange(0.0, marks[-1], _STEP_M)]))
    points = np.stack([np.interp(arc, marks, places[:, 0]), np.interp(arc, marks, places[:, 1])], axis=1)
    steps = np.diff(points, axis=0)
    yaws = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    unknown = np.full(len(arc), np.nan)
    spans, first = [], 0
    while first < len(options):
        after = first + 1
        command = _COMMANDS.get(options[first])
        if command is not None:
            while after < len(options) and options[after] == options[first]:
                after += 1
            exit_m = float(marks[min(after, len(marks) - 1)])
            spans.append(JunctionSpan(float(marks[first]), exit_m, command, -1, (0, 0, 0), False))
        first = after
    return Route("plan", "", points, np.append(yaws, yaws[-1]), arc, unknown, unknown, tuple(spans), ())


@dataclass(frozen=True)
class GeoReference:
    """Latitude and longitude [deg] of the world's origin, in the Leaderboard's projection, near which it is a plain
    scale (a kilometre away it errs by some centimetres)."""

    latitude: float
    longitude: float

    def metres(self, latitude: float, longitude: float, mirrored: bool) -> tuple[float, float]:
        """World frame, ISO 8855. mirrored: the server counts latitudes southwards (carla#9389)."""
        north = math.radians(latitude - self.latitude) * _EARTH_RADIUS_M
        east = math.radians(longitude - self.longitude) * _EARTH_RADIUS_M * math.cos(math.radians(self.latitude))
        return east, -north if mirrored else north


def fit_reference(places: FloatArray, gps: FloatArray) -> GeoReference:
    """The reference behind places (N, 2) [m] whose latitude and longitude (N, 2) [deg] a plan gives as well."""
    latitude = float(np.mean(gps[:, 0] - np.degrees(places[:, 1] / _EARTH_RADIUS_M)))
    scale = _EARTH_RADIUS_M * math.cos(math.radians(latitude))
    return GeoReference(latitude, float(np.mean(gps[:, 1] - np.degrees(places[:, 0] / scale))))


class PlanTracker:
    """Where on the evaluator's plan the car is, by GNSS alone. `set_global_plan`'s two lists: the same places once as
    {'lat', 'lon', 'z'} and once as transforms, with a RoadOption each."""

    def __init__(self, plan_gps: Sequence[tuple[Any, Any]], plan_world: Sequence[tuple[Any, Any]]) -> None:
        places = np.array([vector_from_carla(transform.location)[:2] for transform, _ in plan_world], dtype=np.float64)
        gps = np.array([(place["lat"], place["lon"]) for place, _ in plan_gps], dtype=np.float64)
        if len(places) != len(gps):
            raise ValueError(f"the plan has {len(gps)} places by GPS, but {len(places)} in the world")
        self.route = route_from_plan(places, [int(getattr(option, "value", option)) for _, option in plan_world])
        self.tracker = RouteTracker(self.route)
        self.mirrored: bool | None = None  # None: not known yet
        self._reference = fit_reference(places, gps)

    def update(self, latitude: float, longitude: float) -> None:
        """Whether the server mirrors latitudes shows by which place is nearer to the plan; on the axis of the mirror
        both are right, and the question stays open: until it is answered, the nearer one counts."""
        if self.mirrored is None:
            gaps = {m: self._gap(self._reference.metres(latitude, longitude, m)) for m in (False, True)}
            nearer = min(gaps, key=lambda mirrored: gaps[mirrored])
            decides_m = _DECIDES_AT_START_M if self.tracker.progress_m < _START_M else _DECIDES_LATER_M
            if abs(gaps[True] - gaps[False]) > decides_m:
                self.mirrored = nearer
        else:
            nearer = self.mirrored
        self.tracker.update(*self._reference.metres(latitude, longitude, nearer))

    def _gap(self, place: tuple[float, float]) -> float:
        low = self.tracker.progress_m
        arc, _ = self.route.project(*place, low - RouteTracker.WINDOW_M, low + RouteTracker.WINDOW_M)
        at = self.route.pose_at(arc)
        return math.dist(place, (at.x, at.y))


class FrameReader:
    """`run_step`'s input -> `SensorFrame`. Pictures only once every camera period, as the network was trained."""

    def __init__(self, rig: CameraRig, plan: PlanTracker, camera_period_s: float) -> None:
        self._rig, self._plan, self._period_s = rig, plan, camera_period_s
        self._odometer = Odometer()
        self._time_s: float | None = None
        self._picture_s = -math.inf
        self._speed_mps = 0.0

    def read(self, data: Mapping[str, tuple[int, Any]], time_s: float) -> SensorFrame:
        time_s = round(float(time_s), 6)
        delta_s = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        frame, gnss = data[GNSS]
        self._plan.update(float(gnss[0]), float(gnss[1]))
        speed = data[SPEEDOMETER][1]["speed"]
        if speed is not None:  # the evaluator's way to say that it could not read it
            self._speed_mps = float(speed)
        *_, yaw_rate = turn_rates_from_carla(carla.Vector3D(*map(float, data[IMU][1][_GYROSCOPE])))
        ego = self._odometer.update(self._speed_mps, yaw_rate, delta_s)
        return SensorFrame(int(frame), time_s, self._images(data, time_s), self._rig, ego, self._plan.tracker.hint)

    def _images(self, data: Mapping[str, tuple[int, Any]], time_s: float) -> Mapping[str, ImageArray] | None:
        if time_s - self._picture_s < self._period_s - 1e-4:
            return None
        self._picture_s = time_s
        return {name: np.ascontiguousarray(data[name][1][:, :, 2::-1]) for name in self._rig.names}
