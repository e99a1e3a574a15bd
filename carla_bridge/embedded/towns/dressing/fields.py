"""Fields of many greens on the land between the roads. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.polygon import orient

from carla_bridge.embedded.towns.dressing.palette import CROPS, FOREST, shaded
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage
from carla_bridge.embedded.towns.meshes import refine, triangulate
from carla_bridge.embedded.types import Label, Material

Array = npt.NDArray[np.float64]

HEADLAND_M = 3.5  # grass between a field and a road
LANE_M = 2.5  # grass between two fields
WOOD_OFF_M = 9.0  # between a wood and a road
WOOD_M = (7.0, 11.0)  # lowest and highest trees
WOOD_PART_M = 9.0
WOOD_TRIANGLES = 130
LEAST_M2 = 1e-3  # thinner triangles are nothing but rounding
SMALLEST_M2 = 500.0
CROP_M = (0.12, 0.75)  # lowest and highest crop
FLAT_EDGE_M, SLOPE_EDGE_M = 60.0, 28.0  # longest edges of a field's triangles
FLAT_TRIANGLES, SLOPE_TRIANGLES = 32, 60  # of a field with its sides, roughly
MOST_DISTRICTS = 900
DISTRICT_M = 320.0  # fields of one district are parallel


def _parcels(stage: Stage, size: float) -> list[shapely.Polygon]:
    """Rectangles in rows, turned district by district."""
    x0, y0, x1, y1 = stage.site.bounds
    # a huge map has larger districts, not more of them
    scale = max(1.0, math.sqrt((x1 - x0) * (y1 - y0) / MOST_DISTRICTS) / DISTRICT_M)
    side, size = scale * DISTRICT_M, scale * size
    found = []
    for west in np.arange(x0, x1, side):
        for south in np.arange(y0, y1, side):
            district = shapely.box(west, south, min(west + side, x1), min(south + side, y1))
            turn = stage.uniform(-0.6, 0.6)
            middle = np.array([west + side / 2.0, south + side / 2.0])
            c, s = math.cos(turn), math.sin(turn)
            reach = 0.75 * side
            v = -reach
            while v < reach:
                deep = stage.uniform(0.55, 1.0) * size
                u = -reach
                while u < reach:
                    wide = stage.uniform(0.8, 1.7) * size
                    local = np.array([(u, v), (u + wide, v), (u + wide, v + deep), (u, v + deep)])
                    corners = middle + local @ np.array([[c, s], [-s, c]])
                    parcel = shapely.Polygon(corners).buffer(-LANE_M / 2.0, join_style="mitre")
                    found.append(shapely.intersection(parcel, district))
                    u += wide
                v += deep
    return [p for p in found if p.geom_type == "Polygon" and p.area > SMALLEST_M2]


def _cleared(stage: Stage, parcel: shapely.Polygon, away: float) -> list[shapely.Polygon]:
    """What is left of a parcel `away` from roads and beside buildings."""
    x0, y0, x1, y1 = parcel.bounds
    roads = shapely.buffer(stage.lots.road_near((x0 - away, y0 - away, x1 + away, y1 + away)), away, quad_segs=2)
    standing = [shapely.buffer(other, 0.35 * away, quad_segs=1) for other in stage.lots.taken_near(parcel)]
    left = shapely.difference(parcel, shapely.union_all([roads, *standing]))
    left = shapely.simplify(shapely.buffer(left, -1.0, quad_segs=1), 0.8)
    return [p for p in shapely.get_parts(left) if p.geom_type == "Polygon" and p.area > SMALLEST_M2]


def _sow(stage: Stage, area: shapely.Polygon) -> None:
    """A crop of even height with upright edges, draped over the land."""
    colour = stage.pick(CROPS)
    crop = stage.uniform(*CROP_M)
    longest = FLAT_EDGE_M if stage.flat else SLOPE_EDGE_M
    vertices, triangles = triangulate(shapely.segmentize(area, longest))
    plan, triangles = refine(vertices, triangles, longest)
    triangles = triangles[shapely.area(shapely.polygons(plan[triangles])) > LEAST_M2]
    z = stage.z(plan)
    sag = stage.z(plan[triangles].mean(axis=1)) - z[triangles].mean(axis=1)
    crop += max(0.0, float(sag.max()))  # the land may bulge between the corners
    stage.builder.add(np.column_stack([plan, z + crop]), triangles, colour, Label.VEGETATION, Material.GRASS)
    side = shaded(colour, 0.78)
    for number, ring in enumerate((area.exterior, *area.interiors)):
        line = np.asarray(shapely.segmentize(ring, longest).coords)[:, :2]
        inside_left = shapely.is_ccw(ring) == (number == 0)
        line = line if inside_left else line[::-1]
        z = stage.z(line)
        foot, top = np.column_stack([line, z - 0.3]), np.column_stack([line, z + crop])
        # the land is to the left of the line, so the crop's edge faces right
        stage.builder.ribbon(foot, top, side, Label.VEGETATION, Material.GRASS)
    stage.lots.take(area)


def _grow_wood(stage: Stage, area: shapely.Polygon) -> None:
    """A wood seen from outside: a ragged wall of leaves and a bumpy canopy."""
    ring = np.asarray(shapely.segmentize(orient(area).exterior, WOOD_PART_M).coords)[:-1, :2]
    ring = ring + stage.rng.uniform(-0.8, 0.8, ring.shape)
    count, tall = len(ring), stage.uniform(*WOOD_M)
    z = stage.z(ring)
    rim = z + tall * stage.rng.uniform(0.72, 1.0, count)
    colour = stage.pick(FOREST)
    closed = np.append(np.arange(count), 0)
    foot, top = np.column_stack([ring, z - 0.5])[closed], np.column_stack([ring, rim])[closed]
    for i in range(count):
        tone = shaded(colour, stage.uniform(0.88, 1.1))
        stage.builder.ribbon(foot[i : i + 2], top[i : i + 2], tone, Label.VEGETATION, Material.FOLIAGE)
    middle = np.array([*ring.mean(axis=0), float(z.mean()) + 1.15 * tall])
    inner = 0.5 * top[:-1] + 0.5 * middle + np.column_stack([np.zeros((count, 2)), stage.rng.uniform(-0.5, 1.3, count)])
    around = inner[closed]
    stage.builder.ribbon(top, around, colour, Label.VEGETATION, Material.FOLIAGE)
    fan = np.column_stack([np.arange(count), closed[1:], np.full(count, count)])
    stage.builder.add(np.concatenate([inner, middle[None]]), fan, colour, Label.VEGETATION, Material.FOLIAGE)
    for i in range(count):
        a, b = ring[i], ring[closed[i + 1]]
        heading = math.atan2(b[1] - a[1], b[0] - a[0])
        edge = Spot(float(a[0] + b[0]) / 2.0, float(a[1] + b[1]) / 2.0, float(z[i]), heading).moved(0.0, 0.4)
        half = float(np.hypot(*(b - a))) / 2.0
        stage.solid(edge, half, 0.4, float(z[i]), float(z[i]) + 0.7 * tall, Label.VEGETATION)
    stage.lots.take(area)


def add_fields(stage: Stage, size: float, share: float, woods: float, most: int) -> None:
    """A share of all parcels is sown, another is wooded, the rest is meadow; for about `most` triangles in all."""
    parcels = _parcels(stage, size)
    each = FLAT_TRIANGLES if stage.flat else SLOPE_TRIANGLES
    wanted = len(parcels) * (share * each + woods * WOOD_TRIANGLES)
    keep = min(1.0, max(0.0, most / max(1.0, wanted)))
    for parcel in parcels:
        draw = stage.uniform(0.0, 1.0) / max(keep, 1e-9)
        if draw < woods:
            for area in _cleared(stage, parcel, WOOD_OFF_M):
                rounded = shapely.convex_hull(shapely.buffer(area, -3.0).buffer(3.0))  # a canopy is star-shaped
                if rounded.geom_type == "Polygon" and stage.lots.free(rounded.buffer(2.0)):
                    _grow_wood(stage, shapely.simplify(rounded, 0.5))
        elif draw < woods + share:
            for area in _cleared(stage, parcel, HEADLAND_M):
                _sow(stage, area)
