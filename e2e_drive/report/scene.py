"""The two pictures of the world in the video: what the camera sees with the path laid on the road, and the
bird's-eye view that the network believes in."""

from __future__ import annotations

import cv2
import numpy as np

from bev import BevClass, BevGrid, Camera, FloatArray, ImageArray
from e2e_drive.report.canvas import Canvas, Colour

PATH_COLOUR: Colour = (45, 212, 191)
BRAKE_COLOUR: Colour = (248, 113, 113)
_BACKGROUND: Colour = (13, 17, 23)
# painted in this order, later over earlier
_BEV_COLOURS: tuple[tuple[BevClass, Colour], ...] = (
    (BevClass.ROAD, (52, 61, 74)),
    (BevClass.CROSSWALK, (84, 99, 117)),
    (BevClass.LANE_LINE, (148, 163, 184)),
    (BevClass.STOP, (239, 68, 68)),
    (BevClass.VEHICLE, (251, 146, 60)),
    (BevClass.PEDESTRIAN, (244, 114, 182)),
)
_TRACK_COLOUR: Colour = (253, 230, 138)
_RIBBON_HALF_WIDTH_M = 0.85
_EGO_HALF_LENGTH_M, _EGO_HALF_WIDTH_M = 2.45, 1.05
_NEAR_M = 0.5  # nothing nearer to the camera is projected
_BONNET_M = 4.6  # the path starts to be drawn where the road comes into view


def smooth_path(path: FloatArray, spacing_m: float = 0.5, start_m: float = 0.0) -> FloatArray:
    """Path points -> an evenly spaced polyline from the car's origin, rounded off (for the eye only)."""
    points = np.vstack([[0.0, 0.0], np.asarray(path, dtype=np.float64)])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    if along[-1] <= start_m + spacing_m:
        return points[:1]
    at = np.arange(start_m, along[-1], spacing_m)
    dense = np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], 1)
    kernel = np.ones(5) / 5.0
    padded = np.pad(dense, ((2, 2), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(padded[:, i], kernel, mode="valid") for i in range(2)], 1)


def draw_camera(out: ImageArray, picture: ImageArray, camera: Camera, path: FloatArray | None, braking: bool) -> None:
    """The camera's picture, scaled to `out`, with the path as a translucent ribbon that fades with distance."""
    height, width = out.shape[:2]
    if picture.shape[:2] == (height, width):
        out[:] = picture
    else:
        cv2.resize(picture, (width, height), dst=out, interpolation=cv2.INTER_CUBIC)
    if path is None:
        return
    centre = smooth_path(path, start_m=_BONNET_M)
    if len(centre) < 3:
        return
    heading = np.gradient(centre, axis=0)
    normal = np.stack([-heading[:, 1], heading[:, 0]], 1) / np.hypot(*heading.T)[:, None]
    sides = []
    for sign in (1.0, -1.0):
        edge = centre + sign * _RIBBON_HALF_WIDTH_M * normal
        sides.append(camera.project(np.column_stack([edge, np.full(len(edge), 0.02)])))
    visible = (sides[0][1] > _NEAR_M) & (sides[1][1] > _NEAR_M)
    if visible.sum() < 2:
        return
    scale = width / camera.width
    left, right = (np.clip(pixels[visible] * scale, -4096, 4096) for pixels, _ in sides)
    _blend_ribbon(out, left, right, BRAKE_COLOUR if braking else PATH_COLOUR)


def _blend_ribbon(out: ImageArray, left: FloatArray, right: FloatArray, colour: Colour) -> None:
    corners = np.vstack([left, right])
    x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int) - 2, 0)
    x1, y1 = np.minimum(np.ceil(corners.max(0)).astype(int) + 3, (out.shape[1], out.shape[0]))
    if x0 >= x1 or y0 >= y1:
        return
    cover = np.zeros((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    canvas = Canvas(cover)
    fade = np.linspace(1.0, 0.25, len(left))
    for i in range(len(left) - 1):  # slices, so that the opacity can follow the distance
        level = round(135 * fade[i])
        quad = np.array([left[i], left[i + 1], right[i + 1], right[i]]) - (x0, y0)
        cv2.fillConvexPoly(cover, np.round(quad).astype(np.int32), (level,) * 3)
    for edge in (left, right):
        canvas.line(edge - (x0, y0), (230,) * 3, 2)
    Canvas(out[y0:y1, x0:x1]).blend(np.ascontiguousarray(cover[:, :, 0]), 0, 0, colour)


def draw_bev(
    out: ImageArray,
    bev: FloatArray | None,
    grid: BevGrid,
    path: FloatArray | None,
    braking: bool,
    tracks: FloatArray | None = None,
) -> None:
    """The network's segmentation as a soft map; the path, the car and tracked boxes (see `View`) on it."""
    height, width = out.shape[:2]
    half = np.empty((height // 2, width // 2, 3), dtype=np.uint8)  # blending is what takes time: do it on a quarter
    half[:] = _BACKGROUND
    for cls, colour in _BEV_COLOURS if bev is not None else ():
        plane = np.ascontiguousarray(bev[cls], dtype=np.float32)  # type: ignore[index]
        large = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_CUBIC)
        cover = np.clip((large - 0.35) * (255.0 / 0.3), 0, 255).astype(np.uint8)
        Canvas(half).blend(cover, 0, 0, colour)
    out[:] = cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC)
    canvas = Canvas(out)
    per_metre = np.array([width / (grid.y_max_m - grid.y_min_m), height / (grid.x_max_m - grid.x_min_m)])

    def to_pixels(points: FloatArray) -> FloatArray:
        return np.stack([grid.y_max_m - points[:, 1], grid.x_max_m - points[:, 0]], 1) * per_metre

    for ahead in (10.0, 20.0, 30.0):
        ((_, y),) = to_pixels(np.array([[ahead, 0.0]]))
        canvas.line([(0, y), (5, y)], (71, 85, 105))
        canvas.text(f"{ahead:.0f} m", 9, y - 6, 11, (100, 116, 139))
    for x, y, yaw, length, width_m in () if tracks is None else tracks:
        along, across = (
            np.array([np.cos(yaw), np.sin(yaw)]) * length / 2,
            np.array([-np.sin(yaw), np.cos(yaw)]) * width_m / 2,
        )
        outline = np.array([x, y]) + np.stack(
            [along + across, along - across, -along - across, -along + across, along + across]
        )
        canvas.line(to_pixels(outline), _TRACK_COLOUR, 1)
    if path is not None:
        canvas.line(to_pixels(smooth_path(path)), BRAKE_COLOUR if braking else PATH_COLOUR, 3)
    length, half_width = _EGO_HALF_LENGTH_M, _EGO_HALF_WIDTH_M
    (left, top), (right, bottom) = to_pixels(np.array([[length, half_width], [-length, -half_width]]))
    canvas.rounded(left, top, right - left, bottom - top, 4, (240, 246, 252))
