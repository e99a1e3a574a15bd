"""Cameras: what is due is described on the event loop, and rendered on a worker thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carla_bridge.embedded.actors import Actor
from carla_bridge.embedded.messages import SensorType, image_header, sensor_header
from carla_bridge.embedded.render import Frame, Renderer
from carla_bridge.embedded.rpc import CarlaError
from carla_bridge.embedded.sensors.encodings import Pixels, encode_depth, encode_instances, encode_labels
from carla_bridge.embedded.stream import Message, Stream
from carla_bridge.embedded.types import Pose, View

KINDS: Mapping[str, SensorType] = {
    "sensor.camera.rgb": SensorType.RGB,
    "sensor.camera.depth": SensorType.DEPTH,
    "sensor.camera.semantic_segmentation": SensorType.SEMANTIC,
    "sensor.camera.instance_segmentation": SensorType.INSTANCE,
}
MAX_PIXELS = 8192 * 8192


@dataclass(frozen=True)
class Shot:
    """One picture to take: everything a worker thread needs, nothing that the next step changes."""

    stream: Stream
    kind: SensorType
    view: View
    pose: Pose
    samples: int  # a pixel of a colour picture
    frame_number: int
    timestamp_s: float

    def take(self, renderer: Renderer, frame: Frame) -> Message:
        pixels = self._pixels(renderer, frame)
        header = sensor_header(self.kind, self.frame_number, self.timestamp_s, self.pose)
        image = image_header(self.view.width, self.view.height, self.view.fov_deg)
        return (header + image, pixels.reshape(-1).data)

    def _pixels(self, renderer: Renderer, frame: Frame) -> Pixels:
        if self.kind is SensorType.RGB:
            picture = renderer.render(frame, self.view, samples=self.samples)
            assert picture.bgra is not None
            return picture.bgra
        if self.kind is SensorType.DEPTH:
            picture = renderer.render(frame, self.view, bgra=False, depth=True)
            assert picture.depth_m is not None
            return encode_depth(picture.depth_m)
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
        return Camera(KINDS[actor.type_id], width, height, fov, samples)

    def shot(self, stream: Stream, pose: Pose, frame_number: int, timestamp_s: float) -> Shot:
        view = View(self.width, self.height, self.fov_deg, pose.matrix())
        return Shot(stream, self.kind, view, pose, self.samples, frame_number, timestamp_s)
