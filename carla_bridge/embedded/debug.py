"""carla.DebugHelper: points, lines, arrows, boxes and texts, drawn over colour pictures.

They are painted after the picture is finished, so nothing hides them. Sizes are metres, and at least a pixel.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.messages import Wire, number, text, unpack_location, unpack_pose, unpack_vector, whole
from carla_bridge.embedded.types import Pose, View

MAX_SHAPES = 20_000  # the oldest make room
NEAR_M = 0.05
MARGIN_PX = 200.0  # lines are cut this far outside the picture, so that their thick ends are not seen
TEXT_SCALE = 0.45
Array = npt.NDArray[np.float64]
Colour = tuple[int, int, int, int]  # blue green red alpha


class Kind(IntEnum):
    """Variants of the primitive on the wire; each has a twin for the head-up display, drawn alike."""

    POINT = 0
    LINE = 1
    ARROW = 2
    BOX = 3
    TEXT = 4


_TWINS = {5: Kind.POINT, 6: Kind.LINE, 7: Kind.ARROW, 8: Kind.BOX}
_BOX_EDGES = [(i, i | bit) for i in range(8) for bit in (1, 2, 4) if not i & bit]


@dataclass(frozen=True)
class DebugShape:
    kind: Kind
    points: Array  # (N, 3) world: the place, the two ends, or the eight corners
    size: float  # [m] a point's diameter, a line's thickness
    head: float  # [m] of an arrow
    text: str
    colour: Colour
    from_frame: int  # the first that shows it
    until_s: float | None  # simulated; None: for that one frame only; inf: for ever

    def visible(self, frame: int, now_s: float) -> bool:
        return frame <= self.from_frame if self.until_s is None else now_s <= self.until_s

    @staticmethod
    def unpack(wire: Wire, frame: int, now_s: float) -> DebugShape:
        """carla.rpc.DebugShape. A life of 0 is endless, a negative one lasts one frame."""
        (variant, payload), colour, life_s = wire[0], wire[1], number(wire[2])
        kind = _TWINS.get(variant) or Kind(variant)
        size, head, words = 0.0, 0.0, ""
        if kind is Kind.POINT:
            points, size = [unpack_location(payload[0])], number(payload[1])
        elif kind is Kind.LINE:
            points, size = [unpack_location(payload[0]), unpack_location(payload[1])], number(payload[2])
        elif kind is Kind.ARROW:
            begin, end, thickness = payload[0][:3]
            points, size, head = [unpack_location(begin), unpack_location(end)], number(thickness), number(payload[1])
        elif kind is Kind.BOX:
            centre, extent = unpack_location(payload[0][0]), unpack_vector(payload[0][1])
            points, size = _corners(unpack_pose([centre, payload[1]]), extent), number(payload[2])
        else:
            points, words = [unpack_location(payload[0])], text(payload[1])
        red, green, blue = (whole(channel, 0, 255) for channel in colour[:3])
        until_s = None if life_s < 0.0 else now_s + life_s if life_s > 0.0 else math.inf
        return DebugShape(
            kind, np.array(points, np.float64), size, head, words, (blue, green, red, 255), frame + 1, until_s
        )


class DebugBoard:
    """What clients have drawn and what of it still lives."""

    def __init__(self) -> None:
        self._shapes: deque[DebugShape] = deque(maxlen=MAX_SHAPES)

    def add(self, shape: DebugShape) -> None:
        self._shapes.append(shape)

    def clear(self, *, texts: bool) -> None:
        """Take away all texts, or everything else."""
        kept = (shape for shape in self._shapes if (shape.kind is Kind.TEXT) is not texts)
        self._shapes = deque(kept, MAX_SHAPES)

    def visible(self, frame: int, now_s: float) -> tuple[DebugShape, ...]:
        """The shapes of this frame; those that are over are forgotten."""
        if not self._shapes:
            return ()
        self._shapes = deque((shape for shape in self._shapes if shape.visible(frame, now_s)), MAX_SHAPES)
        return tuple(self._shapes)


def draw(bgra: npt.NDArray[np.uint8], view: View, shapes: tuple[DebugShape, ...]) -> None:
    """Paint the shapes into a picture (H, W, 4), in place."""
    painter = _Painter(bgra, view)
    for shape in shapes:
        points = painter.seen(shape.points)
        if shape.kind is Kind.POINT:
            painter.dot(points[0], shape)
        elif shape.kind is Kind.TEXT:
            painter.write(points[0], shape)
        elif shape.kind is Kind.BOX:
            for i, j in _BOX_EDGES:
                painter.line(points[i], points[j], shape)
        else:
            painter.line(points[0], points[1], shape)
            if shape.kind is Kind.ARROW:
                for tip in _arrow_head(points[0], points[1], shape.head):
                    painter.line(points[1], tip, shape)


class _Painter:
    """A picture and its camera. Camera axes: x forward, y right, z up."""

    def __init__(self, bgra: npt.NDArray[np.uint8], view: View) -> None:
        self._picture = bgra
        self._centre = np.array([0.5 * view.width, 0.5 * view.height])
        self._focal_px = float(self._centre[0] / np.tan(0.5 * np.radians(view.fov_deg)))
        self._rotation, self._origin = view.world_from_camera[:3, :3], view.world_from_camera[:3, 3]

    def seen(self, points: Array) -> Array:
        return np.asarray((points - self._origin) @ self._rotation)

    def _pixel(self, point: Array) -> Array:
        return self._centre + self._focal_px * np.array([point[1], -point[2]]) / point[0]

    def _size_px(self, size_m: float, depth_m: float) -> int:
        return int(min(200.0, max(1.0, round(self._focal_px * abs(size_m) / depth_m))))

    def dot(self, point: Array, shape: DebugShape) -> None:
        if point[0] > NEAR_M and (place := self._inside(point)) is not None:
            radius = max(1, self._size_px(shape.size, float(point[0])) // 2)
            cv2.circle(self._picture, place, radius, shape.colour, cv2.FILLED, cv2.LINE_AA)

    def write(self, point: Array, shape: DebugShape) -> None:
        if point[0] > NEAR_M and (place := self._inside(point)) is not None:
            letters = shape.text.encode("ascii", "replace").decode()[:200]
            cv2.putText(
                self._picture, letters, place, cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, shape.colour, 1, cv2.LINE_AA
            )

    def _inside(self, point: Array) -> tuple[int, int] | None:
        pixel = self._pixel(point)
        if np.any(pixel < -MARGIN_PX) or np.any(pixel > 2.0 * self._centre + MARGIN_PX):
            return None
        return round(float(pixel[0])), round(float(pixel[1]))

    def line(self, a: Array, b: Array, shape: DebugShape) -> None:
        if max(a[0], b[0]) <= NEAR_M:
            return
        a, b = _before(a, b), _before(b, a)
        ends = _clipped(self._pixel(a), self._pixel(b), -MARGIN_PX, 2.0 * self._centre + MARGIN_PX)
        if ends is not None:
            thickness = self._size_px(shape.size, float(0.5 * (a[0] + b[0])))
            cv2.line(self._picture, ends[0], ends[1], shape.colour, thickness, cv2.LINE_AA)


def _before(point: Array, other: Array) -> Array:
    """The point, or where the way to it from the other one comes too near to the camera."""
    if point[0] >= NEAR_M:
        return point
    part = (NEAR_M - point[0]) / (other[0] - point[0])
    return np.asarray(point + part * (other - point))


def _clipped(a: Array, b: Array, low: float, high: Array) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The part of a segment inside a rectangle (Liang and Barsky 1984), in whole pixels."""
    start, end, way = 0.0, 1.0, b - a
    for axis in (0, 1):
        for step, room in ((-way[axis], a[axis] - low), (way[axis], high[axis] - a[axis])):
            if step == 0.0:
                if room < 0.0:
                    return None
            elif step < 0.0:
                start = max(start, room / step)
            else:
                end = min(end, room / step)
    if start > end:
        return None
    first, last = a + start * way, a + end * way
    return (round(float(first[0])), round(float(first[1]))), (round(float(last[0])), round(float(last[1])))


def _corners(centre: Pose, extent: tuple[float, float, float]) -> list[tuple[float, float, float]]:
    matrix = centre.matrix()
    signs = np.array([[1.0 if i & bit else -1.0 for bit in (1, 2, 4)] for i in range(8)])
    return [tuple(corner) for corner in ((signs * extent) @ matrix[:3, :3].T + matrix[:3, 3]).tolist()]


def _arrow_head(begin: Array, end: Array, size: float) -> Iterator[Array]:
    """The far ends of the four barbs."""
    way = end - begin
    length = float(np.linalg.norm(way))
    if length == 0.0:
        return
    forward = way / length
    across = np.cross(forward, [0.0, 0.0, 1.0])
    if float(np.linalg.norm(across)) < 1e-6:
        across = np.array([0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    for side in (across, -across, np.cross(forward, across), np.cross(across, forward)):
        yield end - size * forward + 0.5 * size * side
