"""Cameras: what is due is described on the event loop, and rendered on a worker thread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.actors import Actor
from carla_bridge.embedded.messages import SensorType, image_header, sensor_header
from carla_bridge.embedded.render import DISPLAY_GAMMA, Frame, Lens, Renderer
from carla_bridge.embedded.rpc import CarlaError
from carla_bridge.embedded.sensors.encodings import (
    encode_depth,
    encode_flow,
    encode_instances,
    encode_labels,
    encode_normals,
)
from carla_bridge.embedded.sensors.events import EventMemory, EventSettings
from carla_bridge.embedded.stream import Message, Stream
from carla_bridge.embedded.types import Pose, View

KINDS: Mapping[str, SensorType] = {
    "sensor.camera.rgb": SensorType.RGB,
    "sensor.camera.depth": SensorType.DEPTH,
    "sensor.camera.semantic_segmentation": SensorType.SEMANTIC,
    "sensor.camera.instance_segmentation": SensorType.INSTANCE,
    "sensor.camera.normals": SensorType.NORMALS,
    "sensor.camera.optical_flow": SensorType.FLOW,
    "sensor.camera.dvs": SensorType.DVS,
}
MAX_PIXELS = 8192 * 8192


@dataclass(frozen=True)
class Shot:
    """One picture to take: everything a worker thread needs, nothing that the next step changes."""

    stream: Stream
    kind: SensorType
    view: View
    pose: Pose
    before: Pose  # where the camera was one step earlier
    samples: int  # a pixel of a colour picture
    lens: Lens
    memory: EventMemory | None  # of an event camera
    frame_number: int
    timestamp_s: float

    def take(self, renderer: Renderer, frame: Frame) -> Message:
        values = self._values(renderer, frame)
        header = sensor_header(self.kind, self.frame_number, self.timestamp_s, self.pose)
        image = image_header(self.view.width, self.view.height, self.view.fov_deg)
        return (header + image, values.reshape(-1).view(np.uint8).data)

    def _values(self, renderer: Renderer, frame: Frame) -> npt.NDArray[np.generic]:
        """What follows the header: four bytes a pixel, or two numbers a pixel for optical flow."""
        if self.kind is SensorType.RGB:
            picture = renderer.render(
                frame, self.view, samples=self.samples, lens=self.lens, frame_number=self.frame_number
            )
            assert picture.bgra is not None
            return picture.bgra
        if self.memory is not None:
            picture = renderer.render(frame, self.view, frame_number=self.frame_number)
            assert picture.bgra is not None
            return self.memory.events(picture.bgra, self.timestamp_s)
        if self.kind is SensorType.DEPTH:
            picture = renderer.render(frame, self.view, bgra=False, depth=True)
            assert picture.depth_m is not None
            return encode_depth(picture.depth_m)
        if self.kind is SensorType.NORMALS:
            picture = renderer.render(frame, self.view, bgra=False, normals=True)
            assert picture.normals is not None
            return encode_normals(picture.normals)
        if self.kind is SensorType.FLOW:
            picture = renderer.render(frame, self.view, bgra=False, flow_from=self.before.matrix())
            assert picture.flow is not None
            return encode_flow(picture.flow)
        instances = self.kind is SensorType.INSTANCE
        picture = renderer.render(frame, self.view, bgra=False, labels=True, actor_ids=instances)
        assert picture.labels is not None
        if not instances:
            return encode_labels(picture.labels)
        assert picture.actor_ids is not None
        return encode_instances(picture.labels, picture.actor_ids)


@dataclass(frozen=True)
class Camera:
    """The optics of one camera actor."""

    kind: SensorType
    width: int
    height: int
    fov_deg: float
    samples: int
    lens: Lens
    memory: EventMemory | None = None

    @staticmethod
    def of(actor: Actor) -> Camera:
        """Reads the actor's attributes; CarlaError for optics that cannot be."""
        width, height = int(actor.attribute("image_size_x", "800")), int(actor.attribute("image_size_y", "600"))
        fov = float(actor.attribute("fov", "90.0"))
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise CarlaError(
                f"{actor.type_id}: image_size must be positive and at most {MAX_PIXELS} pixels in all, "
                f"received {width}x{height}"
            )
        if not 0.0 < fov < 180.0:
            raise CarlaError(f"{actor.type_id}: fov must lie between 0 and 180 degrees, received {fov}")
        samples = int(actor.attribute("samples", "4"))
        if samples not in (1, 4):
            raise CarlaError(f"{actor.type_id}: samples must be 1 or 4, received {samples}")
        kind = KINDS[actor.type_id]
        memory = EventMemory(EventSettings.of(actor)) if kind is SensorType.DVS else None
        return Camera(kind, width, height, fov, samples, _lens(actor), memory)

    def shot(self, stream: Stream, pose: Pose, before: Pose, frame_number: int, timestamp_s: float) -> Shot:
        """before: the camera's pose one step earlier."""
        view = View(self.width, self.height, self.fov_deg, pose.matrix())
        optics = (self.samples, self.lens, self.memory)
        return Shot(stream, self.kind, view, pose, before, *optics, frame_number, timestamp_s)


def _lens(actor: Actor) -> Lens:
    """Exposure, gamma and vignette; CARLA's other lens attributes are accepted and change nothing.

    Automatic exposure is always right here. Manual exposure is relative to CARLA's default settings: light grows with
    iso and opening time (1 / shutter_speed s) and with the square of the opening (1 / fstop).
    """

    def value(name: str, default: float, low: float, high: float) -> float:
        return min(max(float(actor.attribute(name, str(default))), low), high)

    stops = value("exposure_compensation", 0.0, -15.0, 15.0)
    if actor.attribute("exposure_mode", "histogram") == "manual":
        iso, shutter = value("iso", 100.0, 1e-3, 1e6), value("shutter_speed", 200.0, 1e-3, 1e6)
        stops += (
            math.log2(iso / 100.0) + math.log2(200.0 / shutter) + 2.0 * math.log2(1.4 / value("fstop", 1.4, 0.1, 64))
        )
    return Lens(
        exposure_compensation=min(max(stops, -15.0), 15.0),
        gamma=value("gamma", DISPLAY_GAMMA, 0.1, 10.0),
        circle_multiplier=value("lens_circle_multiplier", 0.0, 0.0, 10.0),
        circle_falloff=value("lens_circle_falloff", 5.0, 0.0, 10.0),
    )
