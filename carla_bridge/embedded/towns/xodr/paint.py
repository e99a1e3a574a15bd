"""Paint on the road: lane markings, stop lines, zebra crossings."""

from __future__ import annotations

import numpy as np
import shapely

from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, colour_of
from carla_bridge.embedded.towns.surface import MARKING_Z_M, WHITE, YELLOW
from carla_bridge.embedded.towns.xodr.areas import common
from carla_bridge.embedded.towns.xodr.model import Array, MarkLine, RoadMark
from carla_bridge.embedded.towns.xodr.paving import HeightOf, add_area
from carla_bridge.embedded.towns.xodr.strips import Kind, SampledRoad, Strip, resample, section_strips
from carla_bridge.embedded.types import Label, Material

DASH_M, GAP_M = 3.0, 4.5
FAST_DASH_M, FAST_GAP_M = 4.0, 8.0  # on fast roads
FAST_KMH = 75.0
DOUBLE_M = 0.15  # from the middle to either line of a double marking
INSET_M = 0.1  # of an edge line from the kerb
LEAST_DASH_M = 0.3
LEAST_WIDTH_M, MOST_WIDTH_M = 0.1, 0.4
STRIPE_M, STRIPE_GAP_M = 0.5, 0.5
STRIPE_EDGE_M = 0.25
LONGEST_ZEBRA_M = 120.0
_UNPAINTED = frozenset(("none", "curb", "grass", "edge", ""))
_COLOURS: dict[str, Colour] = {
    "yellow": YELLOW,
    "blue": colour_of("#3a63a8"),
    "red": colour_of("#a83a34"),
    "green": colour_of("#3f7d4a"),
    "orange": colour_of("#cf7a2b"),
    "violet": colour_of("#7a4a8c"),
}


def _lines(mark: RoadMark, fast: bool, outwards: float) -> list[MarkLine]:
    """The lines of a mark; the first word of a double one is the line nearer to the road's middle."""
    if mark.lines and not (len(mark.lines) == 1 and " " in mark.kind):
        return list(mark.lines)
    width = min(max(mark.width, LEAST_WIDTH_M), MOST_WIDTH_M)
    dash, gap = (FAST_DASH_M, FAST_GAP_M) if fast else (DASH_M, GAP_M)
    words = [w for w in mark.kind.replace("botts dots", "broken").split() if w in ("solid", "broken")] or ["solid"]
    offsets = [0.0] if len(words) == 1 else [-outwards * DOUBLE_M, outwards * DOUBLE_M]
    return [
        MarkLine(dash if w == "broken" else 0.0, gap if w == "broken" else 0.0, t, width)
        for w, t in zip(words, offsets, strict=False)
    ]


def _solid(
    builder: MeshBuilder, strip: Strip, edge: Array, span: tuple[float, float], line: MarkLine, colour: Colour
) -> None:
    low, high = span
    inside = strip.s[(strip.s > low + 0.01) & (strip.s < high - 0.01)]
    at = np.concatenate([[low], inside, [high]])
    right, left = _sides(strip, edge, at, line)
    builder.ribbon(right, left, colour, Label.ROAD_LINES)


def _sides(strip: Strip, edge: Array, at: Array, line: MarkLine) -> tuple[Array, Array]:
    """Right and left border of a line of paint at values of s."""
    table = np.column_stack([edge, strip.across, strip.tilt])
    rows = resample(strip.s, table, at)
    points, across, tilt = rows[:, :3], rows[:, 3:5], rows[:, 5:]
    points[:, 2] += MARKING_Z_M

    def beside(t: float) -> Array:
        return np.column_stack([points[:, :2] + t * across, points[:, 2:] + t * tilt])

    return beside(line.t_offset - line.width / 2.0), beside(line.t_offset + line.width / 2.0)


def _dashed(
    builder: MeshBuilder, strip: Strip, edge: Array, span: tuple[float, float], line: MarkLine, colour: Colour
) -> None:
    """Dashes keep their rhythm over lane sections: it is counted from the road's start."""
    low, high = span
    period = line.length + line.space
    begins = period * np.arange(np.ceil((low - line.length) / period), np.ceil(high / period)) + 0.5 * line.space
    begin, end = np.maximum(begins, low), np.minimum(begins + line.length, high)
    keep = end - begin > 0.3
    begin, end = begin[keep], end[keep]
    if not len(begin):
        return
    at = np.column_stack([begin, (begin + end) / 2.0, end]).ravel()  # in the middle as well: roads bend
    right, left = _sides(strip, edge, at, line)
    first = 6 * np.arange(len(begin))[:, None]
    vertices = np.concatenate([right.reshape(-1, 3, 3), left.reshape(-1, 3, 3)], axis=1).reshape(-1, 3)
    pattern = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]])
    builder.add(vertices, (first[:, :, None] + pattern).reshape(-1, 3), colour, Label.ROAD_LINES)


def _paint_strip(builder: MeshBuilder, strip: Strip, at_kerb: bool, fast: bool) -> None:
    edge = strip.outer.copy()
    edge[:, 2] -= strip.lift[:, 1]  # a mark on a sidewalk's border lies on the road below
    end_of_strip = strip.s[-1]
    marks = strip.lane.marks
    for i, mark in enumerate(marks):
        low = max(mark.s, strip.s[0])
        high = min(marks[i + 1].s if i + 1 < len(marks) else end_of_strip, end_of_strip)
        if mark.kind in _UNPAINTED or high - low < 0.05:
            continue
        colour = _COLOURS.get(mark.colour, WHITE)
        for line in _lines(mark, fast, strip.outwards if strip.lane.id else -1.0):
            if at_kerb and strip.lane.id:
                shift = -strip.outwards * (INSET_M + line.width / 2.0)
                line = MarkLine(line.length, line.space, line.t_offset + shift, line.width)
            draw = _dashed if line.space > 0.0 and line.length >= LEAST_DASH_M else _solid
            draw(builder, strip, edge, (low, high), line, colour)


def add_markings(builder: MeshBuilder, roads: list[SampledRoad]) -> None:
    """The road marks of all lanes."""
    for sampled in roads:
        fast = (sampled.road.speed_kmh or 0.0) > FAST_KMH
        for group in section_strips(sampled):
            kinds = {strip.lane.id: strip.kind for strip in group}
            for strip in group:
                if strip.kind not in (Kind.ASPHALT, Kind.NOTHING, Kind.FLUSH_STONE):
                    continue
                step = 1 if strip.lane.id > 0 else -1
                beyond = kinds.get(strip.lane.id + step)
                at_kerb = beyond is None or beyond in (Kind.RAISED, Kind.GREEN)
                _paint_strip(builder, strip, at_kerb, fast)


def add_polygon(builder: MeshBuilder, area: shapely.Geometry, heights: HeightOf, colour: Colour = WHITE) -> None:
    """Paint of any shape."""
    add_area(builder, area, heights, MARKING_Z_M, colour, Label.ROAD_LINES, Material.PLAIN, longest_edge=6.0)


def zebra(outline: Array, asphalt: shapely.Geometry) -> list[shapely.Geometry]:
    """Stripes of a crossing: its long side leads across the road, the stripes along it."""
    hull = shapely.Polygon(outline).convex_hull
    box = np.asarray(hull.minimum_rotated_rectangle.exterior.coords)[:4]
    sides = [box[1] - box[0], box[2] - box[1]]
    long, short = (0, 1) if np.hypot(*sides[0]) >= np.hypot(*sides[1]) else (1, 0)
    origin = box[0] if long == 0 else box[1]
    along, across = sides[long], sides[short] if long == 0 else -sides[0]
    length = float(np.hypot(*along))
    unit = along / max(length, 1e-9)
    stripes = []
    for begin in np.arange(STRIPE_EDGE_M, min(length, LONGEST_ZEBRA_M) - STRIPE_M, STRIPE_M + STRIPE_GAP_M):
        a, b = origin + begin * unit, origin + (begin + STRIPE_M) * unit
        stripe = common(common(shapely.Polygon([a, b, b + across, a + across]), hull), asphalt)
        if stripe.area > 0.2:
            stripes.append(stripe)
    return stripes
