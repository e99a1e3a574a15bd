"""Sub-scores of one planned trajectory against what really happened, after NAVSIM's predictive driver model score.

PDMS = NC * DAC * (5 TTC + 5 EP + 2 C) / 12 over 4 s (Dauner et al., "NAVSIM", 2024; `docs/metrics.md` of NAVSIM).
Differences, all because a recording is all there is: the plan is followed exactly (no bicycle model, no controller),
others go where they went (not reactive), and progress is compared with the recorded drive's, not with a planner's best.

Shapes:  P poses of the ego, 0.1 s apart, the first now   U other road users
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy.interpolate import CubicSpline

from bev import FloatArray
from planner.types import WAYPOINT_SPACING_S, WAYPOINTS

Bools = npt.NDArray[np.bool_]

HORIZON_S = WAYPOINTS * WAYPOINT_SPACING_S
STEP_S = 0.1
STEPS = round(HORIZON_S / STEP_S)
EGO_HALF_M = (2.45, 0.92)  # half length and width of the car (Lincoln MKZ)
TTC_S = 0.9  # looked ahead at every pose; NAVSIM: 0.95 s in steps of 0.3 s
STANDING_MPS = 0.1
SHORT_M = 5.0  # with less to be driven, progress says nothing (NAVSIM)
# Bounds of comfort (Bench2Drive, after NAVSIM and nuPlan)
_LONGITUDINAL_MPS2 = (-4.05, 2.40)
_LATERAL_MPS2 = 4.89
_JERK_MPS3 = 8.37
_LONGITUDINAL_JERK_MPS3 = 4.13
_YAW_ACCELERATION_RPS2 = 1.93
_YAW_RATE_RPS = 0.95


@dataclass(frozen=True)
class PlanScore:
    """All in [0, 1]. no_collision: 0 when the ego is to blame for a collision. drivable: 0 when a corner leaves the
    lanes (nan without a map). time_to_collision: 0 when, rolling straight on from some pose, it would hit somebody
    within `TTC_S`. progress: along the recorded way, over the recorded. comfort: 0 beyond a bound."""

    no_collision: float
    drivable: float
    time_to_collision: float
    progress: float
    comfort: float

    @property
    def pdms(self) -> float:
        """Without a map as if drivable."""
        drivable = 1.0 if np.isnan(self.drivable) else self.drivable
        weighed = 5.0 * self.time_to_collision + 5.0 * self.progress + 2.0 * self.comfort
        return self.no_collision * drivable * weighed / 12.0


def poses_of(waypoints: FloatArray, speed_mps: float) -> FloatArray:
    """(WAYPOINTS, 2) from the origin, driven at speed_mps along x -> (P, 3) x, y, yaw: a cubic spline in time; the yaw
    of its tangent, kept while it stands."""
    knots_s = np.arange(WAYPOINTS + 1) * WAYPOINT_SPACING_S
    places = np.concatenate([np.zeros((1, 2)), np.asarray(waypoints, np.float64)])
    spline = CubicSpline(knots_s, places, bc_type=((1, np.array([speed_mps, 0.0])), (2, np.zeros(2))))
    times_s = np.arange(STEPS + 1) * STEP_S
    velocity = spline(times_s, 1)
    yaw, yaws = 0.0, []
    for vx, vy in velocity:
        if np.hypot(vx, vy) > 0.3:
            yaw = float(np.arctan2(vy, vx))
        yaws.append(yaw)
    return np.column_stack([spline(times_s), np.unwrap(yaws)])


def score_plan(
    ego: FloatArray, recorded: FloatArray, users: FloatArray, drivable: shapely.Geometry | None
) -> PlanScore:
    """ego, recorded (P, 3) x, y, yaw as planned and as driven. users (P + TTC steps, U, 5): x, y, yaw, length, width at
    the same moments and a little beyond, nan where unknown. All in one frame, that of drivable too."""
    return PlanScore(
        no_collision=0.0 if _is_to_blame(ego, users) else 1.0,
        drivable=float("nan") if drivable is None else float(_stays_inside(ego, drivable)),
        time_to_collision=0.0 if _is_about_to_hit(ego, users) else 1.0,
        progress=_progress(ego, recorded),
        comfort=float(_is_comfortable(ego)),
    )


def mean_scores(scores: list[PlanScore]) -> Mapping[str, float]:
    """Means over frames; pdms is the mean of the products."""
    names = [*PlanScore.__dataclass_fields__, "pdms"]
    columns = {name: np.array([getattr(score, name) for score in scores]) for name in names}
    return {n: float(np.nanmean(c)) if len(c) and not np.isnan(c).all() else float("nan") for n, c in columns.items()}


def boxes_overlap(a: FloatArray, b: FloatArray) -> Bools:
    """(..., 5) x, y, yaw, length, width each -> (...) whether the rectangles overlap: no axis separates them."""
    apart = np.zeros(np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), dtype=bool)
    gap = b[..., :2] - a[..., :2]
    for frame in (a, b):
        for turn in (0.0, np.pi / 2.0):
            axis = np.stack([np.cos(frame[..., 2] + turn), np.sin(frame[..., 2] + turn)], axis=-1)
            reach = sum(_half_extent(box, axis) for box in (a, b))
            apart = apart | ~(np.abs((gap * axis).sum(-1)) < reach)  # nan: nobody there
    return ~apart


def _half_extent(box: FloatArray, axis: FloatArray) -> FloatArray:
    along = np.stack([np.cos(box[..., 2]), np.sin(box[..., 2])], axis=-1)
    dot = (along * axis).sum(-1)
    cross = along[..., 0] * axis[..., 1] - along[..., 1] * axis[..., 0]
    extent: FloatArray = (np.abs(dot) * box[..., 3] + np.abs(cross) * box[..., 4]) / 2.0
    return extent


def _boxes(ego: FloatArray) -> FloatArray:
    size = np.broadcast_to([2.0 * EGO_HALF_M[0], 2.0 * EGO_HALF_M[1]], (len(ego), 2))
    return np.concatenate([ego, size], axis=1)


def _is_to_blame(ego: FloatArray, users: FloatArray) -> bool:
    """A collision counts when the ego moves and the other is not behind it; who touches it now does not count."""
    hits = boxes_overlap(_boxes(ego)[:, None], users[: len(ego)])
    hits[:, hits[0]] = False
    moving = _speeds(ego)[:, None] > STANDING_MPS
    return bool((hits & moving & ~_is_behind(ego, users[: len(ego)])).any())


def _is_behind(ego: FloatArray, users: FloatArray) -> Bools:
    """(P, U) whether the other's centre lies behind the ego's rear."""
    delta = users[..., :2] - ego[:, None, :2]
    ahead = delta[..., 0] * np.cos(ego[:, None, 2]) + delta[..., 1] * np.sin(ego[:, None, 2])
    behind: Bools = ahead < -EGO_HALF_M[0]
    return behind


def _is_about_to_hit(ego: FloatArray, users: FloatArray) -> bool:
    speeds = _speeds(ego)
    now = boxes_overlap(_boxes(ego[:1])[:, None], users[:1])[0]
    for ahead in range(0, round(TTC_S / STEP_S) + 1, 3):
        rolled = ego.copy()
        rolled[:, 0] += speeds * np.cos(ego[:, 2]) * ahead * STEP_S
        rolled[:, 1] += speeds * np.sin(ego[:, 2]) * ahead * STEP_S
        then = users[ahead : ahead + len(ego)]
        count = len(then)
        hits = boxes_overlap(_boxes(rolled[:count])[:, None], then) & ~now
        moving = speeds[:count, None] > STANDING_MPS
        if (hits & moving & ~_is_behind(ego[:count], then)).any():
            return True
    return False


def _speeds(ego: FloatArray) -> FloatArray:
    step = np.diff(ego[:, :2], axis=0)
    speed: FloatArray = np.hypot(*step.T) / STEP_S
    return np.append(speed, speed[-1])


def _stays_inside(ego: FloatArray, drivable: shapely.Geometry) -> bool:
    length, width = EGO_HALF_M
    offsets = np.array([[length, width], [length, -width], [-length, -width], [-length, width]])
    cos, sin = np.cos(ego[:, None, 2]), np.sin(ego[:, None, 2])
    x = ego[:, None, 0] + cos * offsets[:, 0] - sin * offsets[:, 1]
    y = ego[:, None, 1] + sin * offsets[:, 0] + cos * offsets[:, 1]
    return bool(shapely.contains_xy(drivable, x.ravel(), y.ravel()).all())


def _progress(ego: FloatArray, recorded: FloatArray) -> float:
    """Of the plan's end along the recorded way (prolonged straight on), over the recorded length."""
    steps = np.hypot(*np.diff(recorded[:, :2], axis=0).T)
    driven_m = float(steps.sum())
    end, last = ego[-1, :2], recorded[-1]
    way = np.concatenate([recorded[:, :2], [last[:2] + 100.0 * np.array([np.cos(last[2]), np.sin(last[2])])]])
    made_m = float(shapely.line_locate_point(shapely.linestrings(way), shapely.points(end)))
    most_m = max(made_m, driven_m)
    return 1.0 if most_m < SHORT_M else min(max(made_m / driven_m, 0.0), 1.0) if driven_m > 0.0 else 1.0


def _is_comfortable(ego: FloatArray) -> bool:
    velocity = np.gradient(ego[:, :2], STEP_S, axis=0)
    acceleration = np.gradient(velocity, STEP_S, axis=0)
    jerk = np.gradient(acceleration, STEP_S, axis=0)
    along = np.column_stack([np.cos(ego[:, 2]), np.sin(ego[:, 2])])
    across = np.column_stack([-along[:, 1], along[:, 0]])
    yaw_rate = np.gradient(ego[:, 2], STEP_S)
    longitudinal = (acceleration * along).sum(1)
    return bool(
        (longitudinal > _LONGITUDINAL_MPS2[0]).all()
        and (longitudinal < _LONGITUDINAL_MPS2[1]).all()
        and (np.abs((acceleration * across).sum(1)) < _LATERAL_MPS2).all()
        and (np.hypot(*jerk.T) < _JERK_MPS3).all()
        and (np.abs((jerk * along).sum(1)) < _LONGITUDINAL_JERK_MPS3).all()
        and (np.abs(np.gradient(yaw_rate, STEP_S)) < _YAW_ACCELERATION_RPS2).all()
        and (np.abs(yaw_rate) < _YAW_RATE_RPS).all()
    )
