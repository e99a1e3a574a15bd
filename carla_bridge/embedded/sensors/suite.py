"""All sensors of an episode: which are due after a step, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, field

from carla_bridge.embedded.actors import Actor
from carla_bridge.embedded.messages import SensorType, sensor_header
from carla_bridge.embedded.sensors.cameras import KINDS, Camera, Shot
from carla_bridge.embedded.sensors.readings import GRAVITY_M_S2, GeoReference, Gnss, Imu, collision_reading
from carla_bridge.embedded.snapshot import actor_record, scenery_record
from carla_bridge.embedded.stream import Message, Stream, StreamHub
from carla_bridge.embedded.world import World

TICK_TOLERANCE_S = 1e-6  # simulated seconds: sums of steps do not hit multiples exactly


@dataclass
class _Collision:
    """sensor.other.collision: has no settings of its own."""


@dataclass
class _Sensor:
    stream: Stream
    tick_s: float
    device: Camera | Gnss | Imu | _Collision
    next_due_s: float | None = None

    def due(self, now_s: float) -> bool:
        """CARLA's timing: at the first step after spawning, then every `sensor_tick` whether listened to or not."""
        if self.next_due_s is not None and now_s < self.next_due_s - TICK_TOLERANCE_S:
            return False
        base = now_s if self.next_due_s is None else self.next_due_s
        self.next_due_s = max(base + self.tick_s, now_s)
        return True


@dataclass
class Due:
    """What the sensors of one step have to say: ready messages, and pictures still to be taken."""

    messages: list[tuple[Stream, Message]] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)


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
            if not sensor.due(world.elapsed_s) or not sensor.stream.wanted:
                continue
            actor, device = world.actors[actor_id], sensor.device
            if isinstance(device, Camera):
                if rendering:
                    due.shots.append(device.shot(sensor.stream, actor.pose, world.frame, world.elapsed_s))
            elif isinstance(device, Gnss):
                self._say(due, world, sensor, actor, SensorType.GNSS, device.read(actor))
            elif isinstance(device, Imu):
                carrier = world.actors.get(actor.parent_id, actor)
                self._say(due, world, sensor, actor, SensorType.IMU, device.read(actor, carrier, self.gravity_m_s2))
            else:
                self._collisions(due, world, sensor, actor)
        return due

    def _device(self, actor: Actor) -> Camera | Gnss | Imu | _Collision:
        if actor.type_id in KINDS:
            return Camera.of(actor)
        if actor.type_id == "sensor.other.gnss":
            return Gnss(actor, self._origin)
        return Imu(actor) if actor.type_id == "sensor.other.imu" else _Collision()

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
