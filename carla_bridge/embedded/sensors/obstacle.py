"""sensor.other.obstacle: the first thing that a ball of hit_radius meets on its way ahead.

CARLA (ObstacleDetectionSensor.cpp of the public carla repository) sweeps a sphere and tells, at every step with a hit,
what it met and how far it came; the actor that carries the sensor is ignored. Here the ball is a bundle of parallel
rays: one that starts at a distance q from the axis and meets something after t tells of a ball that has rolled
t - sqrt(radius^2 - q^2). Things thinner than the bundle's spacing may slip through off the axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgpack
import numpy as np

from carla_bridge.embedded.actors import Actor
from carla_bridge.embedded.messages import SensorType, Wire, sensor_header
from carla_bridge.embedded.rays import RayFrame, RayScene
from carla_bridge.embedded.sensors.echoes import MAX_RANGE_M, Attributes
from carla_bridge.embedded.stream import Message, Stream
from carla_bridge.embedded.types import Label, Pose

OBSTACLE = "sensor.other.obstacle"
RINGS, RAYS_OF_A_RING = 4, 16


class ObstacleDetector:
    """One obstacle sensor; its attribute debug_linetrace has nothing to draw on here and is ignored."""

    def __init__(self, actor: Actor) -> None:
        """CarlaError for a device that cannot be."""
        read = Attributes(actor)
        self.distance_m = read.number("distance", 5.0, 0.0, MAX_RANGE_M)
        self.radius_m = read.number("hit_radius", 0.5, 0.0, 100.0)
        self.only_dynamics = read.flag("only_dynamics", False)


@dataclass(frozen=True)
class Probe:
    """One measurement to take."""

    stream: Stream
    device: ObstacleDetector
    pose: Pose
    frame_number: int
    timestamp_s: float
    ignored: frozenset[int]  # actors that the ball passes through
    carrier: Wire  # record of the actor that carries the sensor
    record_of: Callable[[int, Label], Wire]  # of what was met: an actor, or (id 0) a part of the scenery

    def take(self, rays: RayScene, frame: RayFrame) -> Message | None:
        device = self.device
        radius = np.concatenate([[0.0], np.repeat(np.arange(1, RINGS + 1) / RINGS, RAYS_OF_A_RING)]) * device.radius_m
        angle = np.concatenate([[0.0], np.tile(np.arange(RAYS_OF_A_RING) * (2.0 * np.pi / RAYS_OF_A_RING), RINGS)])
        matrix = self.pose.matrix()
        offsets = np.outer(radius * np.cos(angle), matrix[:3, 1]) + np.outer(radius * np.sin(angle), matrix[:3, 2])
        directions = np.tile(matrix[:3, 0], (len(radius), 1))
        hits = rays.cast(
            frame,
            matrix[:3, 3] + offsets,
            directions,
            device.distance_m + device.radius_m,
            ignore=self.ignored,
            static=not device.only_dynamics,
        )
        rolled = hits.distance - np.sqrt(np.maximum(0.0, device.radius_m**2 - radius**2))
        first = int(np.argmin(rolled))
        if not rolled[first] <= device.distance_m:
            return None
        other = self.record_of(int(hits.actor_id[first]), Label(int(hits.label[first])))
        reading = msgpack.packb([self.carrier, other, max(0.0, float(rolled[first]))])
        header = sensor_header(SensorType.OBSTACLE, self.frame_number, self.timestamp_s, self.pose)
        assert isinstance(reading, bytes)
        return (header, reading)
