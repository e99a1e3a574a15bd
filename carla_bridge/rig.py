"""The ego's sensors as actors of the world, and their readings brought together tick by tick."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import carla
import numpy as np

from bev import Camera, CameraRig, FloatArray, ImageArray, Pose2D
from carla_bridge.convert import Pose3D, mount_to_carla, pose_to_carla, turn_rates_from_carla, vector_from_carla
from carla_bridge.process import WorldDied
from carla_bridge.truth import Contact

Frame = int


@dataclass(frozen=True)
class Readings:
    """What the sensors measured in one tick. rig_images: RGB, None between two exposures; depth_m: likewise, metres
    along the optical axis, None without depth cameras; gnss: latitude, longitude. contacts: of the *previous* tick,
    since a collision has no due time to wait for."""

    rig_images: Mapping[str, ImageArray] | None
    extra_images: Mapping[str, ImageArray] | None
    depth_m: Mapping[str, FloatArray] | None
    gnss: tuple[float, float]
    yaw_rate_rps: float
    contacts: tuple[Contact, ...]


class _Sensor:
    """One sensor and the queue its listener fills. period: ticks between two readings."""

    def __init__(self, name: str, actor: carla.Sensor, period: int) -> None:
        self.name, self.actor, self.period = name, actor, period
        self.last: Frame | None = None
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        actor.listen(self._inbox.put)

    def due(self, frame: Frame) -> bool:
        return self.last is None or frame >= self.last + self.period

    def take(self, frame: Frame, timeout_s: float) -> Any | None:
        """The reading of this frame. Older ones are thrown away, but tell when the next is due. None if it has not come
        in time or is not due after all."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                reading = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            self.last = reading.frame
            if reading.frame >= frame:
                return reading
            if not self.due(frame):
                return None

    def drain(self) -> list[Any]:
        found = []
        while not self._inbox.empty():
            found.append(self._inbox.get())
        return found


class SensorHub:
    """Spawns the sensors of one car and waits for all that are due. `shift`: see from a virtual pose. depth: each
    camera of the rig has a depth camera of half its size at its side."""

    def __init__(
        self,
        world: carla.World,
        ego: carla.Vehicle,
        base: tuple[float, float, float],
        rig: CameraRig,
        extra: tuple[Camera, ...],
        tick_s: float,
        camera_period_s: float,
        depth: bool = False,
    ) -> None:
        self._world, self._ego, self._base, self._rig, self._extra = world, ego, base, rig, extra
        self._depths = {camera.name: depth_camera(camera) for camera in rig.cameras if depth}
        self._shift = Pose2D(0.0, 0.0, 0.0)
        self._pending: list[Any] = []
        period = round(camera_period_s / tick_s)
        if period < 1 or abs(period * tick_s - camera_period_s) > 1e-9:
            raise ValueError(f"camera period {camera_period_s} s is no multiple of the tick of {tick_s} s")
        self._sensors: dict[str, _Sensor] = {}
        try:
            at_base = pose_to_carla(Pose3D(*base))
            self._spawn("imu", "sensor.other.imu", {}, at_base, 1)
            self._spawn("gnss", "sensor.other.gnss", {}, at_base, 1)
            self._spawn("collision", "sensor.other.collision", {}, carla.Transform(), 1)
            cameras = [("rgb", camera) for camera in (*rig.cameras, *extra)]
            cameras += [("depth", camera) for camera in self._depths.values()]
            for kind, camera in cameras:
                attributes = {
                    "image_size_x": camera.width,
                    "image_size_y": camera.height,
                    "fov": math.degrees(camera.fov_rad),
                    "sensor_tick": 0.0 if period == 1 else camera_period_s,
                }
                self._spawn(camera.name, f"sensor.camera.{kind}", attributes, mount_to_carla(camera, base), period)
        except BaseException:
            self.stop()
            raise

    @property
    def actors(self) -> list[carla.Actor]:
        return [sensor.actor for sensor in self._sensors.values()]

    def shift(self, pose: Pose2D) -> None:
        """From the next tick on, the rig's cameras see as if the ego stood at `pose` in its own frame."""
        if pose != self._shift:
            self._shift = pose
            for camera in (*self._rig.cameras, *self._depths.values()):
                self._sensors[camera.name].actor.set_transform(mount_to_carla(camera, self._base, pose))

    def read(self, frame: Frame, timeout_s: float, death: Callable[[], str | None], first: bool = False) -> Readings:
        """Waits for every reading of this frame that is due. first: a sensor that has never reported may stay away,
        because its first exposure can fall on a later tick."""
        got: dict[str, Any] = {}
        for sensor in self._sensors.values():
            if sensor.name == "collision" or not sensor.due(frame):
                continue
            deadline = time.monotonic() + (0.3 if first and sensor.last is None else timeout_s)
            while (reading := sensor.take(frame, 0.1)) is None and sensor.due(frame) and time.monotonic() < deadline:
                dead = death()
                if dead is not None:
                    raise WorldDied(dead)
            if reading is not None:
                got[sensor.name] = reading
            elif not first and sensor.due(frame):
                raise WorldDied(f"sensor {sensor.name!r} has sent nothing for frame {frame} in {timeout_s:.0f} s")
        contacts = self._contacts(frame)
        *_, yaw_rate = turn_rates_from_carla(got["imu"].gyroscope)
        return Readings(
            self._images(self._rig.cameras, got),
            self._images(self._extra, got),
            self._depth(got),
            (got["gnss"].latitude, got["gnss"].longitude),
            yaw_rate,
            contacts,
        )

    def stop(self) -> None:
        """Closes the streams; makes no call to the server."""
        for sensor in self._sensors.values():
            if sensor.actor.is_listening:
                sensor.actor.stop()

    def _spawn(
        self, name: str, kind: str, attributes: Mapping[str, float], mount: carla.Transform, period: int
    ) -> None:
        if name in self._sensors:
            raise ValueError(f"two sensors named {name!r}")
        blueprint = self._world.get_blueprint_library().find(kind)
        blueprint.set_attribute("role_name", name)
        for key, value in attributes.items():
            blueprint.set_attribute(key, str(value))
        actor = self._world.spawn_actor(blueprint, mount, attach_to=self._ego)
        self._sensors[name] = _Sensor(name, actor, period)

    def _images(self, cameras: tuple[Camera, ...], got: Mapping[str, Any]) -> Mapping[str, ImageArray] | None:
        if not cameras or any(camera.name not in got for camera in cameras):
            return None
        return {camera.name: rgb_from_carla(got[camera.name]) for camera in cameras}

    def _depth(self, got: Mapping[str, Any]) -> Mapping[str, FloatArray] | None:
        if not self._depths or any(camera.name not in got for camera in self._depths.values()):
            return None
        return {name: depth_from_carla(got[camera.name]) for name, camera in self._depths.items()}

    def _contacts(self, frame: Frame) -> tuple[Contact, ...]:
        self._pending += self._sensors["collision"].drain()
        ripe = [event for event in self._pending if event.frame < frame]
        self._pending = [event for event in self._pending if event.frame >= frame]
        ripe.sort(key=lambda event: (event.frame, event.other_actor.id if event.other_actor else 0))
        return tuple(
            Contact(
                event.other_actor.id if event.other_actor else 0,
                event.other_actor.type_id if event.other_actor else "static",
                math.hypot(*vector_from_carla(event.normal_impulse)),
            )
            for event in ripe
        )


def rgb_from_carla(image: carla.Image) -> ImageArray:
    """(H, W, 3) RGB; CARLA sends blue, green, red, alpha."""
    raw = np.frombuffer(image.raw_data, dtype=np.uint8).reshape(image.height, image.width, 4)
    return np.ascontiguousarray(raw[:, :, 2::-1])


def depth_camera(camera: Camera) -> Camera:
    """The depth camera at a camera's side."""
    return replace(camera, name=f"{camera.name}/depth", width=camera.width // 2, height=camera.height // 2)


def depth_from_carla(image: carla.Image) -> FloatArray:
    """(H, W) metres along the optical axis, up to 1,000: 24 bits with red as the lowest byte."""
    raw = np.frombuffer(image.raw_data, dtype=np.uint8).reshape(image.height, image.width, 4)
    bits = raw[:, :, 2].astype(np.float32) + 256.0 * raw[:, :, 1] + 65536.0 * raw[:, :, 0]
    return np.asarray(bits * np.float32(1000.0 / (2**24 - 1)), np.float32)
