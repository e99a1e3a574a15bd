"""All sensors of an episode: which are due after a step, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from carla_bridge.embedded.actors import Actor, ActorKind
from carla_bridge.embedded.messages import SensorType, Wire, sensor_header
from carla_bridge.embedded.sensors.cameras import KINDS, Camera, Shot
from carla_bridge.embedded.sensors.echoes import Echo
from carla_bridge.embedded.sensors.lidar import LIDAR, SEMANTIC_LIDAR, Lidar
from carla_bridge.embedded.sensors.obstacle import OBSTACLE, ObstacleDetector, Probe
from carla_bridge.embedded.sensors.radar import RADAR, Radar, Targets
from carla_bridge.embedded.sensors.readings import (
    GRAVITY_M_S2,
    GeoReference,
    Gnss,
    Imu,
    collision_reading,
    velocity_at,
)
from carla_bridge.embedded.snapshot import actor_record, scenery_record
from carla_bridge.embedded.stream import Message, Stream, StreamHub
from carla_bridge.embedded.types import Label, Pose
from carla_bridge.embedded.world import World

TICK_TOLERANCE_S = 1e-6  # simulated seconds: sums of steps do not hit multiples exactly


@dataclass
class _Collision:
    """sensor.other.collision: has no settings of its own."""


Device = Camera | Gnss | Imu | _Collision | Lidar | Radar | ObstacleDetector


@dataclass
class _Sensor:
    stream: Stream
    tick_s: float
    device: Device
    next_due_s: float | None = None
    last_s: float | None = None  # when it was last due
    covers_s: float = 0.0  # [simulated s] what a reading of this step covers
    pose: Pose | None = None  # after the last step

    def due(self, now_s: float, delta_s: float) -> bool:
        """CARLA's timing: at the first step after spawning, then every `sensor_tick` whether listened to or not."""
        if self.next_due_s is not None and now_s < self.next_due_s - TICK_TOLERANCE_S:
            return False
        base = now_s if self.next_due_s is None else self.next_due_s
        self.next_due_s = max(base + self.tick_s, now_s)
        self.covers_s = delta_s if self.last_s is None else now_s - self.last_s
        self.last_s = now_s
        return True


@dataclass
class Due:
    """What the sensors of one step have to say: ready messages, pictures and echoes still to be taken."""

    messages: list[tuple[Stream, Message]] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    echoes: list[Echo] = field(default_factory=list)


class SensorSuite:
    def __init__(self, streams: StreamHub, opendrive: str) -> None:
        self._streams = streams
        self._origin = GeoReference.of(opendrive)
        self._sensors: dict[int, _Sensor] = {}
        self.gravity_m_s2 = GRAVITY_M_S2

    def add(self, actor: Actor, stream: Stream) -> None:
        """CarlaError or ValueError for attributes that make no sense."""
        self._sensors[actor.id] = _Sensor(stream, float(actor.attribute("sensor_tick", "0")), self._device(actor))

    def remove(self, actor_id: int) -> None:
        sensor = self._sensors.pop(actor_id, None)
        if sensor is not None:
            self._streams.close(sensor.stream.number)

    def clear(self) -> None:
        for actor_id in tuple(self._sensors):
            self.remove(actor_id)

    def after_step(self, world: World, *, rendering: bool) -> Due:
        due = Due()
        for actor_id, sensor in self._sensors.items():
            actor = world.actors[actor_id]
            before, sensor.pose = sensor.pose or actor.pose, actor.pose
            if not sensor.due(world.elapsed_s, world.delta_s) or not sensor.stream.wanted:
                continue
            device = sensor.device
            if isinstance(device, Camera):
                if rendering:
                    due.shots.append(device.shot(sensor.stream, actor.pose, before, world.frame, world.elapsed_s))
            elif isinstance(device, Gnss):
                self._say(due, world, sensor, actor, SensorType.GNSS, device.read(actor))
            elif isinstance(device, Imu):
                carrier = world.actors.get(actor.parent_id, actor)
                reading = device.read(actor, carrier, self.gravity_m_s2, world.elapsed_s, sensor.covers_s)
                self._say(due, world, sensor, actor, SensorType.IMU, reading)
            elif isinstance(device, _Collision):
                self._collisions(due, world, sensor, actor)
            else:
                due.echoes.append(self._echo(world, sensor, device, actor))
        return due

    def _device(self, actor: Actor) -> Device:
        """CarlaError or ValueError for attributes that make no sense."""
        if actor.type_id in KINDS:
            return Camera.of(actor)
        if actor.type_id in (LIDAR, SEMANTIC_LIDAR):
            return Lidar(actor)
        if actor.type_id == RADAR:
            return Radar(actor)
        if actor.type_id == OBSTACLE:
            return ObstacleDetector(actor)
        if actor.type_id == "sensor.other.gnss":
            return Gnss(actor, self._origin)
        return Imu(actor) if actor.type_id == "sensor.other.imu" else _Collision()

    def _echo(self, world: World, sensor: _Sensor, device: Lidar | Radar | ObstacleDetector, actor: Actor) -> Echo:
        if isinstance(device, Lidar):
            return device.sweep(sensor.stream, actor.pose, world.frame, world.elapsed_s, sensor.covers_s)
        carrier = world.actors.get(actor.parent_id, actor)
        if isinstance(device, Radar):
            velocity = velocity_at(carrier, actor.pose)
            targets = _targets(world)
            return device.scan(
                sensor.stream, actor.pose, velocity, targets, world.frame, world.elapsed_s, sensor.covers_s
            )
        fixed = (ActorKind.TRAFFIC_LIGHT, ActorKind.SIGN)
        ignored = {a.id for a in world.actors.values() if device.only_dynamics and a.kind in fixed} | {carrier.id}
        actors, streams = world.actors, self._streams

        def record_of(actor_id: int, label: Label) -> Wire:
            other = actors.get(actor_id)
            return scenery_record(label) if other is None else actor_record(other, streams)

        record = actor_record(carrier, streams)
        where = (sensor.stream, device, actor.pose, world.frame, world.elapsed_s)
        return Probe(*where, frozenset(ignored), record, record_of)

    def _collisions(self, due: Due, world: World, sensor: _Sensor, actor: Actor) -> None:
        for collision in world.collisions:
            carrier = world.actors.get(actor.parent_id)
            if carrier is None or collision.actor_id != carrier.id:
                continue
            other = world.actors.get(collision.other_id)
            record = scenery_record(collision.other_label) if other is None else actor_record(other, self._streams)
            reading = collision_reading(actor_record(carrier, self._streams), record, collision.normal_impulse)
            self._say(due, world, sensor, actor, SensorType.COLLISION, reading)

    @staticmethod
    def _say(due: Due, world: World, sensor: _Sensor, actor: Actor, kind: SensorType, reading: bytes) -> None:
        header = sensor_header(kind, world.frame, world.elapsed_s, actor.pose)
        due.messages.append((sensor.stream, (header, reading)))


def _targets(world: World) -> Targets:
    movers = sorted((actor.id, actor.velocity) for actor in world.actors.values() if actor.prototype is not None)
    ids = np.array([actor_id for actor_id, _ in movers], np.int64)
    return Targets(ids, np.array([velocity for _, velocity in movers], np.float64).reshape(-1, 3))
