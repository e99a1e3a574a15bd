"""The stack as a driving policy on AlpaSim's `egodriver` contract. Needs the extra `alpasim`.

A runtime starts sessions, sends encoded pictures, estimated ego motion and the route, and asks for a plan; we answer
with the trajectory that our own schedule and link have made ready by then, so latency shows here as it does elsewhere.
Frames of reference: AlpaSim's *rig* has its origin on the ground below the rear axle, our ego frame below the middle
of the car; both are x forward, y left, z up. There are no roadside units: the radio has one in plain sight 80 m away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from carla_driver_interface.driver import BaseDriver, CameraFrame, DriveContext, DriveResult, SessionState
from carla_driver_interface.geometry import Pose, Trajectory, optical_to_body
from omegaconf import DictConfig

from bev import Camera, CameraRig, Command, EgoMotion, FloatArray, ImageArray, Pose2D, RouteHint, SensorFrame
from carla_bridge.odometry import REAR_AXLE_M, STANDING_MPS
from carla_bridge.routes import HINT_STEP_M, TURN_RAD
from e2e_drive.apps.options import rig_of
from e2e_drive.faces.setup import FIXED_GEOMETRY, make_stack
from e2e_drive.stack import DrivingStack
from planner import WAYPOINT_SPACING_S, WAYPOINTS
from planner import Trajectory as Planned

_STEP_M = 1.0  # between two places at which the route's heading is looked at
_TURN_WITHIN_M = 25.0  # a bend that turns by TURN_RAD over a longer stretch is no junction


@dataclass
class Rollout:
    """One session's stack and clock. camera_ids: name in our rig -> logical id."""

    stack: DrivingStack
    rig: CameraRig
    camera_ids: Mapping[str, str]
    start_us: int | None = None
    newest_us: int = -1  # of the pictures seen last
    last_s: float = 0.0
    standing_s: float = 0.0
    frames: int = 0


class StackPolicy(BaseDriver):
    """One driving stack a session. camera_ids: which of the runtime's cameras stands for which of the rig's; a camera
    that is not named is looked for under the rig's own name."""

    name = "e2e-drive"

    def __init__(self, cfg: DictConfig, camera_ids: Mapping[str, str] | None = None) -> None:
        self._cfg, self._rig = cfg, rig_of(cfg)
        self._ids = {camera.name: (camera_ids or {}).get(camera.name, camera.name) for camera in self._rig.cameras}
        self._rollouts: dict[str, Rollout] = {}

    def on_session_start(self, session: SessionState) -> None:
        """ValueError, which the service tells the runtime, where a camera is missing or no pinhole."""
        rig = rig_of_session(session, self._rig, self._ids)
        self._rollouts[session.uuid] = Rollout(make_stack(self._cfg, rig), rig, self._ids)

    def on_session_close(self, session: SessionState) -> None:
        self._rollouts.pop(session.uuid, None)

    def drive(self, ctx: DriveContext) -> DriveResult:
        rollout = self._rollouts[ctx.session.uuid]
        frame = read_frame(rollout, ctx.session, ctx.time_now_us)
        control = rollout.stack.step(frame, replace(FIXED_GEOMETRY, speed_mps=abs(frame.ego.speed_mps)))
        record = rollout.stack.last
        assert record is not None
        scalars = {"throttle": control.throttle, "brake": control.brake, "steer": control.steer}
        if record.timeline is not None and record.timeline.latency_s is not None:
            scalars["latency_s"] = record.timeline.latency_s
        return DriveResult(plan_in_rig(record.trajectory, frame, ctx.time_now_us), debug_scalars=scalars)


def rig_of_session(session: SessionState, rig: CameraRig, ids: Mapping[str, str]) -> CameraRig:
    """Our cameras with the lenses and mounts that the runtime declares; pictures are brought to our sizes."""
    cameras = []
    for camera in rig.cameras:
        declared = session.cameras.get(ids[camera.name])
        if declared is None:
            raise ValueError(f"camera {ids[camera.name]!r} is missing; declared are {sorted(session.cameras)}")
        if not declared.intrinsics.HasField("opencv_pinhole_param"):
            raise ValueError(f"camera {ids[camera.name]!r} is no pinhole camera, which is all that we can look through")
        focal = declared.intrinsics.opencv_pinhole_param.focal_length_x
        if focal <= 0.0:
            raise ValueError(f"camera {ids[camera.name]!r}: focal_length_x must be above 0, received {focal}")
        fov = 2.0 * math.atan(declared.intrinsics.resolution_w / (2.0 * focal))
        body = optical_to_body(Pose.from_proto(declared.rig_to_camera))
        yaw, pitch, roll = (float(angle) for angle in body.rotation.as_euler("ZYX"))
        x, y, z = (float(value) for value in body.position)
        cameras.append(Camera(camera.name, camera.width, camera.height, fov, x - REAR_AXLE_M, y, z, yaw, pitch, roll))
    return CameraRig(tuple(cameras))


def read_frame(rollout: Rollout, session: SessionState, now_us: int) -> SensorFrame:
    """What the session has observed, as our stack sees it; times count from the first drive."""
    if rollout.start_us is None:
        rollout.start_us = now_us
    time_s = round((now_us - rollout.start_us) / 1e6, 6)
    state, pose = session.latest_dynamic_state(), session.latest_pose()
    speed = 0.0 if state is None else float(state.linear_velocity.x)
    yaw_rate = 0.0 if state is None else float(state.angular_velocity.z)
    standing = abs(speed) <= STANDING_MPS
    stood_s = rollout.standing_s + time_s - rollout.last_s
    rollout.standing_s = min(stood_s, EgoMotion.MAX_STANDING_S) if standing else 0.0
    rollout.last_s = time_s
    rollout.frames += 1
    at = Pose2D(0.0, 0.0, 0.0) if pose is None else middle_of(pose)
    ego = EgoMotion(speed, yaw_rate, at, round(rollout.standing_s, 6))
    hint = hint_from_waypoints(session.route_waypoints_in_rig[:, :2])
    return SensorFrame(rollout.frames, time_s, _new_images(rollout, session), rollout.rig, ego, hint)


def _new_images(rollout: Rollout, session: SessionState) -> Mapping[str, ImageArray] | None:
    """All cameras' newest pictures, None unless every one of them is new."""
    frames = [session.latest_frame(rollout.camera_ids[camera.name]) for camera in rollout.rig.cameras]
    taken = [frame for frame in frames if isinstance(frame, CameraFrame) and frame.timestamp_us > rollout.newest_us]
    if len(taken) < len(frames):
        return None
    rollout.newest_us = max(frame.timestamp_us for frame in taken)
    sized = zip(rollout.rig.cameras, taken, strict=True)
    return {camera.name: _resized(frame.as_array(), camera) for camera, frame in sized}


def _resized(image: ImageArray, camera: Camera) -> ImageArray:
    return np.asarray(cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA), np.uint8)


def middle_of(rear_axle: Pose) -> Pose2D:
    """Where the middle of a car is whose rig stands at a pose."""
    yaw = rear_axle.yaw
    x, y = float(rear_axle.position[0]), float(rear_axle.position[1])
    return Pose2D(x + REAR_AXLE_M * math.cos(yaw), y + REAR_AXLE_M * math.sin(yaw), yaw)


def hint_from_waypoints(waypoints: FloatArray) -> RouteHint:
    """The first turn on the way ahead, waypoints (N, 2) [m]. The contract has no map: a junction that is crossed
    straight on cannot be told from an open road, and is not announced."""
    ahead = np.asarray(waypoints, dtype=np.float64)
    follow = RouteHint(Command.FOLLOW, RouteHint.MAX_DISTANCE_M)
    marks = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(ahead, axis=0).T))]) if len(ahead) > 1 else np.zeros(1)
    reach_m = min(float(marks[-1]), RouteHint.MAX_DISTANCE_M + _TURN_WITHIN_M)
    if reach_m < 2.0 * _STEP_M:
        return follow
    arcs = np.arange(0.0, reach_m, _STEP_M)
    points = np.stack([np.interp(arcs, marks, ahead[:, axis]) for axis in (0, 1)], axis=1)
    steps = np.diff(points, axis=0)
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    span = round(_TURN_WITHIN_M / _STEP_M)
    for first in range(min(len(headings), round(RouteHint.MAX_DISTANCE_M / _STEP_M))):
        turns = headings[first : first + span] - headings[first]
        if np.abs(turns).max() > TURN_RAD:
            begin = first + max(int(np.argmax(np.abs(turns) > math.radians(5.0))) - 1, 0)
            turn = float(turns[np.argmax(np.abs(turns) > TURN_RAD)])
            distance = min(math.ceil(arcs[begin] / HINT_STEP_M) * HINT_STEP_M, RouteHint.MAX_DISTANCE_M)
            return RouteHint(Command.LEFT if turn > 0.0 else Command.RIGHT, distance)
    return follow


def plan_in_rig(planned: Planned | None, frame: SensorFrame, now_us: int) -> Trajectory:
    """The waypoints still to come of the trajectory in use, as poses of the rig seen from the rig of now; empty, which
    the runtime takes as "hold", while there are none."""
    plan = Trajectory.empty()
    if planned is None:
        return plan
    places = np.concatenate([np.zeros((1, 2)), planned.waypoints])
    here = frame.ego.odometry.transform_to_local(planned.origin.transform_from_local(places))
    start_yaw = planned.origin.yaw - frame.ego.odometry.yaw
    yaw = math.atan2(math.sin(start_yaw), math.cos(start_yaw))
    for k in range(1, WAYPOINTS + 1):
        step = here[k] - here[k - 1]
        if math.hypot(*step) > STANDING_MPS * WAYPOINT_SPACING_S:  # a car that stands keeps its heading
            yaw = math.atan2(step[1], step[0])
        ahead_s = planned.time_s + k * WAYPOINT_SPACING_S - frame.time_s
        if ahead_s > 1e-6:
            x = float(here[k, 0]) + REAR_AXLE_M * (1.0 - math.cos(yaw))
            y = float(here[k, 1]) - REAR_AXLE_M * math.sin(yaw)
            plan.append(now_us + round(ahead_s * 1e6), Pose.from_xyz_yaw(x, y, 0.0, yaw))
    return plan
