"""One frame of the video: camera, bird's-eye view, and a strip that shows where the network is running."""

from __future__ import annotations

import math

import numpy as np

from bev import Command, ImageArray
from e2e_drive.report.canvas import Align, Canvas, Colour
from e2e_drive.report.moment import Moment
from e2e_drive.report.scene import BRAKE_COLOUR, PATH_COLOUR, draw_bev, draw_camera
from scheduling.types import Place, Span

WIDTH, HEIGHT = 1280, 720
_CAMERA_WIDTH, _CAMERA_HEIGHT = 960, 540
_PANEL = WIDTH - _CAMERA_WIDTH  # the BEV is a square of this size
_MARGIN = 20

_BACKGROUND: Colour = (13, 17, 23)
_CARD: Colour = (22, 27, 34)
_TRACK: Colour = (38, 45, 55)
_TEXT: Colour = (230, 237, 243)
_MUTED: Colour = (125, 133, 144)
_CAR: Colour = (45, 212, 191)
_EDGE: Colour = (245, 158, 11)
_CLOUD: Colour = (167, 139, 250)
_AIR: Colour = (96, 165, 250)
_RED: Colour = (248, 81, 73)
_GREEN: Colour = (63, 185, 80)
_PLACE_COLOURS = {Place.CAR: _CAR, Place.EDGE: _EDGE, Place.CLOUD: _CLOUD}
_ROWS = ("car", "uplink", "edge", "downlink", "cloud")
_RESOURCE_COLOURS = {"car": _CAR, "uplink": _AIR, "edge": _EDGE, "downlink": _AIR, "cloud": _CLOUD,
                     "wan_up": _AIR, "wan_down": _AIR}  # fmt: skip
_HINTS = {
    Command.FOLLOW: "follow the road",
    Command.LEFT: "left",
    Command.RIGHT: "right",
    Command.STRAIGHT: "straight on",
}

_STRIP_Y = _CAMERA_HEIGHT
_CHART_X, _CHART_WIDTH = 84, 706  # the time axis of the strip
_BAR = 10.0  # height of a span
_SIDE_X = 830  # latency and link, right of the stages


class Dashboard:
    """Draws moments; keeps nothing but the picture all of them start from."""

    def __init__(self) -> None:
        self._blank = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
        self._blank[:] = _BACKGROUND
        canvas = Canvas(self._blank)
        canvas.rounded(12, _STRIP_Y + 10, 796, 160, 8, _CARD)
        canvas.rounded(816, _STRIP_Y + 10, WIDTH - 12 - 816, 160, 8, _CARD)
        self._draw_legend(canvas)

    def draw(self, moment: Moment) -> ImageArray:
        """(720, 1280, 3) RGB."""
        picture = self._blank.copy()
        draw_camera(
            picture[:_CAMERA_HEIGHT, :_CAMERA_WIDTH], moment.picture, moment.camera, moment.view.path, moment.braking
        )
        view = moment.view
        draw_bev(picture[:_PANEL, _CAMERA_WIDTH:], view.bev, moment.grid, view.path, moment.braking, view.tracks)
        canvas = Canvas(picture)
        self._draw_title(canvas, moment)
        self._draw_car(canvas, moment)
        self._draw_stages(canvas, moment)
        self._draw_latency(canvas, moment)
        self._draw_link(canvas, moment)
        return picture

    @staticmethod
    def _draw_legend(canvas: Canvas) -> None:
        y = _STRIP_Y + 19
        canvas.text("WHERE EACH STAGE RUNS", 26, y, 12, _MUTED)
        x = 800 - 14.0
        for name, colour in (
            ("on its way", _AIR),
            ("in the cloud", _CLOUD),
            ("at the roadside", _EDGE),
            ("in the car", _CAR),
        ):
            x -= canvas.text(name, x, y, 12, _MUTED, align="right")
            canvas.dot(x - 9, y + 7, 4.5, colour)
            x -= 30
        for row, name in enumerate(_ROWS):
            canvas.text(name, _CHART_X - 10, _row_y(row) - 3, 11, _MUTED, align="right")

    @staticmethod
    def _draw_title(canvas: Canvas, moment: Moment) -> None:
        canvas.rounded(16, 16, 340, 34, 8, _BACKGROUND, opacity=0.62)
        canvas.text(moment.title, 30, 24, 15, _TEXT)
        canvas.text(f"{moment.time_s:.1f} s", 342, 24, 15, _TEXT, align="right")

    @staticmethod
    def _draw_car(canvas: Canvas, moment: Moment) -> None:
        left, right = _CAMERA_WIDTH + _MARGIN, WIDTH - _MARGIN
        y = _PANEL + 14
        width = canvas.text(f"{moment.speed_mps * 3.6:.0f}", left, y, 52, _TEXT)
        canvas.text("km/h", left + width + 8, y + 33, 16, _MUTED)
        if moment.view.target_speed_mps is not None:
            canvas.text("wants", right, y + 4, 13, _MUTED, align="right")
            colour = BRAKE_COLOUR if moment.braking else PATH_COLOUR
            canvas.text(f"{moment.view.target_speed_mps * 3.6:.0f} km/h", right, y + 24, 24, colour, align="right")
        if moment.view.manoeuvre is not None:
            canvas.text(moment.view.manoeuvre, right, y + 54, 13, _MUTED, align="right")
        y += 76
        _draw_arrow(canvas, left + 8, y + 9, moment.hint.command)
        hint = _HINTS[moment.hint.command]
        if moment.hint.command is not Command.FOLLOW:
            hint += f" in {moment.hint.distance_m:.0f} m" if moment.hint.distance_m >= 1.0 else " now"
        canvas.text(hint, left + 28, y, 16, _TEXT)
        y += 34
        if moment.view.light is not None:
            seen = max(range(3), key=moment.view.light.__getitem__)
            name, colour = (("no light ahead", _TRACK), ("light is green", _GREEN), ("light is red", _RED))[seen]
            canvas.dot(left + 8, y + 9, 8, colour)
            canvas.text(name, left + 28, y, 16, _TEXT if seen else _MUTED)
            canvas.text(f"{moment.view.light[seen] * 100:.0f} %", right, y, 16, _MUTED, align="right")
        y += 38
        share = moment.progress_m / moment.route_length_m if moment.route_length_m > 0 else 0.0
        canvas.bar(left, y, right - left, 8, share, _TEXT, _TRACK)
        canvas.text(f"{moment.progress_m:.0f} of {moment.route_length_m:.0f} m", left, y + 17, 13, _MUTED)
        canvas.text(f"{share * 100:.0f} %", right, y + 17, 13, _MUTED, align="right")

    @staticmethod
    def _draw_stages(canvas: Canvas, moment: Moment) -> None:
        if moment.view.stages:
            width = (796 - 28 + 6) / len(moment.view.stages)
            for i, (name, place) in enumerate(moment.view.stages):
                _draw_cell(canvas, 26 + i * width, _STRIP_Y + 40, width - 6, name, place)
        timeline = moment.view.timeline
        if timeline is None:
            return
        end_s = max([span.end_s for span in timeline.spans] + [timeline.ready_s or 0.0], default=0.0)
        axis_ms = _nice_above((end_s - timeline.capture_s) * 1e3)
        per_ms = _CHART_WIDTH / axis_ms
        for row in range(len(_ROWS)):
            y = _row_y(row) + 0.5 * _BAR
            canvas.line([(_CHART_X, y), (_CHART_X + _CHART_WIDTH, y)], _TRACK)
        for span in timeline.spans:
            _draw_span(canvas, span, timeline.capture_s, per_ms)
        base = _row_y(len(_ROWS))
        for i in range(6):
            at = axis_ms * i / 5
            align: Align = "left" if i == 0 else "right" if i == 5 else "centre"
            label = f"{at:.0f} ms" if i == 5 else f"{at:.0f}"
            canvas.text(label, _CHART_X + at * per_ms, base - 3, 11, _MUTED, align=align)
        if timeline.latency_s is not None:
            x = _CHART_X + min(timeline.latency_s * 1e3, axis_ms) * per_ms
            canvas.line([(x, _row_y(0) - 3), (x, base - 4)], _TEXT, 2)

    @staticmethod
    def _draw_latency(canvas: Canvas, moment: Moment) -> None:
        y = _STRIP_Y + 19
        canvas.text("FROM PERCEPTION TO CONTROL", _SIDE_X, y, 12, _MUTED)
        timeline = moment.view.timeline
        latency = None if timeline is None else timeline.latency_s
        if timeline is not None and latency is None:
            canvas.text("dropped", _SIDE_X, y + 24, 30, _RED)
        elif latency is not None:
            width = canvas.text(f"{latency * 1e3:.0f}", _SIDE_X, y + 20, 40, _TEXT)
            canvas.text("ms", _SIDE_X + width + 6, y + 44, 15, _MUTED)
            if timeline is not None and timeline.used_fallback:
                canvas.text("car's own answer", _SIDE_X + 2, y + 66, 12, _CAR)
        if moment.latencies_s:
            top_ms = _nice_above(max(moment.latencies_s) * 1e3)
            x, width = _SIDE_X + 152, 260
            canvas.sparkline([v * 1e3 for v in moment.latencies_s], x, y + 22, width, 40, top_ms, _AIR)
            canvas.text("last 10 s", x, y + 67, 11, _MUTED)
            canvas.text(f"scale {top_ms:.0f} ms", x + width, y + 67, 11, _MUTED, align="right")

    @staticmethod
    def _draw_link(canvas: Canvas, moment: Moment) -> None:
        y = _STRIP_Y + 106
        canvas.line([(_SIDE_X, y - 4), (WIDTH - 28, y - 4)], _TRACK)
        link, geometry = moment.view.link, moment.view.geometry
        if link is None or not link.available:
            canvas.dot(_SIDE_X + 6, y + 16, 6, _RED)
            canvas.text("no radio link", _SIDE_X + 22, y + 7, 16, _MUTED)
            return
        sees = geometry is not None and geometry.line_of_sight
        columns = (("up", f"{link.up_bps / 1e6:.0f}", "Mbit/s"), ("down", f"{link.down_bps / 1e6:.0f}", "Mbit/s"),
                   ("round trip", f"{link.rtt_s * 1e3:.0f}", "ms"))  # fmt: skip
        for i, (name, value, unit) in enumerate(columns):
            x = _SIDE_X + 98 * i
            width = canvas.text(value, x, y + 4, 22, _TEXT)
            canvas.text(unit, x + width + 4, y + 14, 11, _MUTED)
            canvas.text(name, x, y + 34, 11, _MUTED)
        x = _SIDE_X + 98 * len(columns) - 8
        canvas.dot(x + 6, y + 15, 5, _GREEN if sees else _EDGE)
        canvas.text(f"roadside unit {link.rsu}", x + 18, y + 7, 14, _TEXT)
        if geometry is not None:
            blocked = f"{geometry.blocking_vehicles} in the way" if geometry.blocking_vehicles else "hidden"
            way = "clear" if sees and not geometry.blocking_vehicles else blocked
            canvas.text(f"{geometry.distance_m:.0f} m, {way}", x + 18, y + 34, 11, _MUTED)


def _row_y(row: int) -> float:
    return _STRIP_Y + 90 + row * 13.5


def _draw_cell(canvas: Canvas, x: float, y: float, width: float, name: str, place: Place) -> None:
    canvas.rounded(x, y, width, 40, 6, _PLACE_COLOURS[place])
    lines = _label(name)
    for i, line in enumerate(lines):
        canvas.text(line, x + width / 2, y + (5 if len(lines) > 1 else 12) + i * 15, 12, _BACKGROUND, align="centre")


def _label(stage: str) -> list[str]:
    """ "image_backbone[front_left]" -> "backbone", "front left"; "bev_encoder" -> "bev", "encoder"."""
    kind, _, which = stage.replace("_", " ").removesuffix("]").partition("[")
    words = kind.split()
    if which:
        return [words[-1], which]
    return [" ".join(words[:-1]), words[-1]] if len(words) > 1 else words


def _draw_span(canvas: Canvas, span: Span, capture_s: float, per_ms: float) -> None:
    start, end = ((t - capture_s) * 1e3 * per_ms for t in (span.start_s, span.end_s))
    wide_area = span.resource.startswith("wan")  # drawn thinly on the cloud's row
    height, radius = (0.4 * _BAR, 2) if wide_area else (_BAR, 3)
    y = _row_y(_ROWS.index("cloud" if wide_area else span.resource)) + 0.5 * (_BAR - height)
    # a sliver of space between neighbours, and never too thin to be seen
    canvas.rounded(_CHART_X + start, y, max(end - start - 1.0, 2.0), height, radius, _RESOURCE_COLOURS[span.resource])


def _draw_arrow(canvas: Canvas, x: float, y: float, command: Command) -> None:
    """A little road sign: the way the next junction is left."""
    turn = {Command.LEFT: -math.pi / 2, Command.RIGHT: math.pi / 2}.get(command, 0.0)
    head = np.array([[0.0, -9.0], [7.0, 2.0], [-7.0, 2.0]])
    stem = np.array([[-2.0, 2.0], [2.0, 2.0], [2.0, 9.0], [-2.0, 9.0]])
    cos, sin = math.cos(turn), math.sin(turn)
    rotate = np.array([[cos, sin], [-sin, cos]])
    colour = _MUTED if command is Command.FOLLOW else _TEXT
    for part in (head, stem):
        canvas.polygon(part @ rotate + (x, y), colour)


def _nice_above(value: float) -> float:
    """The smallest of 50, 100, 200, 500, 1000 ... that is not below value."""
    scale = 50.0
    for factor in (2.0, 2.0, 2.5) * 6:
        if scale >= value:
            break
        scale *= factor
    return scale
