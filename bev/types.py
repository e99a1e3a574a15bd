"""What enters the network and how its bird's-eye view is laid out.

Frames of reference (ISO 8855): *ego* has its origin on the ground below the centre of the car's bounding box,
x forward, y left, z up; *camera mount* axes are the ego axes rotated by (yaw, pitch, roll); *optical* axes
are the computer-vision ones (x right, y down, z forward). Metres, seconds, radians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
ImageArray = npt.NDArray[np.uint8]


class Command(IntEnum):
    """What a navigation voice would say next."""

    FOLLOW = 0  # no junction within reach: stay on this road
    LEFT = 1
    RIGHT = 2
    STRAIGHT = 3


@dataclass(frozen=True)
class RouteHint:
    """The only thing the network is told about the route: as coarse as a voice prompt, no geometry.

    distance_m: metres to the entry of the junction the command is for, 0 inside it, at most `MAX_DISTANCE_M`.
    """

    command: Command
    distance_m: float

    MAX_DISTANCE_M = 60.0


@dataclass(frozen=True)
class Pose2D:
    """A pose on the ground plane: x, y in metres, yaw in radians, counter-clockwise positive."""

    x: float
    y: float
    yaw: float

    def transform_to_local(self, points: FloatArray) -> FloatArray:
        """Points (N, 2) of the frame this pose is given in -> the frame of this pose."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        delta = np.asarray(points, dtype=np.float64) - (self.x, self.y)
        return np.stack([cos * delta[:, 0] + sin * delta[:, 1], cos * delta[:, 1] - sin * delta[:, 0]], axis=1)

    def transform_from_local(self, points: FloatArray) -> FloatArray:
        """Inverse of `transform_to_local`."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        x, y = np.asarray(points, dtype=np.float64).T
        return np.stack([self.x + cos * x - sin * y, self.y + sin * x + cos * y], axis=1)


@dataclass(frozen=True)
class EgoMotion:
    """What the car knows about its own motion.

    speed_mps: from the speedometer. yaw_rate_rps: from the gyroscope, left positive.
    odometry: pose dead-reckoned from these two since the start of the drive; it drifts, and only differences
    over a second or so mean anything.
    standing_s: time since the speed was last above 0.1 m/s, 0 while moving, at most `MAX_STANDING_S`.
    """

    speed_mps: float
    yaw_rate_rps: float
    odometry: Pose2D
    standing_s: float = 0.0

    MAX_STANDING_S = 5.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera fixed to the car. Position in the ego frame [m], angles ISO 8855 [rad]
    (yaw left positive, pitch positive = nose *down*, roll right side down positive)."""

    name: str
    width: int
    height: int
    fov_rad: float  # horizontal
    x: float
    y: float
    z: float
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.fov_rad < np.pi:
            raise ValueError(f"camera {self.name!r}: fov_rad must lie in (0, pi), received {self.fov_rad}")
        if self.width < 8 or self.height < 8:
            raise ValueError(f"camera {self.name!r}: at least 8x8 pixels, received {self.width}x{self.height}")

    @property
    def intrinsics(self) -> FloatArray:
        """(3, 3) matrix K: optical-frame point -> pixel (u right, v down, pixel centres at +0.5)."""
        focal = self.width / (2.0 * np.tan(self.fov_rad / 2.0))
        return np.array([[focal, 0, self.width / 2], [0, focal, self.height / 2], [0, 0, 1]], dtype=np.float64)

    @property
    def ego_from_optical(self) -> FloatArray:
        """(4, 4) rigid transform: optical frame -> ego frame."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        yaw = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        pitch = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        roll = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
        mount_from_optical = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=np.float64)
        out = np.eye(4)
        out[:3, :3] = yaw @ pitch @ roll @ mount_from_optical
        out[:3, 3] = (self.x, self.y, self.z)
        return out

    def to_optical(self, points: FloatArray) -> FloatArray:
        """Points (..., 3) of the ego frame -> the optical frame."""
        optical_from_ego = np.linalg.inv(self.ego_from_optical)
        return points @ optical_from_ego[:3, :3].T + optical_from_ego[:3, 3]

    def project(self, points: FloatArray, nearest_m: float = 1e-6) -> tuple[FloatArray, FloatArray]:
        """Points (..., 3) of the ego frame -> pixels (..., 2) and depth along the optical axis (...,). What is nearer
        than `nearest_m`, or behind, is projected as if it were so far."""
        optical = self.to_optical(points)
        depth = optical[..., 2]
        return (optical @ self.intrinsics.T)[..., :2] / np.maximum(depth, nearest_m)[..., None], depth

    def rays(self, rows: int, columns: int) -> FloatArray:
        """(rows, columns, 3): how far one comes in the ego frame, along the ray through the middle of each cell of the
        picture cut into so many, by a metre of depth along the optical axis."""
        v, u = np.meshgrid(
            (np.arange(rows) + 0.5) * self.height / rows,
            (np.arange(columns) + 0.5) * self.width / columns,
            indexing="ij",
        )
        optical = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(self.intrinsics).T
        return optical @ self.ego_from_optical[:3, :3].T


@dataclass(frozen=True)
class CameraRig:
    """The cameras of one car, in the order in which the network takes them."""

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        names = [camera.name for camera in self.cameras]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a rig needs cameras with distinct names, received {names}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(camera.name for camera in self.cameras)


@dataclass(frozen=True)
class SensorFrame:
    """Everything the driving stack may know at one tick.

    images: camera name -> (H, W, 3) uint8 RGB, or None on ticks between two camera frames.
    """

    frame_id: int
    time_s: float  # simulated time of the exposure
    images: Mapping[str, ImageArray] | None
    rig: CameraRig
    ego: EgoMotion
    hint: RouteHint


@dataclass(frozen=True)
class BevGrid:
    """A ground-plane grid in the ego frame. Row 0 is the farthest ahead, column 0 the leftmost,
    so that an array shown as a picture looks like a map with the car driving up."""

    x_min_m: float = -8.0
    x_max_m: float = 40.0
    y_min_m: float = -24.0
    y_max_m: float = 24.0
    cell_m: float = 0.75

    def __post_init__(self) -> None:
        for low, high in ((self.x_min_m, self.x_max_m), (self.y_min_m, self.y_max_m)):
            cells = (high - low) / self.cell_m
            if cells < 1 or abs(cells - round(cells)) > 1e-6:
                raise ValueError(f"[{low}, {high}] m is no whole number of {self.cell_m} m cells")

    @property
    def rows(self) -> int:
        return round((self.x_max_m - self.x_min_m) / self.cell_m)

    @property
    def columns(self) -> int:
        return round((self.y_max_m - self.y_min_m) / self.cell_m)

    def cell_centres(self) -> FloatArray:
        """(rows, columns, 2) ego-frame x, y of every cell centre."""
        x = self.x_max_m - (np.arange(self.rows) + 0.5) * self.cell_m
        y = self.y_max_m - (np.arange(self.columns) + 0.5) * self.cell_m
        return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)


class BevClass(IntEnum):
    """Channels of the BEV segmentation, each its own yes/no question (they may overlap)."""

    ROAD = 0
    LANE_LINE = 1
    VEHICLE = 2
    STOP = 3  # the strip before a line we must stop at: our light is red or yellow, or a stop sign is yet to be obeyed
    PEDESTRIAN = 4
    CROSSWALK = 5


class BoxKind(IntEnum):
    """What a labelled or detected box holds."""

    VEHICLE = 0
    PEDESTRIAN = 1
    TWO_WHEELER = 2
