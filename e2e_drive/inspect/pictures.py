"""One picture a finding: the number that gave it away over time, the log's own pictures, and what it was from above."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from bev import FloatArray, ImageArray
from e2e_drive.errors import UserError
from e2e_drive.inspect.findings import Finding, Outline, Photo, Trace
from e2e_drive.logs import read_drive
from e2e_drive.logs.reader import CAMERA_PREFIX
from e2e_drive.report.canvas import Canvas, Colour
from e2e_drive.scores.pdm import EGO_HALF_M

Picture = npt.NDArray[np.uint8]
_HEIGHT, _PLOT, _PHOTO, _ABOVE, _GAP = 200, 520, 320, 200, 8
_AROUND_S = 5.0  # shown before and after a finding
_PAPER, _INK, _FAINT, _BAND = (255, 255, 255), (40, 44, 52), (200, 204, 210), (255, 226, 214)
_LINE, _LIMIT, _CAR = (0, 114, 178), (213, 94, 0), (40, 44, 52)
_ROLES: Mapping[str, Colour] = {
    "other": (213, 94, 0), "plan": (0, 158, 115), "before": (160, 164, 172), "reference": (0, 114, 178),
}  # fmt: skip
_ROLE_WORDS = {"other": "the other", "plan": "plan", "before": "plan before", "reference": "what it should be"}
_REACH_M = (-8.0, 24.0)  # shown from above, along the car


def fetch(path: Path, photos: Iterable[Photo]) -> dict[Photo, tuple[float, ImageArray]]:
    """(stamp, picture) of each, as far as the log has it: of its camera the last one before its time."""
    wanted = sorted(set(photos), key=lambda photo: photo.time_s)
    if not wanted:
        return {}
    topics = frozenset(CAMERA_PREFIX + photo.camera for photo in wanted)
    found: dict[Photo, tuple[float, ImageArray]] = {}
    try:
        for entry in read_drive(path, topics, from_s=max(0.0, wanted[0].time_s - _AROUND_S)):
            camera = entry.topic.removeprefix(CAMERA_PREFIX)
            for photo in wanted:
                if photo.camera == camera and entry.time_s <= photo.time_s + 1e-6:
                    found[photo] = (entry.time_s, entry.value)
    except UserError:  # damaged from here on; what was before is there
        pass
    return found


def draw(finding: Finding, photos: Mapping[Photo, tuple[float, ImageArray]]) -> Picture:
    """(H, W, 3) RGB on white, its panels side by side."""
    panels = [] if finding.trace is None else [_plot(finding.trace, finding.from_s, finding.to_s)]
    if finding.above:
        panels.append(_above(finding.above))
    panels += [_photo(photo.camera, *photos[photo]) for photo in dict.fromkeys(finding.photos) if photo in photos]
    if not panels:
        panels = [np.full((_HEIGHT, _PLOT, 3), 255, np.uint8)]
        Canvas(panels[0]).text("no picture is left of this", _PLOT / 2, _HEIGHT / 2, 15, _INK, align="centre")
    gap = np.full((_HEIGHT, _GAP, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)


def png(picture: Picture) -> bytes:
    _, data = cv2.imencode(".png", picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return bytes(data.tobytes())


def _plot(trace: Trace, from_s: float, to_s: float) -> Picture:
    out = np.full((_HEIGHT, _PLOT, 3), 255, np.uint8)
    canvas = Canvas(out)
    left, right, top, bottom = (110 if trace.levels else 52), _PLOT - 10, 26, _HEIGHT - 24
    begin_s, end_s = from_s - _AROUND_S, to_s + _AROUND_S
    near = (trace.times_s >= begin_s) & (trace.times_s <= end_s) & np.isfinite(trace.values)
    times_s, values = trace.times_s[near], trace.values[near]
    low, high = _range(trace, values)

    def place(times: FloatArray, heights: FloatArray) -> FloatArray:
        x = left + (times - begin_s) / (end_s - begin_s) * (right - left)
        return np.stack([x, bottom - (heights - low) / (high - low) * (bottom - top)], axis=1)

    band = place(np.array([from_s, to_s]), np.array([low, high]))
    canvas.polygon(_rectangle(band[0, 0] - 1.5, top, max(band[1, 0], band[0, 0]) + 1.5, bottom), _BAND)
    for height, text in _marks(trace, low, high):
        y = float(place(np.array([begin_s]), np.array([height]))[0, 1])
        canvas.line([(left, y), (right, y)], _FAINT)
        canvas.text(text, left - 6, y - 8, 12, _INK, align="right")
    if trace.limit is not None:
        for limit in {trace.limit, -trace.limit if low < 0.0 else trace.limit}:
            canvas.line(place(np.array([begin_s, end_s]), np.full(2, limit)), _LIMIT)
    if len(times_s):
        canvas.line(_steps(place(times_s, values)) if trace.levels else place(times_s, values), _LINE, 2)
    for time_s in np.linspace(begin_s, end_s, 5)[1:-1]:
        x = float(place(np.array([time_s]), np.array([low]))[0, 0])
        canvas.text(f"{time_s:.1f} s", x, bottom + 5, 12, _INK, align="centre")
    canvas.text(trace.label, left, 4, 13, _INK, bold=True)
    return out


def _range(trace: Trace, values: FloatArray) -> tuple[float, float]:
    if trace.levels:
        return -0.5, len(trace.levels) - 0.5
    bounds = [*values.tolist(), *([] if trace.limit is None else [trace.limit])] or [0.0, 1.0]
    low, high = min(0.0, *bounds), max(bounds)
    return (low, high * 1.05 + 1e-9) if high > low else (low - 0.5, high + 0.5)


def _marks(trace: Trace, low: float, high: float) -> list[tuple[float, str]]:
    if trace.levels:
        return [(float(i), name) for i, name in enumerate(trace.levels)]
    return [(value, f"{value:.3g}") for value in np.linspace(low, high, 4)]


def _steps(points: FloatArray) -> FloatArray:
    """A line that stays until the next point and then jumps."""
    x, y = np.repeat(points[:, 0], 2)[1:], np.repeat(points[:, 1], 2)[:-1]
    return np.stack([x, y], axis=1)


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _above(outlines: Sequence[Outline]) -> Picture:
    """The car points up."""
    out = np.full((_HEIGHT, _ABOVE, 3), 255, np.uint8)
    canvas = Canvas(out)
    scale = _HEIGHT / (_REACH_M[1] - _REACH_M[0])

    def pixels(points: FloatArray) -> FloatArray:
        return np.stack([_ABOVE / 2.0 - points[:, 1] * scale, (_REACH_M[1] - points[:, 0]) * scale], axis=1)

    half_length, half_width = EGO_HALF_M
    car = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1), (1, 1)]) * (half_length, half_width)
    canvas.polygon(pixels(car), _FAINT)
    canvas.line(pixels(car), _CAR)
    for row, outline in enumerate(outlines):
        colour = _ROLES[outline.role]
        points = np.asarray(outline.points, np.float64)
        closed = outline.role == "other"
        canvas.line(pixels(points if closed else np.concatenate([np.zeros((1, 2)), points])), colour, 2)
        canvas.text(_ROLE_WORDS[outline.role], 4, 4 + 15 * row, 12, colour, bold=True)
    canvas.line([(0, 0), (0, _HEIGHT - 1), (_ABOVE - 1, _HEIGHT - 1), (_ABOVE - 1, 0), (0, 0)], _FAINT)
    return out


def _photo(camera: str, stamp_s: float, image: ImageArray) -> Picture:
    out = np.full((_HEIGHT, _PHOTO, 3), 255, np.uint8)
    height = min(_HEIGHT - 24, round(_PHOTO * image.shape[0] / image.shape[1]))
    width = round(height * image.shape[1] / image.shape[0])
    out[24 : 24 + height, :width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    Canvas(out).text(f"{camera}, {stamp_s:.2f} s", 0, 4, 13, _INK, bold=True)
    return out
