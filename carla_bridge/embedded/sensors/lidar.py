"""sensor.lidar.ray_cast and sensor.lidar.ray_cast_semantic.

CARLA's rules (RayCastLidar.cpp and RayCastSemanticLidar.cpp of the public carla repository): each step every channel
measures round(points_per_second * dt / channels) times while the head turns by rotation_frequency * horizontal_fov
* dt; channels are spread evenly from upper_fov down to lower_fov. Of the plain lidar's rays a share of
dropoff_general_rate is lost; an echo from d metres has the intensity exp(-atmosphere_attenuation_rate * d), and one
below dropoff_intensity_limit stays with a probability that falls linearly to 1 - dropoff_zero_intensity at intensity 0;
noise_stddev moves a point along its ray. Only what is seen from its front echoes: a lidar meets the car that carries
it, as in CARLA, except from inside.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.actors import Actor
from carla_bridge.embedded.messages import SensorType, sensor_header
from carla_bridge.embedded.rays import RayFrame, RayScene
from carla_bridge.embedded.sensors.echoes import MAX_POINTS_PER_SECOND, MAX_RANGE_M, Attributes
from carla_bridge.embedded.stream import Message, Stream
from carla_bridge.embedded.types import Pose

F64 = npt.NDArray[np.float64]
LIDAR, SEMANTIC_LIDAR = "sensor.lidar.ray_cast", "sensor.lidar.ray_cast_semantic"
MAX_CHANNELS = 1024
MEASUREMENT_HEADER = struct.Struct("<fI")  # horizontal angle [rad], channels; then the points of each channel, u32
SEMANTIC_POINT = np.dtype([("xyz", "<f4", 3), ("cos_inc_angle", "<f4"), ("object_idx", "<u4"), ("object_tag", "<u4")])


@dataclass(frozen=True)
class LidarSettings:
    semantic: bool
    channels: int
    range_m: float
    points_per_second: int
    rotation_hz: float
    upper_deg: float
    lower_deg: float
    horizontal_deg: float
    attenuation: float  # [1/m]
    seed: int
    general_loss: float  # share of the rays
    intensity_limit: float
    loss_at_zero: float  # share of the echoes of intensity 0
    deviation_m: float

    @staticmethod
    def of(actor: Actor) -> LidarSettings:
        """Reads the actor's attributes; CarlaError for a device that cannot be."""
        read = Attributes(actor)
        return LidarSettings(
            semantic=actor.type_id == SEMANTIC_LIDAR,
            channels=read.whole("channels", 32, 1, MAX_CHANNELS),
            range_m=read.number("range", 10.0, 0.0, MAX_RANGE_M),
            points_per_second=read.whole("points_per_second", 56000, 0, MAX_POINTS_PER_SECOND),
            rotation_hz=read.number("rotation_frequency", 10.0, 0.0, 1e4),
            upper_deg=read.number("upper_fov", 10.0, -90.0, 90.0),
            lower_deg=read.number("lower_fov", -30.0, -90.0, 90.0),
            horizontal_deg=read.number("horizontal_fov", 360.0, 1e-3, 360.0),
            attenuation=read.number("atmosphere_attenuation_rate", 0.004, 0.0, 1e3),
            seed=read.seed(),
            general_loss=read.number("dropoff_general_rate", 0.45, 0.0, 1.0),
            intensity_limit=read.number("dropoff_intensity_limit", 0.8, 0.0, 1.0),
            loss_at_zero=read.number("dropoff_zero_intensity", 0.4, 0.0, 1.0),
            deviation_m=read.number("noise_stddev", 0.0, 0.0, MAX_RANGE_M),
        )

    def points_per_channel(self, delta_s: float) -> int:
        """Of one step; in single precision and with halves rounded up, as CARLA counts them."""
        exact = np.float32(self.points_per_second) * np.float32(delta_s) / np.float32(self.channels)
        return math.floor(float(exact) + 0.5)


class Lidar:
    """One lidar actor: where its head points, and how many sweeps it has made."""

    def __init__(self, actor: Actor) -> None:
        self.settings = LidarSettings.of(actor)
        self._angle_deg = 0.0
        self._sweeps = 0

    def sweep(self, stream: Stream, pose: Pose, frame_number: int, timestamp_s: float, delta_s: float) -> Sweep:
        """What happens within the last delta_s seconds, all of it seen from the pose at their end."""
        settings, start = self.settings, self._angle_deg
        turned = settings.rotation_hz * settings.horizontal_deg * delta_s
        self._angle_deg = math.fmod(start + turned, settings.horizontal_deg)
        self._sweeps += 1
        count = settings.points_per_channel(delta_s)
        return Sweep(
            stream, settings, pose, frame_number, timestamp_s, start, turned, count, self._angle_deg, self._sweeps
        )


@dataclass(frozen=True)
class Sweep:
    """One measurement to take."""

    stream: Stream
    settings: LidarSettings
    pose: Pose
    frame_number: int
    timestamp_s: float
    start_deg: float
    turned_deg: float
    count: int  # measurements of a channel
    end_deg: float
    number: int  # of the sweep: each has its own random numbers, in whatever order sweeps are taken

    def take(self, rays: RayScene, frame: RayFrame) -> Message:
        settings = self.settings
        random = np.random.default_rng((settings.seed, self.number))
        local = self._directions()
        channel = np.repeat(np.arange(settings.channels), self.count)
        if not settings.semantic and settings.general_loss > 0.0:
            shot = random.random(len(local)) >= settings.general_loss
            local, channel = local[shot], channel[shot]
        matrix = self.pose.matrix()
        hits = rays.cast(frame, matrix[:3, 3], local @ matrix[:3, :3].T, settings.range_m)
        met = np.isfinite(hits.distance)
        local, channel, distance = local[met], channel[met], hits.distance[met]
        if settings.semantic:
            points = np.empty(len(local), SEMANTIC_POINT)
            points["xyz"] = local * distance[:, None]
            points["cos_inc_angle"] = hits.cos_incidence[met]
            points["object_idx"], points["object_tag"] = hits.actor_id[met], hits.label[met]
            return self._message(SensorType.SEMANTIC_LIDAR, points, channel)
        intensity = np.exp(-settings.attenuation * distance)
        if settings.deviation_m > 0.0:
            distance = distance + settings.deviation_m * random.standard_normal(len(distance))
        kept = self._strong_enough(intensity, random)
        echoes = np.empty((int(kept.sum()), 4), "<f4")
        echoes[:, :3] = local[kept] * distance[kept, None]
        echoes[:, 3] = intensity[kept]
        return self._message(SensorType.LIDAR, echoes, channel[kept])

    def _directions(self) -> F64:
        """(channels * count, 3) unit vectors in the sensor's frame, channel by channel in the order of time."""
        settings = self.settings
        up = np.radians(np.linspace(settings.upper_deg, settings.lower_deg, settings.channels))[:, None]
        along = self.start_deg + self.turned_deg / max(1, self.count) * np.arange(self.count)
        yaw = np.radians(np.fmod(along, settings.horizontal_deg) - 0.5 * settings.horizontal_deg)
        directions = np.empty((settings.channels, self.count, 3))
        directions[..., 0], directions[..., 1] = np.cos(up) * np.cos(yaw), np.cos(up) * np.sin(yaw)
        directions[..., 2] = np.sin(up)
        return directions.reshape(-1, 3)

    def _strong_enough(self, intensity: F64, random: np.random.Generator) -> npt.NDArray[np.bool_]:
        settings = self.settings
        weak = intensity <= settings.intensity_limit
        if not weak.any():
            return ~weak
        share = intensity / max(settings.intensity_limit, 1e-30)
        stays = 1.0 - settings.loss_at_zero + settings.loss_at_zero * share
        return np.asarray(~weak | (random.random(len(intensity)) < stays))

    def _message(self, kind: SensorType, points: npt.NDArray[np.generic], channel: npt.NDArray[np.int64]) -> Message:
        settings = self.settings
        header = sensor_header(kind, self.frame_number, self.timestamp_s, self.pose)
        measurement = MEASUREMENT_HEADER.pack(math.radians(self.end_deg), settings.channels)
        counts = np.bincount(channel, minlength=settings.channels).astype("<u4").tobytes()
        return (header + measurement + counts, points.reshape(-1).view(np.uint8).data)
