"""One labelled camera frame as a picture: what the cameras saw with boxes and path laid over, the depth, the view from
above, and what the expert meant to do. For people who want to know whether labels are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt

from bev import BevClass, BevGrid, BoxKind, Camera, CameraRig, FloatArray, ImageArray
from e2e_drive.logs import BoxLabel, Labels
from e2e_drive.report.canvas import Canvas, Colour
from e2e_drive.report.scene import PATH_COLOUR

Picture = npt.NDArray[np.uint8]  # (H, W, 3) red green blue
VIEW = (384, 192)  # width, height of a camera's picture [px]
SMALL = (192, 96)  # of a depth picture
SIDE = 384  # of the view from above
WIDTH, HEIGHT = 2 * VIEW[0] + SIDE + 2 * SMALL[0], 2 * VIEW[1]
SEEN = 0.1
_KIND_COLOURS: Mapping[int, Colour] = {
    BoxKind.VEHICLE: (251, 146, 60),
    BoxKind.PEDESTRIAN: (244, 114, 182),
    BoxKind.TWO_WHEELER: (163, 230, 53),
}
_HIDDEN: Colour = (90, 100, 120)
_CLASS_COLOURS: tuple[tuple[BevClass, Colour], ...] = (  # later over earlier
    (BevClass.ROAD, (52, 61, 74)),
    (BevClass.CROSSWALK, (86, 98, 140)),
    (BevClass.LANE_LINE, (148, 163, 184)),
    (BevClass.STOP, (239, 68, 68)),
    (BevClass.VEHICLE, (190, 100, 30)),
    (BevClass.PEDESTRIAN, (236, 72, 153)),
)
_UNKNOWN: Colour = (110, 60, 140)
_NEAR_M, _FAR_M = 0.3, 80.0  # of the depth colours
_CORNERS = np.array(list(product((-0.5, 0.5), repeat=3)))
_EDGES = [(i, j) for i in range(8) for j in range(i) if np.abs(_CORNERS[i] - _CORNERS[j]).sum() == 1.0]


def draw_labelled(
    images: Mapping[str, ImageArray],
    depths: Mapping[str, FloatArray],
    labels: Labels,
    rig: CameraRig,
    grid: BevGrid,
    words: Sequence[str],
) -> Picture:
    """(HEIGHT, WIDTH, 3) of a rig of up to four cameras. words: lines to be written beneath the depth."""
    out = np.full((HEIGHT, WIDTH, 3), (16, 18, 24), np.uint8)
    for i, camera in enumerate(rig.cameras[:4]):
        row, column = divmod(i, 2)
        x, y = column * VIEW[0], row * VIEW[1]
        out[y : y + VIEW[1], x : x + VIEW[0]] = draw_view(images[camera.name], labels, camera)
        if camera.name in depths:
            x, y = 2 * VIEW[0] + SIDE + column * SMALL[0], row * SMALL[1]
            out[y : y + SMALL[1], x : x + SMALL[0]] = cv2.resize(depth_colours(depths[camera.name]), SMALL)
    out[:SIDE, 2 * VIEW[0] : 2 * VIEW[0] + SIDE] = draw_above(labels, grid)
    canvas = Canvas(out)
    for line, text in enumerate(words):
        canvas.text(text, 2 * VIEW[0] + SIDE + 10, 2 * SMALL[1] + 8 + 20 * line, 15, (226, 230, 238))
    return out


def draw_view(image: ImageArray, labels: Labels, camera: Camera) -> Picture:
    canvas = Canvas(np.asarray(cv2.resize(image, VIEW, interpolation=cv2.INTER_CUBIC), np.uint8))
    scale = VIEW[0] / camera.width
    for box in sorted(labels.boxes or (), key=lambda box: -np.hypot(box.x, box.y)):
        colour = _KIND_COLOURS[box.kind] if box.visible >= SEEN else _HIDDEN
        corners = box_corners(box)
        for i, j in _EDGES:
            _line(canvas, camera, scale, np.stack([corners[i], corners[j]]), colour)
    path = np.column_stack([labels.path, np.full(len(labels.path), 0.05)])
    for i in range(len(path) - 1):
        _line(canvas, camera, scale, path[i : i + 2], PATH_COLOUR)
    canvas.text(camera.name, 4, 2, 13, (255, 255, 255))
    return canvas.pixels


def box_corners(box: BoxLabel) -> FloatArray:
    """(8, 3) in the virtual ego's frame."""
    cos, sin = np.cos(box.yaw), np.sin(box.yaw)
    local = _CORNERS * (box.length, box.width, box.height)
    return np.stack(
        [
            box.x + cos * local[:, 0] - sin * local[:, 1],
            box.y + sin * local[:, 0] + cos * local[:, 1],
            box.z + local[:, 2],
        ],
        axis=1,
    )


def _line(canvas: Canvas, camera: Camera, scale: float, ends: FloatArray, colour: Colour) -> None:
    """A line in the ego frame, (2, 3), as far as it lies before the camera."""
    a, b = camera.to_optical(ends)
    if max(a[2], b[2]) <= _NEAR_M:
        return
    if a[2] < _NEAR_M or b[2] < _NEAR_M:
        cut = a + (b - a) * (_NEAR_M - a[2]) / (b[2] - a[2])
        a, b = (cut, b) if a[2] < _NEAR_M else (a, cut)
    points = np.stack([a, b]) @ camera.intrinsics.T
    canvas.line(np.clip(points[:, :2] / points[:, 2:] * scale, -4000.0, 4000.0), colour)


def depth_colours(depth_m: FloatArray) -> Picture:
    """Near red, far blue, the sky black."""
    share = np.log(np.clip(depth_m, 1.0, _FAR_M)) / np.log(_FAR_M)
    colours = cv2.applyColorMap((255.0 * (1.0 - share)).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    return np.ascontiguousarray(np.where(depth_m[:, :, None] > 600.0, 0, colours), np.uint8)


def draw_above(labels: Labels, grid: BevGrid) -> Picture:
    """The raster, and over it the outlines of the boxes with their velocities, the path and the car."""
    small = np.full((grid.rows, grid.columns, 3), (20, 24, 30), np.uint8)
    for cls, colour in _CLASS_COLOURS:
        if cls < len(labels.bev):
            small[labels.bev[cls] > 0] = colour
    if labels.bev_unknown is not None:
        small[labels.bev_unknown > 0] = _UNKNOWN
    canvas = Canvas(np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST), np.uint8))
    scale = SIDE / (grid.x_max_m - grid.x_min_m)

    def pixels(points: FloatArray) -> FloatArray:
        return np.stack([grid.y_max_m - points[:, 1], grid.x_max_m - points[:, 0]], 1) * scale

    for box in labels.boxes or ():
        colour = _KIND_COLOURS[box.kind] if box.visible >= SEEN else _HIDDEN
        outline = box_corners(box)[[1, 3, 7, 5, 1], :2]
        canvas.line(pixels(outline), colour)
        canvas.line(pixels(np.array([[box.x, box.y], [box.x + box.vx, box.y + box.vy]])), (255, 255, 255))
    canvas.line(pixels(np.vstack([[0.0, 0.0], labels.path])), PATH_COLOUR, 2)
    canvas.line(pixels(np.array([[2.4, 1.0], [2.4, -1.0], [-2.4, -1.0], [-2.4, 1.0], [2.4, 1.0]])), (240, 246, 252))
    return canvas.pixels
