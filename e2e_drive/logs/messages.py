"""Our types <-> the log's protobuf messages, one pair of functions a type."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bev import Command, EgoMotion, Pose2D, RouteHint
from e2e_drive.logs.poses import pose_message, pose_of
from e2e_drive.logs.schema import message_class
from planner.types import Control, Trajectory
from scheduling.problem import PayloadBytes
from scheduling.types import LinkGeometry, LinkState, Place, Schedule, Span, StageGraph, Timeline

_EgoState = message_class("EgoState")
_RouteHint = message_class("RouteHint")
_Trajectory = message_class("TrajectoryMsg")
_Control = message_class("ControlMsg")
_Schedule = message_class("ScheduleMsg")
_Span = message_class("SpanMsg")
_Timeline = message_class("TimelineMsg")
_Link = message_class("LinkMsg")
_Truth = message_class("TruthMsg")
_Payloads = message_class("PayloadsMsg")
_Infraction = message_class("InfractionMsg")


@dataclass(frozen=True)
class EgoTruth:
    """Where the car really is: pose of the ego frame in the world (ISO 8855), progress along its route."""

    frame_id: int
    pose: Pose2D
    speed_mps: float
    route_progress_m: float


@dataclass(frozen=True)
class InfractionNote:
    """One infraction, under its Leaderboard name, when it happened."""

    kind: str
    message: str


def ego_message(frame_id: int, time_s: float, ego: EgoMotion) -> Any:
    return _EgoState(
        frame_id=frame_id,
        time_s=time_s,
        speed_mps=ego.speed_mps,
        yaw_rate_rps=ego.yaw_rate_rps,
        odometry=pose_message(ego.odometry),
        standing_s=ego.standing_s,
    )


def ego_of(message: Any) -> EgoMotion:
    return EgoMotion(message.speed_mps, message.yaw_rate_rps, pose_of(message.odometry), message.standing_s)


def hint_message(frame_id: int, hint: RouteHint) -> Any:
    return _RouteHint(frame_id=frame_id, command=hint.command.name, distance_m=hint.distance_m)


def hint_of(message: Any) -> RouteHint:
    return RouteHint(Command[message.command], message.distance_m)


def trajectory_message(trajectory: Trajectory) -> Any:
    return _Trajectory(
        frame_id=trajectory.frame_id,
        time_s=trajectory.time_s,
        origin=pose_message(trajectory.origin),
        path_xy=np.ravel(trajectory.path).tolist(),
        speed_probabilities=np.ravel(trajectory.speed_probabilities).tolist(),
        waypoints_xy=np.ravel(trajectory.waypoints).tolist(),
        probabilities=np.ravel(trajectory.speed_probabilities).tolist(),
        light_probabilities=np.ravel(trajectory.light_probabilities).tolist(),
    )


def trajectory_of(message: Any) -> Trajectory:
    """Bit for bit what the network said: path and waypoints leave it as float32, the probabilities as float64."""
    probabilities: Any = np.array(message.probabilities, dtype=np.float64)
    if len(probabilities) == 0:  # logs from before there was replay
        probabilities = np.array(message.speed_probabilities, dtype=np.float32)
    light: Any = {"light_probabilities": np.array(message.light_probabilities, dtype=np.float64)}
    return Trajectory(
        frame_id=message.frame_id,
        time_s=message.time_s,
        origin=pose_of(message.origin),
        path=np.array(message.path_xy, dtype=np.float32).reshape(-1, 2),
        speed_probabilities=probabilities,
        waypoints=np.array(message.waypoints_xy, dtype=np.float32).reshape(-1, 2),
        **(light if len(message.light_probabilities) else {}),  # older logs do not say it
    )


def control_message(control: Control, trajectory_frame_id: int) -> Any:
    """trajectory_frame_id: the frame whose trajectory was followed, -1 for none."""
    return _Control(
        throttle=control.throttle, brake=control.brake, steer=control.steer, trajectory_frame_id=trajectory_frame_id
    )


def control_of(message: Any) -> Control:
    return Control(message.throttle, message.brake, message.steer)


def schedule_message(frame_id: int, schedule: Schedule, graph: StageGraph) -> Any:
    codecs = sorted(schedule.codecs.items())
    return _Schedule(
        frame_id=frame_id,
        stages=[stage.name for stage in graph.stages],
        places=[Place(place).name for place in schedule.place],
        tensors=[tensor for tensor, _ in codecs],
        codecs=[codec for _, codec in codecs],
        has_fallback_at=schedule.fallback_at_s is not None,
        fallback_at_s=schedule.fallback_at_s or 0.0,
        expected_latency_s=schedule.expected_latency_s,
        policy=schedule.policy,
        model=schedule.model,
        precisions=schedule.precisions,
        decided_at=Place(schedule.decided_at).name,
        fifo=schedule.fifo,
    )


def schedule_of(message: Any) -> Schedule:
    return Schedule(
        place=tuple(Place[place] for place in message.places),
        codecs=dict(zip(message.tensors, message.codecs, strict=True)),
        fallback_at_s=message.fallback_at_s if message.has_fallback_at else None,
        expected_latency_s=message.expected_latency_s,
        policy=message.policy,
        model=message.model,
        precisions=tuple(message.precisions),
        decided_at=Place[message.decided_at or "CAR"],  # logs from before there were remote controllers
        fifo=message.fifo,
    )


def timeline_message(timeline: Timeline) -> Any:
    return _Timeline(
        frame_id=timeline.frame_id,
        capture_s=timeline.capture_s,
        dropped=timeline.ready_s is None,
        ready_s=timeline.ready_s or 0.0,
        spans=[
            _Span(stage=s.stage, resource=s.resource, start_s=s.start_s, end_s=s.end_s, bytes=s.bytes)
            for s in timeline.spans
        ],
        used_fallback=timeline.used_fallback,
        bytes_up=timeline.bytes_up,
        bytes_down=timeline.bytes_down,
        car_j=timeline.car_j,
    )


def timeline_of(message: Any) -> Timeline:
    return Timeline(
        frame_id=message.frame_id,
        capture_s=message.capture_s,
        ready_s=None if message.dropped else message.ready_s,
        spans=tuple(Span(s.stage, s.resource, s.start_s, s.end_s, s.bytes) for s in message.spans),
        used_fallback=message.used_fallback,
        bytes_up=message.bytes_up,
        bytes_down=message.bytes_down,
        car_j=message.car_j,
    )


def link_message(state: LinkState, geometry: LinkGeometry) -> Any:
    return _Link(
        up_bps=state.up_bps,
        down_bps=state.down_bps,
        rtt_s=state.rtt_s,
        loss=state.loss,
        rsu=state.rsu,
        available=state.available,
        distance_m=geometry.distance_m,
        line_of_sight=geometry.line_of_sight,
        blocking_vehicles=geometry.blocking_vehicles,
        wan_rtt_s=state.wan_rtt_s,
        wan_bps=state.wan_bps,
        has_geometry=True,
        geometry_rsu=geometry.rsu,
        blocker_height_m=geometry.blocker_height_m,
        geometry_speed_mps=geometry.speed_mps,
    )


def link_of(message: Any) -> LinkState:
    state = LinkState(
        message.up_bps, message.down_bps, message.rtt_s, message.loss, message.rsu, available=message.available
    )
    if message.wan_bps == 0.0 and message.wan_rtt_s == 0.0 and not message.has_geometry:
        return state  # logs from before there was a cloud
    return replace(state, wan_rtt_s=message.wan_rtt_s, wan_bps=message.wan_bps)


def geometry_of(message: Any) -> LinkGeometry | None:
    """None in logs that do not hold all of it."""
    if not message.has_geometry:
        return None
    return LinkGeometry(
        message.geometry_rsu,
        message.distance_m,
        message.line_of_sight,
        message.blocking_vehicles,
        message.blocker_height_m,
        message.geometry_speed_mps,
    )


def payloads_message(frame_id: int, payloads: PayloadBytes) -> Any:
    rows = [(tensor, codec, size) for tensor, sizes in payloads.items() for codec, size in sizes.items()]
    tensors, codecs, sizes = zip(*rows, strict=True) if rows else ((), (), ())
    return _Payloads(frame_id=frame_id, tensors=tensors, codecs=codecs, bytes=[round(size) for size in sizes])


def payloads_of(message: Any) -> dict[str, dict[str, float]]:
    """Tensor -> codec -> bytes."""
    found: dict[str, dict[str, float]] = {}
    for tensor, codec, size in zip(message.tensors, message.codecs, message.bytes, strict=True):
        found.setdefault(tensor, {})[codec] = float(size)
    return found


def truth_message(truth: EgoTruth) -> Any:
    return _Truth(
        frame_id=truth.frame_id,
        pose=pose_message(truth.pose),
        speed_mps=truth.speed_mps,
        route_progress_m=truth.route_progress_m,
    )


def truth_of(message: Any) -> EgoTruth:
    return EgoTruth(message.frame_id, pose_of(message.pose), message.speed_mps, message.route_progress_m)


def infraction_message(note: InfractionNote) -> Any:
    return _Infraction(kind=note.kind, message=note.message)


def infraction_of(message: Any) -> InfractionNote:
    return InfractionNote(message.kind, message.message)
