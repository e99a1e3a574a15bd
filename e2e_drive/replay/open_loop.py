"""Recorded frames through a stack, perhaps with other weights: how its plans compare with what was driven and planned.

Open loop: the car goes where it went. Every plan is judged from the pose at which its images were taken, against the
true way of the car and of all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import shapely

from bev import FloatArray, Pose2D
from e2e_drive.replay.exact import Step
from e2e_drive.replay.recording import Tick
from e2e_drive.scores.pdm import HORIZON_S, STEP_S, STEPS, TTC_S, PlanScore, mean_scores, poses_of, score_plan
from planner import SPEED_CLASSES_MPS, Trajectory
from planner.types import WAYPOINT_SPACING_S

_TOLERANCE_S = 0.03  # how far a logged moment may lie from the wanted one
_BEYOND = round(TTC_S / STEP_S)
_AT_2S = round(2.0 / WAYPOINT_SPACING_S) - 1


@dataclass(frozen=True)
class PlanRow:
    """One answered frame. Errors are against the driven way [m, m/s]; changes against the recorded plan, nan where it
    never came into use. Scores are nan for the last seconds, whose future is not known."""

    frame_id: int
    time_s: float
    waypoint_error_2s: float
    waypoint_error_4s: float
    path_error_2s: float
    speed_error: float
    path_change: float
    waypoint_change_4s: float
    speed_change: float
    control_change: float
    no_collision: float
    drivable: float
    time_to_collision: float
    progress: float
    comfort: float
    pdms: float


@dataclass
class _Way:
    """What really happened, by time."""

    times: list[float] = field(default_factory=list)
    poses: list[Pose2D] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    users: dict[int, dict[int, tuple[float, ...]]] = field(default_factory=dict)  # 10 ms -> actor -> x, y, yaw, size

    def add(self, tick: Tick) -> None:
        if tick.truth is not None:
            self.times.append(tick.frame.time_s)
            self.poses.append(tick.truth.pose)
            self.speeds.append(tick.truth.speed_mps)
        if tick.users is not None:
            self.users[_key(tick.frame.time_s)] = {
                u.actor_id: (u.pose.x, u.pose.y, u.pose.yaw, u.length, u.width) for u in tick.users
            }

    def index(self, time_s: float) -> int | None:
        place = int(np.searchsorted(self.times, time_s - _TOLERANCE_S))
        return place if place < len(self.times) and self.times[place] <= time_s + _TOLERANCE_S else None

    def ego(self, now_s: float, origin: Pose2D) -> FloatArray | None:
        """(P, 3) in the frame of origin; None where the horizon is not covered."""
        places = [self.index(now_s + i * STEP_S) for i in range(STEPS + 1)]
        if None in places:
            return None
        poses = [self.poses[i] for i in places if i is not None]
        xy = origin.transform_to_local(np.array([(pose.x, pose.y) for pose in poses]))
        return np.column_stack([xy, np.unwrap([pose.yaw - origin.yaw for pose in poses])])

    def others(self, now_s: float, origin: Pose2D) -> FloatArray:
        """(P + TTC steps, U, 5) in the frame of origin, nan where somebody is not known of."""
        moments = [self.users.get(_key(now_s + i * STEP_S), {}) for i in range(STEPS + 1 + _BEYOND)]
        names = sorted({name for moment in moments for name in moment})
        table = np.full((len(moments), len(names), 5), np.nan)
        for row, moment in zip(table, moments, strict=True):
            for column, name in enumerate(names):
                if name in moment:
                    row[column] = moment[name]
        table[..., :2] = origin.transform_to_local(table[..., :2].reshape(-1, 2)).reshape(table[..., :2].shape)
        table[..., 2] -= origin.yaw
        return table


@dataclass(frozen=True)
class _Plan:
    answer: Trajectory
    speed_mps: float
    control_change: float


def judge(steps: Iterable[Step], lanes: Sequence[FloatArray]) -> list[PlanRow]:
    """lanes: outlines of what may be driven on, in the world; none: not judged."""
    way, plans, recorded = _Way(), [], {}
    for step in steps:
        way.add(step.tick)
        if step.tick.trajectory is not None:
            recorded[step.tick.trajectory.frame_id] = step.tick.trajectory
        if step.record.answer is not None:
            before, now = step.tick.control, step.record.control
            change = max(abs(b - n) for b, n in zip(vars(before).values(), vars(now).values(), strict=True))
            plans.append(_Plan(step.record.answer, step.tick.frame.ego.speed_mps, change))
    drivable = shapely.union_all([shapely.make_valid(shapely.Polygon(lane)).buffer(0.05) for lane in lanes])
    return [
        _row(plan, way, recorded.get(plan.answer.frame_id), drivable if lanes else None)
        for plan in plans
        if way.index(plan.answer.time_s) is not None
    ]


def summary(rows: Sequence[PlanRow]) -> dict[str, float]:
    """Means over the frames that have a value; frames: all, scored: those with a known future."""
    scores = [_score_of(row) for row in rows if not np.isnan(row.no_collision)]
    names = [name for name in PlanRow.__dataclass_fields__ if name.endswith(("error", "_2s", "_4s", "_change"))]
    found: dict[str, float] = {"frames": len(rows), "scored": len(scores)}
    for name in names:
        values = np.array([getattr(row, name) for row in rows])
        values = values[~np.isnan(values)]
        found[name] = float(values.mean()) if len(values) else float("nan")
        if "change" in name:
            found[f"{name}_max"] = float(values.max()) if len(values) else float("nan")
    return found | dict(mean_scores(scores))


def _row(plan: _Plan, way: _Way, before: Trajectory | None, drivable: shapely.Geometry | None) -> PlanRow:
    answer, now_s, nan = plan.answer, plan.answer.time_s, float("nan")
    start = way.index(now_s)
    assert start is not None
    origin = way.poses[start]
    driven = way.ego(now_s, origin)
    errors, scores = (nan, nan, nan), dict.fromkeys((*PlanScore.__dataclass_fields__, "pdms"), nan)
    if driven is not None:
        at_2s, at_4s = driven[round(2.0 / STEP_S), :2], driven[round(HORIZON_S / STEP_S), :2]
        path = shapely.linestrings(np.concatenate([np.zeros((1, 2)), answer.path]))
        errors = (
            float(np.hypot(*(answer.waypoints[_AT_2S] - at_2s))),
            float(np.hypot(*(answer.waypoints[-1] - at_4s))),
            float(shapely.distance(path, shapely.points(at_2s))),
        )
        local = None if drivable is None else _to_local(drivable, origin)
        score = score_plan(poses_of(answer.waypoints, plan.speed_mps), driven, way.others(now_s, origin), local)
        scores = asdict(score) | {"pdms": score.pdms}
    changes = (nan, nan, nan)
    if before is not None:
        changes = (
            float(np.hypot(*(answer.path - before.path).T).max()),
            float(np.hypot(*(answer.waypoints[-1] - before.waypoints[-1]))),
            abs(_target_speed(answer) - _target_speed(before)),
        )
    speed_error = abs(_target_speed(answer) - way.speeds[start])
    return PlanRow(answer.frame_id, now_s, *errors, speed_error, *changes, plan.control_change, **scores)


def _to_local(geometry: shapely.Geometry, origin: Pose2D) -> shapely.Geometry:
    around = shapely.box(origin.x - 80.0, origin.y - 80.0, origin.x + 80.0, origin.y + 80.0)
    return shapely.transform(shapely.intersection(geometry, around), origin.transform_to_local)


def _target_speed(trajectory: Trajectory) -> float:
    return float(np.dot(trajectory.speed_probabilities, SPEED_CLASSES_MPS))


def _score_of(row: PlanRow) -> PlanScore:
    return PlanScore(**{name: getattr(row, name) for name in PlanScore.__dataclass_fields__})


def _key(time_s: float) -> int:
    return round(time_s * 100)
