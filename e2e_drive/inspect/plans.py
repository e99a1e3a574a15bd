"""Plans that swing from frame to frame, a car that is steered jerkily, and plans that are not what should be driven."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bev import FloatArray, Pose2D
from e2e_drive.inspect.findings import Finding, Kind, Outline, Photo, Trace, groups, severity_of
from e2e_drive.inspect.scan import Scan
from planner import SPEED_CLASSES_MPS, Trajectory
from planner.types import WAYPOINT_SPACING_S, WAYPOINTS

_AHEAD_M = 5.0  # where paths are compared
_AT_S = 2.0  # where waypoints are
_SUCCESSIVE_S = 0.5  # plans farther apart than this are not compared
_SWINGS = 3  # so many alternating changes within `_WITHIN_S` are jerky
_WITHIN_S = 1.0
_JERKY_PATH_M, _JERKY_SPEED_M, _JERKY_STEER = 0.4, 3.0, 0.15
_WRONG_PATH_M, _WRONG_WAY_M, _WRONG_SPEED_MPS = 1.0, 5.0, 3.0
_LASTING_S, _LASTING_SHARE, _LASTING_PLANS = 0.8, 0.8, 5
_FUTURE_S = 3.0
_KNOTS_S = np.arange(WAYPOINTS + 1) * WAYPOINT_SPACING_S


def jerky(scan: Scan) -> list[Finding]:
    """Successive plans, or steering commands, that swing to and fro."""
    found: list[Finding] = []
    pairs = [
        (a, b) for (_, a), (_, b) in pairwise(scan.trajectories)
        if 0.0 < (b.frame_id - a.frame_id) * scan.tick_s < _SUCCESSIVE_S
    ]  # fmt: skip
    if pairs:
        ticks = [_seen_at(scan, b) for _, b in pairs]
        times_s, even_s = scan.stamps_s[ticks], scan.even_s[ticks]
        changes = np.array([_change(a, b, (b.frame_id - a.frame_id) * scan.tick_s) for a, b in pairs])
        for column, limit, what, unit in (
            (0, _JERKY_PATH_M, f"planned path {_AHEAD_M:.0f} m ahead swings sideways", "m"),
            (1, _JERKY_SPEED_M, f"planned place in {_AT_S:.0f} s swings to and fro", "m"),
        ):
            for indices in _swings(changes[:, column], even_s, limit):
                worst = int(indices[np.argmax(np.abs(changes[indices, column]))])
                found.append(
                    Finding(
                        Kind.JERKY, times_s[indices[0]], times_s[indices[-1]],
                        severity_of(float(np.abs(changes[indices, column]).max()), 2.0 * limit, 5.0 * limit),
                        f"{what} {len(indices)} times in {times_s[indices[-1]] - times_s[indices[0]]:.2f} s, "
                        f"by up to {abs(changes[worst, column]):.2f} {unit} from one plan to the next",
                        "", times_s[worst],
                        Trace(f"change from plan to plan, {unit}", times_s, changes[:, column], limit),
                        _front(scan, times_s[worst]), _both(*pairs[worst]),
                    )
                )  # fmt: skip
    return found + _jerky_steering(scan)


def _jerky_steering(scan: Scan) -> list[Finding]:
    if len(scan.steers) < 2:
        return []
    ticks, steers = [tick for tick, _ in scan.steers], np.array([steer for _, steer in scan.steers])
    times_s, steps = scan.stamps_s[ticks][1:], np.diff(steers)
    found = []
    for indices in _swings(steps, scan.even_s[ticks][1:], _JERKY_STEER):
        worst = int(indices[np.argmax(np.abs(steps[indices]))])
        found.append(
            Finding(
                Kind.JERKY, times_s[indices[0]], times_s[indices[-1]],
                severity_of(float(np.abs(steps[indices]).max()), 2.0 * _JERKY_STEER, 5.0 * _JERKY_STEER),
                f"steering swings {len(indices)} times in {times_s[indices[-1]] - times_s[indices[0]]:.2f} s, by up to "
                f"{100.0 * abs(steps[worst]):.0f} % of full lock from one tick to the next",
                "steering", times_s[worst],
                Trace("steering, share of full lock", scan.stamps_s[ticks], steers), _front(scan, times_s[worst]),
            )
        )  # fmt: skip
    return found


def _swings(changes: FloatArray, even_s: FloatArray, limit: float) -> list[np.ndarray]:
    """Where large changes of alternating sign follow each other."""
    large = np.flatnonzero(np.abs(changes) > limit)
    busy = np.zeros(len(changes), bool)
    for i in range(len(large) - _SWINGS + 1):
        some = large[i : i + _SWINGS]
        if even_s[some[-1]] - even_s[some[0]] <= _WITHIN_S and np.all(np.diff(np.sign(changes[some])) != 0):
            busy[some] = True
    return groups(busy, even_s, _WITHIN_S)


def _change(before: Trajectory, now: Trajectory, between_s: float) -> tuple[float, float]:
    """(sideways `_AHEAD_M` ahead of the car, along in `_AT_S`) from plan to plan, in the frame of the later [m]."""
    old = _in_frame(before.path, before.origin, now.origin)
    sideways = _side_at(now.path, _AHEAD_M) - _side_at(old, _AHEAD_M)
    place = _in_frame(_place_at(before, _AT_S + between_s), before.origin, now.origin)[0]
    return sideways, float(np.hypot(*_place_at(now, _AT_S)[0]) - np.hypot(*place))


def _in_frame(points: FloatArray, origin: Pose2D, frame: Pose2D) -> FloatArray:
    return frame.transform_to_local(origin.transform_from_local(points))


def _side_at(path: FloatArray, ahead_m: float) -> float:
    """y of a path from the origin where x is ahead_m."""
    xy = np.concatenate([np.zeros((1, 2)), path])
    return float(np.interp(ahead_m, np.maximum.accumulate(xy[:, 0]), xy[:, 1]))


def _place_at(plan: Trajectory, ahead_s: float) -> FloatArray:
    """(1, 2) along the waypoints."""
    xy = np.concatenate([np.zeros((1, 2)), plan.waypoints])
    return np.array([[np.interp(ahead_s, _KNOTS_S, xy[:, 0]), np.interp(ahead_s, _KNOTS_S, xy[:, 1])]])


def _both(before: Trajectory, now: Trajectory) -> tuple[Outline, ...]:
    return (
        Outline("before", _in_frame(before.path, before.origin, now.origin)),
        Outline("plan", np.asarray(now.path, np.float64)),
    )


@dataclass(frozen=True)
class _Off:
    """How one plan differs from what it should have been: sideways [m]; along in `_AT_S` [m] or in speed [m/s]."""

    tick: int
    sideways: float
    along: float
    plan: Trajectory
    reference: FloatArray  # (N, 2) in the frame of the plan


def disagreements(scan: Scan) -> list[Finding]:
    """Plans against the label of the same frame where there is one, else against what was driven then. Only what lasts
    counts: a single odd plan is steered over."""
    labels = {label.frame_id: label for _, label in scan.labels}
    labelled = bool(labels)
    offs = []
    for _, plan in scan.trajectories:
        if labelled and plan.frame_id in labels:
            label = labels[plan.frame_id]
            speed = float(np.dot(plan.speed_probabilities, SPEED_CLASSES_MPS))
            sideways = _side_at(plan.path, _AHEAD_M) - _side_at(label.path, _AHEAD_M)
            offs.append(_Off(_seen_at(scan, plan), sideways, speed - label.target_speed_mps, plan, label.path))
        elif not labelled:
            offs += _off_the_way(scan, plan)
    if not offs:
        return []
    what = "the label" if labelled else "what was driven"
    return [
        *_lasting(scan, offs, "sideways", _WRONG_PATH_M, f"planned path {_AHEAD_M:.0f} m ahead is", "m beside", what),
        *(
            _lasting(scan, offs, "along", _WRONG_SPEED_MPS, "planned speed is", "m/s off", what) if labelled else
            _lasting(scan, offs, "along", _WRONG_WAY_M, f"planned place in {_AT_S:.0f} s is", "m off along", what)
        ),
    ]  # fmt: skip


def _off_the_way(scan: Scan, plan: Trajectory) -> list[_Off]:
    """Against the car's own odometry afterwards; none where the log ends too early. Sideways is nan where the car did
    not come far enough."""
    start = scan.tick_of.get(plan.frame_id, len(scan.ids))
    end = start + round(_FUTURE_S / scan.tick_s)
    if end >= len(scan.ids):
        return []
    steps = np.diff(scan.clocks_s[start : end + 1])
    if np.any(np.diff(scan.ids[start : end + 1]) != 1) or np.any(np.abs(steps - scan.tick_s) > 0.5 * scan.tick_s):
        return []  # time or ticks are missing: what was driven when is not known
    way = plan.origin.transform_to_local(scan.odometry[start : end + 1, :2])
    then = way[round(_AT_S / scan.tick_s)]
    far = float(way[:, 0].max()) if len(way) else 0.0
    sideways = _side_at(plan.path, _AHEAD_M) - _side_at(way, _AHEAD_M) if far >= _AHEAD_M else float("nan")
    return [_Off(start, sideways, float(_place_at(plan, _AT_S)[0, 0] - then[0]), plan, way)]


def _lasting(
    scan: Scan, offs: list[_Off], which: str, limit: float, begins: str, unit: str, what: str
) -> list[Finding]:
    ticks = [off.tick for off in offs]
    times_s, even_s = scan.stamps_s[ticks], scan.even_s[ticks]
    values = np.array([getattr(off, which) for off in offs])
    flags = np.zeros(len(offs), bool)
    for i, now_s in enumerate(even_s):
        last = int(np.searchsorted(even_s, now_s + _LASTING_S))
        window = values[i:last]
        if len(window) < _LASTING_PLANS or even_s[last - 1] - now_s < 0.75 * _LASTING_S:
            continue
        for beyond in (window > limit, window < -limit):
            if beyond.mean() >= _LASTING_SHARE:
                flags[i:last] |= beyond
    found = []
    for indices in groups(flags, even_s, _LASTING_S):
        worst = int(indices[np.argmax(np.abs(values[indices]))])
        lasts_s = even_s[indices[-1]] - even_s[indices[0]]
        found.append(
            Finding(
                Kind.DISAGREEMENT, times_s[indices[0]], times_s[indices[-1]],
                severity_of(abs(values[worst]), 1.5 * limit, 3.0 * limit),
                f"{begins} up to {abs(values[worst]):.1f} {unit} {what}, for {lasts_s:.1f} s",
                "", times_s[worst], Trace(f"plan against {what}, {unit.split()[0]}", times_s, values, limit),
                _front(scan, times_s[worst]),
                (Outline("reference", offs[worst].reference), Outline("plan", np.asarray(offs[worst].plan.path))),
            )
        )  # fmt: skip
    return found


def _seen_at(scan: Scan, plan: Trajectory) -> int:
    """The tick whose pictures a plan comes from; the last one where that is not in the log."""
    return scan.tick_of.get(plan.frame_id, len(scan.stamps) - 1)


def _front(scan: Scan, time_s: float) -> tuple[Photo, ...]:
    """Of the first camera of the rig that has pictures: rigs begin with those ahead."""
    camera = next((name for name in scan.cameras if name in scan.pictures), None)
    return () if camera is None else (Photo(camera, time_s),)
