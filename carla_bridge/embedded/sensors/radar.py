"""sensor.other.radar.

CARLA's rules (Radar.cpp of the public carla repository): each step shoots int(points_per_second * dt) rays into an
elliptic cone, with radius and angle drawn uniformly; a hit tells how fast its target moves away along the ray, relative
to the sensor, and its azimuth, altitude and distance in the sensor's frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.actors import Actor, Vec3
from carla_bridge.embedded.messages import SensorType, sensor_header
from carla_bridge.embedded.rays import RayFrame, RayScene
from carla_bridge.embedded.sensors.echoes import MAX_POINTS_PER_SECOND, MAX_RANGE_M, Attributes
from carla_bridge.embedded.stream import Message, Stream
from carla_bridge.embedded.types import Pose

F64 = npt.NDArray[np.float64]
RADAR = "sensor.other.radar"


@dataclass(frozen=True)
class Targets:
    """How fast the actors of one moment move."""

    ids: npt.NDArray[np.int64]  # (N,) ascending
    velocities: F64  # (N, 3) [m/s] world

    def velocity_of(self, actor_ids: npt.NDArray[np.uint32]) -> F64:
        """(R, 3); 0 for the static world and for actors that do not move by themselves."""
        result = np.zeros((len(actor_ids), 3))
        if len(self.ids):
            row = np.minimum(np.searchsorted(self.ids, actor_ids), len(self.ids) - 1)
            known = self.ids[row] == actor_ids
            result[known] = self.velocities[row[known]]
        return result


@dataclass(frozen=True)
class RadarSettings:
    horizontal_deg: float
    vertical_deg: float
    range_m: float
    points_per_second: int
    seed: int


class Radar:
    """One radar actor."""

    def __init__(self, actor: Actor) -> None:
        """CarlaError for a device that cannot be."""
        read = Attributes(actor)
        self._settings = RadarSettings(
            read.number("horizontal_fov", 30.0, 0.0, 179.0),
            read.number("vertical_fov", 30.0, 0.0, 179.0),
            read.number("range", 100.0, 0.0, MAX_RANGE_M),
            read.whole("points_per_second", 1500, 0, MAX_POINTS_PER_SECOND),
            read.seed(),
        )
        self._scans = 0

    def scan(
        self,
        stream: Stream,
        pose: Pose,
        velocity: Vec3,
        targets: Targets,
        frame_number: int,
        timestamp_s: float,
        delta_s: float,
    ) -> Scan:
        self._scans += 1
        count = int(self._settings.points_per_second * delta_s + 1e-6)
        return Scan(stream, self._settings, pose, velocity, targets, frame_number, timestamp_s, count, self._scans)


@dataclass(frozen=True)
class Scan:
    """One measurement to take."""

    stream: Stream
    settings: RadarSettings
    pose: Pose
    velocity: Vec3  # of the sensor [m/s] world
    targets: Targets
    frame_number: int
    timestamp_s: float
    count: int
    number: int  # of the scan: each has its own random numbers, in whatever order scans are taken

    def take(self, rays: RayScene, frame: RayFrame) -> Message:
        settings = self.settings
        random = np.random.default_rng((settings.seed, self.number))
        radius, angle = random.random(self.count), random.uniform(0.0, 2.0 * math.pi, self.count)
        local = np.column_stack(
            [
                np.ones(self.count),
                math.tan(math.radians(0.5 * settings.horizontal_deg)) * radius * np.cos(angle),
                math.tan(math.radians(0.5 * settings.vertical_deg)) * radius * np.sin(angle),
            ]
        )
        # The range counts along the sensor's axis: a ray ends on the plane at that distance.
        stretch = np.linalg.norm(local, axis=1)
        matrix = self.pose.matrix()
        directions = local @ matrix[:3, :3].T
        hits = rays.cast(frame, matrix[:3, 3], directions, settings.range_m)
        met = np.isfinite(hits.distance)
        local, stretch = local[met], stretch[met]
        unit = directions[met] / stretch[:, None]
        relative = self.targets.velocity_of(hits.actor_id[met]) - np.array(self.velocity)
        detections = np.empty((len(local), 4), "<f4")
        detections[:, 0] = np.einsum("ij,ij->i", relative, unit)
        detections[:, 1] = np.arctan2(local[:, 1], local[:, 0])
        detections[:, 2] = np.arcsin(local[:, 2] / stretch)
        detections[:, 3] = hits.distance[met] * stretch
        header = sensor_header(SensorType.RADAR, self.frame_number, self.timestamp_s, self.pose)
        return (header, detections.reshape(-1).view(np.uint8).data)
