"""Detections frame by frame -> tracks: which one is which, how fast it really moves, and where it is when unseen.

Association is that of CenterPoint (Yin et al., arXiv 2006.11275): the surest detection takes the nearest track of its
kind within a gate, then the next one. Greedy rather than the optimal assignment: a false detection beside a true one is
as a rule the less sure, and an optimal assignment may push the true one to another track to make room for it. Tracks
are first moved to the time of the detections; distance also counts velocity, which tells two agents apart that meet in
one place. State is position and velocity in the odometry frame, by a constant-velocity Kalman filter with white noise
in acceleration (Bar-Shalom et al., "Estimation with Applications to Tracking and Navigation", 2001, ch. 6), the same
for both axes and independent, so that one 2x2 covariance does for both.

Frames: detections in the ego frame of their images, tracks in the odometry frame, both ISO 8855. Velocities are over
ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bev.heads.detection import Agent
from bev.types import BoxKind, FloatArray, Pose2D


@dataclass(frozen=True)
class Detection:
    """A box in the ego frame: centre [m], yaw [rad], sizes [m], velocity over ground along the ego axes [m/s], score in
    [0, 1]."""

    kind: BoxKind
    x: float
    y: float
    yaw: float
    length: float
    width: float
    vx: float
    vy: float
    score: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.numbers)):
            raise ValueError(f"a detection consists of finite numbers, received {self}")

    @property
    def numbers(self) -> tuple[float, ...]:
        return (self.x, self.y, self.yaw, self.length, self.width, self.vx, self.vy, self.score)


@dataclass(frozen=True)
class Track:
    """An agent, as believed at the time of the last update, in the odometry frame [m, rad, m/s].

    track_id: the same as long as it is tracked, never given again. hits: frames it was detected in. unseen_s: since the
    last of these. position_var [m^2], velocity_var [m^2/s^2], cross_var [m^2/s]: covariance along either axis.
    """

    track_id: int
    kind: BoxKind
    x: float
    y: float
    yaw: float
    length: float
    width: float
    vx: float
    vy: float
    score: float
    hits: int
    unseen_s: float
    position_var: float
    velocity_var: float
    cross_var: float = 0.0

    def seen_from(self, pose: Pose2D) -> Track:
        """The same in the frame of a pose of the odometry frame; velocity stays one over ground."""
        (x, y), *_ = pose.transform_to_local(np.array([[self.x, self.y]]))
        vx, vy = _turned(self.vx, self.vy, -pose.yaw)
        return replace(self, x=float(x), y=float(y), yaw=_wrapped(self.yaw - pose.yaw), vx=vx, vy=vy)


@dataclass(frozen=True)
class TrackerConfig:
    """gate_m: by `BoxKind`. Sigmas are standard deviations."""

    gate_m: tuple[float, ...] = (2.5, 1.2, 2.0)
    gate_growth_mps: float = 2.0  # by which an unseen track's gate grows
    velocity_share_s: float = 0.4  # a difference of 1 m/s counts as so many metres
    birth_score: float = 0.35  # a surer detection begins a track
    keep_score: float = 0.1  # a less sure one is not even taken for a known agent
    confirm_hits: int = 2  # before that a track is not told of, and dies when it is missed once
    max_unseen_s: float = 1.0
    position_sigma_m: float = 0.4
    velocity_sigma_mps: float = 2.0
    acceleration_sigma: float = 3.0  # [m/s^2 per sqrt(Hz)] of white noise
    shape_gain: float = 0.3  # share of what a detection says of yaw, size and score that is believed at once

    def __post_init__(self) -> None:
        if len(self.gate_m) != len(BoxKind) or min(self.gate_m) <= 0:
            raise ValueError(f"gate_m needs a positive length for each of {len(BoxKind)} kinds, received {self.gate_m}")
        for name in ("position_sigma_m", "velocity_sigma_mps", "acceleration_sigma", "confirm_hits"):
            if getattr(self, name) <= 0:
                raise ValueError(f"tracker: {name} must be positive, received {getattr(self, name)}")
        if not 0.0 < self.shape_gain <= 1.0:
            raise ValueError(f"tracker: shape_gain must lie in (0, 1], received {self.shape_gain}")


class Tracker:
    """Call `update` once a frame, in the order of time."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._tracks: list[Track] = []
        self._next_id = 0
        self._last_s: float | None = None

    def update(self, detections: Iterable[Detection], pose: Pose2D, time_s: float) -> tuple[Track, ...]:
        """pose: odometry at the exposure, time_s. -> the confirmed tracks, oldest first, with those that are unseen for
        a while. The order of detections does not matter."""
        elapsed_s = 0.0 if self._last_s is None else time_s - self._last_s
        if self._last_s is not None and elapsed_s <= 0.0:
            raise ValueError(f"frames must come in the order of time: {time_s} s after {self._last_s} s")
        self._last_s = time_s
        config = self.config
        ordered = sorted(detections, key=lambda d: (-d.score, d.kind, d.numbers))
        found = _in_odometry([d for d in ordered if d.score >= config.keep_score], pose)
        moved = [_predicted(track, elapsed_s, config.acceleration_sigma) for track in self._tracks]
        matches = self._match(found, moved)
        taken = {place: detection for detection, place in matches.items()}
        kept = [
            self._corrected(track, found[taken[place]]) if place in taken else track
            for place, track in enumerate(moved)
            if place in taken or (track.hits >= config.confirm_hits and track.unseen_s <= config.max_unseen_s)
        ]
        born = [
            self._born(detection)
            for index, detection in enumerate(found)
            if index not in matches and detection.score >= config.birth_score
        ]
        self._tracks = kept + born
        return tuple(track for track in self._tracks if track.hits >= config.confirm_hits)

    def _match(self, found: Sequence[Detection], moved: Sequence[Track]) -> dict[int, int]:
        """Index of a detection -> index of its track."""
        if not found or not moved:
            return {}
        config = self.config
        seen, known = (np.array([[o.x, o.y, o.vx, o.vy, o.kind] for o in objects]) for objects in (found, moved))
        off = seen[:, None] - known
        apart = (off[..., :2] ** 2).sum(-1)
        cost = apart + config.velocity_share_s**2 * (off[..., 2:4] ** 2).sum(-1)
        gates = np.array([config.gate_m[track.kind] + config.gate_growth_mps * track.unseen_s for track in moved])
        cost[(off[..., 4] != 0) | (apart > gates**2)] = np.inf
        matches: dict[int, int] = {}
        for index, row in enumerate(cost):
            nearest = int(row.argmin())
            if row[nearest] < np.inf:
                matches[index] = nearest
                cost[:, nearest] = np.inf
        return matches

    def _born(self, detection: Detection) -> Track:
        self._next_id += 1
        return Track(
            track_id=self._next_id - 1,
            **detection.__dict__,
            hits=1,
            unseen_s=0.0,
            position_var=self.config.position_sigma_m**2,
            velocity_var=self.config.velocity_sigma_mps**2,
        )

    def _corrected(self, track: Track, detection: Detection) -> Track:
        """Two scalar Kalman updates an axis: by position, then by velocity."""
        config = self.config
        p, c, v = track.position_var, track.cross_var, track.velocity_var
        total = p + config.position_sigma_m**2
        to_place, to_speed = p / total, c / total
        off_x, off_y = detection.x - track.x, detection.y - track.y
        x, y = track.x + to_place * off_x, track.y + to_place * off_y
        vx, vy = track.vx + to_speed * off_x, track.vy + to_speed * off_y
        p, c, v = p - to_place * p, c - to_place * c, v - to_speed * c
        total = v + config.velocity_sigma_mps**2
        to_place, to_speed = c / total, v / total
        off_x, off_y = detection.vx - vx, detection.vy - vy
        x, y, vx, vy = x + to_place * off_x, y + to_place * off_y, vx + to_speed * off_x, vy + to_speed * off_y
        p, c, v = p - to_place * c, c - to_speed * c, v - to_speed * v
        gain = config.shape_gain
        return replace(
            track,
            x=x,
            y=y,
            vx=vx,
            vy=vy,
            yaw=_wrapped(track.yaw + gain * _wrapped(detection.yaw - track.yaw)),
            length=track.length + gain * (detection.length - track.length),
            width=track.width + gain * (detection.width - track.width),
            score=track.score + gain * (detection.score - track.score),
            hits=track.hits + 1,
            unseen_s=0.0,
            position_var=p,
            velocity_var=v,
            cross_var=c,
        )


def detections_from(agents: FloatArray) -> list[Detection]:
    """agents (A, len(Agent)): what the detection head found in one frame."""
    columns = (Agent.X, Agent.Y, Agent.YAW, Agent.LENGTH, Agent.WIDTH, Agent.VX, Agent.VY, Agent.SCORE)
    return [Detection(BoxKind(int(row[Agent.KIND])), *map(float, row[list(columns)])) for row in np.asarray(agents)]


def _predicted(track: Track, elapsed_s: float, acceleration_sigma: float) -> Track:
    """Constant velocity; white noise of density q in acceleration adds q (t^3/3, t^2/2, t)."""
    t, q = elapsed_s, acceleration_sigma**2
    return replace(
        track,
        x=track.x + t * track.vx,
        y=track.y + t * track.vy,
        unseen_s=track.unseen_s + t,
        position_var=track.position_var + 2 * t * track.cross_var + t**2 * track.velocity_var + q * t**3 / 3,
        cross_var=track.cross_var + t * track.velocity_var + q * t**2 / 2,
        velocity_var=track.velocity_var + q * t,
    )


def _in_odometry(detections: Sequence[Detection], pose: Pose2D) -> list[Detection]:
    places = pose.transform_from_local(np.array([[d.x, d.y] for d in detections]).reshape(-1, 2)).tolist()
    moved = []
    for d, (x, y) in zip(detections, places, strict=True):
        vx, vy = _turned(d.vx, d.vy, pose.yaw)
        moved.append(Detection(d.kind, x, y, _wrapped(d.yaw + pose.yaw), d.length, d.width, vx, vy, d.score))
    return moved


def _turned(x: float, y: float, angle: float) -> tuple[float, float]:
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * x - sin * y, sin * x + cos * y


def _wrapped(angle: float) -> float:
    """The same direction in [-pi, pi]."""
    return math.remainder(angle, 2 * math.pi)
