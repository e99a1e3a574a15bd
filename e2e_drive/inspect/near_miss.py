"""How close the car came to others: gaps between boxes, and the time until they would have touched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from bev import FloatArray
from e2e_drive.inspect.findings import Finding, Kind, Outline, Photo, Severity, Trace, groups
from e2e_drive.inspect.scan import Scan
from e2e_drive.logs import RoadUser
from e2e_drive.scores.pdm import EGO_HALF_M

_NEAR_M = 20.0  # between centres; farther ones are not looked at
_GAP_M = {"walker": 0.7, "": 0.5}  # closer than this is a near miss; traffic passes at 0.8 m
_RELATIVE_MPS = 1.0  # those who stand beside each other miss nobody
_TTC_S, _TTC_STEP_S, _TTC_RELATIVE_MPS = 0.8, 0.1, 3.0
_JOIN_S = 1.0
_STEP_S = 0.6  # between two looks at the others; farther apart says nothing about their speed
_FAR_S = 9.9
_OFFSETS_S = np.arange(_TTC_STEP_S, _TTC_S + 1e-9, _TTC_STEP_S)


@dataclass(frozen=True)
class _Moment:
    """One other road user at one time. gap_m: between the boxes. ttc_s: both going on as they do."""

    time_s: float
    user: RoadUser
    gap_m: float
    relative_mps: float
    ttc_s: float
    ego: FloatArray  # x, y, yaw

    @property
    def is_near(self) -> bool:
        limit = _GAP_M.get(self.user.type_id.split(".")[0], _GAP_M[""])
        close = self.gap_m < limit and self.relative_mps > _RELATIVE_MPS
        return close or (self.ttc_s <= _TTC_S and self.relative_mps > _TTC_RELATIVE_MPS)


def near_misses(scan: Scan) -> list[Finding]:
    moments: dict[int, list[_Moment]] = {}
    for moment in _moments(scan):
        moments.setdefault(moment.user.actor_id, []).append(moment)
    found = []
    for track in moments.values():
        times_s = np.array([moment.time_s for moment in track])
        for indices in groups([moment.is_near for moment in track], times_s, _JOIN_S):
            found.append(_finding(scan, track, [track[i] for i in indices]))
    return found


def _moments(scan: Scan) -> list[_Moment]:
    """Only where others are near."""
    found: list[_Moment] = []
    before: dict[int, RoadUser] = {}
    before_tick, last = -1, None
    for tick, users in scan.surroundings():
        truth = scan.truths.get(scan.frame_ids[tick])
        if truth is None:
            continue
        ego = np.array([truth.pose.x, truth.pose.y, truth.pose.yaw])
        step_s = (scan.frame_ids[tick] - scan.frame_ids[before_tick]) * scan.tick_s
        if last is not None and 0.0 < step_s < _STEP_S:
            rate = _rate(last, ego, step_s)
            found += [
                _moment(float(scan.stamps_s[tick]), user, before[user.actor_id], step_s, ego, rate)
                for user in users
                if user.actor_id in before and np.hypot(user.pose.x - ego[0], user.pose.y - ego[1]) < _NEAR_M
            ]
        before_tick, last, before = tick, ego, {user.actor_id: user for user in users}
    return found


def _rate(before: FloatArray, now: FloatArray, step_s: float) -> FloatArray:
    """(3,) of x, y, yaw."""
    turned = (now[2] - before[2] + np.pi) % (2.0 * np.pi) - np.pi
    return np.array([*(now - before)[:2], turned]) / step_s


def _moment(stamp: float, user: RoadUser, old: RoadUser, step_s: float, ego: FloatArray, rate: FloatArray) -> _Moment:
    pose = np.array([user.pose.x, user.pose.y, user.pose.yaw])
    user_rate = _rate(np.array([old.pose.x, old.pose.y, old.pose.yaw]), pose, step_s)
    half = (user.length / 2.0, user.width / 2.0)
    gap = float(shapely.distance(_box(ego[None], EGO_HALF_M)[0], _box(pose[None], half)[0]))
    relative = float(np.hypot(*(rate - user_rate)[:2]))
    ttc = _FAR_S
    if relative > _TTC_RELATIVE_MPS and gap < relative * _TTC_S:
        ours, theirs = _box(_ahead(ego, rate), EGO_HALF_M), _box(_ahead(pose, user_rate), half)
        touching = np.flatnonzero(shapely.intersects(ours, theirs))
        ttc = float(_OFFSETS_S[touching[0]]) if len(touching) else _FAR_S
    return _Moment(stamp, user, gap, relative, 0.0 if gap == 0.0 else ttc, ego)


def _ahead(pose: FloatArray, rate: FloatArray) -> FloatArray:
    """(S, 3) at constant speed and turn rate."""
    yaw = pose[2] + rate[2] * _OFFSETS_S
    middle = rate[2] * _OFFSETS_S / 2.0  # the chord of an arc points half its turn ahead
    x = rate[0] * np.cos(middle) - rate[1] * np.sin(middle)
    y = rate[0] * np.sin(middle) + rate[1] * np.cos(middle)
    return np.stack([pose[0] + x * _OFFSETS_S, pose[1] + y * _OFFSETS_S, yaw], axis=1)


def _box(poses: FloatArray, half_m: tuple[float, float]) -> np.ndarray:
    """(S, 3) x, y, yaw -> S polygons."""
    return shapely.polygons(_corners(poses, half_m))


def _corners(poses: FloatArray, half_m: tuple[float, float]) -> FloatArray:
    """(S, 3) -> (S, 4, 2)."""
    local = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)]) * half_m
    cos, sin = np.cos(poses[:, 2, None]), np.sin(poses[:, 2, None])
    x = poses[:, 0, None] + cos * local[:, 0] - sin * local[:, 1]
    y = poses[:, 1, None] + sin * local[:, 0] + cos * local[:, 1]
    return np.stack([x, y], axis=-1)


def _finding(scan: Scan, track: list[_Moment], near: list[_Moment]) -> Finding:
    worst = min(near, key=lambda m: (m.gap_m, m.ttc_s))
    ttc_s = min(m.ttc_s for m in near)
    severity = Severity.HIGH if worst.gap_m < 0.15 or ttc_s <= 0.35 else Severity.MEDIUM
    who = f"{worst.user.type_id or 'road user'} (actor {worst.user.actor_id})"
    how = "touches" if worst.gap_m == 0.0 else f"comes within {worst.gap_m:.2f} m of"
    left = "" if ttc_s > _TTC_S or worst.gap_m == 0.0 else f"; {ttc_s:.1f} s before they would have touched"
    gaps = Trace(
        f"gap to actor {worst.user.actor_id}, m",
        np.array([m.time_s for m in track]), np.array([m.gap_m for m in track]), _GAP_M[""],
    )  # fmt: skip
    return Finding(
        Kind.NEAR_MISS, near[0].time_s, near[-1].time_s, severity,
        f"the car {how} {who} at {worst.relative_mps:.1f} m/s relative speed{left}",
        str(worst.user.actor_id), worst.time_s, gaps, _photos(scan, worst), _seen_from_above(worst),
    )  # fmt: skip


def _photos(scan: Scan, worst: _Moment) -> tuple[Photo, ...]:
    """From the cameras that most likely see it: those ahead, or the one to the rear."""
    dx, dy = worst.user.pose.x - worst.ego[0], worst.user.pose.y - worst.ego[1]
    ahead, left = (
        np.cos(worst.ego[2]) * dx + np.sin(worst.ego[2]) * dy,
        np.cos(worst.ego[2]) * dy - np.sin(worst.ego[2]) * dx,
    )
    wanted = ("rear",) if ahead < 0.0 else (("front_left",) if left > 0.0 else ("front_right",))
    names = [name for name in (*wanted, *scan.cameras) if name in scan.pictures]
    return (Photo(names[0], worst.time_s - 0.5), Photo(names[0], worst.time_s)) if names else ()


def _seen_from_above(worst: _Moment) -> tuple[Outline, ...]:
    """In the ego's frame, with the boxes of both."""
    x, y, yaw = worst.ego
    pose = np.array([[worst.user.pose.x, worst.user.pose.y, worst.user.pose.yaw]])
    corners = _corners(pose, (worst.user.length / 2.0, worst.user.width / 2.0))[0] - (x, y)
    cos, sin = np.cos(yaw), np.sin(yaw)
    local = np.stack([cos * corners[:, 0] + sin * corners[:, 1], cos * corners[:, 1] - sin * corners[:, 0]], axis=1)
    return (Outline("other", np.concatenate([local, local[:1]])),)
