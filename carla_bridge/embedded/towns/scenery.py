"""Buildings, trees and street lamps beside the roads. Right-handed OpenDRIVE coordinates.

Nothing may stand in a lane or between the last metres of an approach and its traffic light; both are kept free as
polygons in plan, so that the rule holds for every height.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.towns.layout import LANE_WIDTH_M, SIDEWALK_WIDTH_M, Network, Road
from carla_bridge.embedded.towns.meshes import MeshBuilder, colour_of, rectangle
from carla_bridge.embedded.towns.signals import Approach
from carla_bridge.embedded.towns.surface import GROUND_HALF_SIZE_M, KERB_Z_M, Footprint
from carla_bridge.embedded.types import Box, Label, Material, Pose

Array = npt.NDArray[np.float64]

SIGHT_M = 45.0  # before the stop line
SIGHT_MARGIN_M = 1.0
CROWN_SIDES = 8
FOREST_RADIUS_M = 262.0  # of the belt of trees that closes the view
WALLS = tuple(
    map(
        colour_of,
        (
            "#c9b79c",
            "#b5654a",
            "#d8d2c4",
            "#a89f91",
            "#8f9aa3",
            "#cdae7a",
            "#9c5b45",
            "#7f8c86",
            "#e0d6c0",
            "#b88d6a",
        ),
    )
)
OFFICE_WALLS = tuple(map(colour_of, ("#8fa3b0", "#a7a9a8", "#6f7f8c", "#c2c4c0", "#8c7b6b")))
TILES = tuple(map(colour_of, ("#8d4a37", "#6d4238", "#4b4f56", "#5a3f36")))
FLAT_ROOF = colour_of("#77746e")
TRUNK = colour_of("#5d4632")
LEAVES = tuple(map(colour_of, ("#3f6b2f", "#4c7a36", "#5a8440", "#376033", "#6f8a3d")))
FOREST = tuple(map(colour_of, ("#3b5a36", "#44663a")))
NEEDLES = colour_of("#2f5434")
LAMP_METAL = colour_of("#55585c")
LAMP_GLASS = colour_of("#d9d6c8")


class _Lots:
    """What is still free to build on."""

    def __init__(self, blocked: shapely.Geometry) -> None:
        self.blocked = blocked
        shapely.prepare(self.blocked)
        self._taken: list[shapely.Geometry] = []
        self._circles: list[tuple[float, float, float]] = []

    def free(self, outline: shapely.Geometry) -> bool:
        centre = outline.centroid
        radius = math.hypot(outline.bounds[2] - outline.bounds[0], outline.bounds[3] - outline.bounds[1]) / 2.0
        if max(abs(centre.x), abs(centre.y)) + radius > GROUND_HALF_SIZE_M or self.blocked.intersects(outline):
            return False
        near = (
            other
            for other, (x, y, r) in zip(self._taken, self._circles, strict=True)
            if math.hypot(x - centre.x, y - centre.y) < r + radius
        )
        return not any(other.intersects(outline) for other in near)

    def take(self, outline: shapely.Geometry) -> None:
        centre = outline.centroid
        radius = math.hypot(outline.bounds[2] - outline.bounds[0], outline.bounds[3] - outline.bounds[1]) / 2.0
        self._taken.append(outline)
        self._circles.append((centre.x, centre.y, radius))


def _sight_corridors(network: Network, approaches: tuple[Approach, ...]) -> list[shapely.Geometry]:
    corridors = []
    for approach in approaches:
        road = network.road_by_id[approach.arm.road]
        distances = np.arange(0.0, min(SIGHT_M, road.curve.length), 3.0)
        starts = approach.arm.road_starts_here
        stations = distances if starts else road.curve.length - distances
        for lane in range(road.lanes):
            left = (lane + 0.5) * LANE_WIDTH_M * (1.0 if starts else -1.0)
            lines = [shapely.LineString([point, approach.head]) for point in road.curve.offset(stations, left)]
            corridors.append(shapely.union_all(lines).buffer(SIGHT_MARGIN_M, quad_segs=2))
    return corridors


def _box(centre: tuple[float, float], z0: float, z1: float, heading: float, ex: float, ey: float, label: Label) -> Box:
    """A solid in CARLA's axes."""
    pose = Pose(x=centre[0], y=-centre[1], z=(z0 + z1) / 2.0, yaw=-math.degrees(heading))
    return Box(pose, (ex, ey, (z1 - z0) / 2.0), label)


def _add_gable(
    builder: MeshBuilder,
    centre: tuple[float, float],
    heading: float,
    ex: float,
    ey: float,
    z: float,
    rise: float,
    wall: tuple[float, float, float],
    tiles: tuple[float, float, float],
) -> None:
    """A saddle roof whose ridge runs along the longer side."""
    if ey > ex:
        heading, ex, ey = heading + math.pi / 2.0, ey, ex
    eaves = 0.35
    corners = rectangle(centre, heading, ex + eaves, ey + eaves)
    lower = np.column_stack([corners, np.full(4, z)])
    along = np.array([math.cos(heading), math.sin(heading)]) * (ex + eaves)
    ridge = np.array([[*(np.array(centre) + along), z + rise], [*(np.array(centre) - along), z + rise]])
    vertices = np.concatenate([lower, ridge])  # 0 front left, 1 back left, 2 back right, 3 front right, 4, 5 ridge
    builder.add(vertices, ((0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5)), tiles, Label.BUILDINGS)
    builder.add(vertices, ((0, 4, 3), (1, 2, 5)), wall, Label.BUILDINGS)
    builder.add(vertices, ((0, 3, 2), (0, 2, 1)), wall, Label.BUILDINGS)


def _add_building(
    builder: MeshBuilder,
    rng: np.random.Generator,
    centre: tuple[float, float],
    heading: float,
    ex: float,
    ey: float,
    height: float,
) -> Box:
    wall = WALLS[rng.integers(len(WALLS))] if height < 15.0 else OFFICE_WALLS[rng.integers(len(OFFICE_WALLS))]
    outline = rectangle(centre, heading, ex, ey)
    gabled = height < 9.5
    builder.loft(
        outline,
        0.0,
        outline,
        height,
        wall,
        Label.BUILDINGS,
        Material.FACADE,
        bottom=False,
        top=not gabled,
        roof=(FLAT_ROOF, Material.PLAIN),
    )
    if gabled:
        tiles = TILES[rng.integers(len(TILES))]
        _add_gable(builder, centre, heading, ex, ey, height, min(ex, ey) * 0.7, wall, tiles)
    else:
        trim = tuple(0.8 * c for c in wall)
        cornice = rectangle(centre, heading, ex + 0.25, ey + 0.25)
        builder.loft(
            cornice,
            height - 0.2,
            cornice,
            height + 0.5,
            (trim[0], trim[1], trim[2]),
            Label.BUILDINGS,
            roof=(FLAT_ROOF, Material.PLAIN),
        )
        if height > 14.0:
            builder.box(
                centre, height + 1.6, heading, (ex * 0.3, ey * 0.3, 1.2), FLAT_ROOF, Label.BUILDINGS, bottom=False
            )
    return _box(centre, 0.0, height, heading, ex, ey, Label.BUILDINGS)


def _building_height(rng: np.random.Generator, centre: tuple[float, float], lanes: int) -> float:
    """Taller towards the middle of the town and along the avenue."""
    downtown = math.exp(-((math.hypot(*centre) / 110.0) ** 2)) + (0.25 if lanes > 1 else 0.0)
    if rng.random() < downtown:
        return float(rng.uniform(12.0, 24.0))
    return float(rng.uniform(5.5, 9.0) if rng.random() < 0.7 else rng.uniform(9.5, 13.0))


def _beside(road: Road, s: float, side: float, distance: float) -> tuple[tuple[float, float], float]:
    """Point `distance` behind the sidewalk on one side (+1 left) and the road's heading there."""
    left = side * (road.half_width + SIDEWALK_WIDTH_M + distance)
    x, y = road.curve.offset([s], left)[0]
    return (float(x), float(y)), road.curve.at(s)[2]


def _add_buildings(builder: MeshBuilder, network: Network, lots: _Lots, rng: np.random.Generator) -> list[Box]:
    solids = []
    for road in network.roads:
        for side in (-1.0, 1.0):
            s = 4.0
            while s < road.curve.length - 4.0:
                width, depth = float(rng.uniform(10.0, 22.0)), float(rng.uniform(9.0, 14.0))
                setback = float(rng.uniform(3.0, 7.0))
                for push in (0.0, 3.0, 6.0):
                    centre, heading = _beside(road, s + width / 2.0, side, setback + push + depth / 2.0)
                    outline = shapely.Polygon(rectangle(centre, heading, width / 2.0 + 0.8, depth / 2.0 + 0.8))
                    if lots.free(outline):
                        lots.take(outline)
                        height = _building_height(rng, centre, road.lanes)
                        solids.append(_add_building(builder, rng, centre, heading, width / 2.0, depth / 2.0, height))
                        s += width + float(rng.uniform(2.0, 6.0))
                        break
                else:
                    s += 4.0
    return solids


def _crown(rng: np.random.Generator, sides: int) -> tuple[Array, npt.NDArray[np.int64]]:
    """A lumpy ball between z = 0 and 1, at most 1 wide: two rings of corners and two tips."""
    angle = np.arange(sides) * (2.0 * math.pi / sides)
    rings = []
    for z, width, turned in ((0.28, 0.9, 0.0), (0.70, 0.78, math.pi / sides)):
        reach = width * rng.uniform(0.82, 1.1, sides)
        rings.append(
            np.column_stack(
                [reach * np.cos(angle + turned), reach * np.sin(angle + turned), z + rng.uniform(-0.06, 0.06, sides)]
            )
        )
    vertices = np.concatenate([*rings, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    i = np.arange(sides)
    j = (i + 1) % sides
    low, high = np.full(sides, 2 * sides), np.full(sides, 2 * sides + 1)
    triangles = np.concatenate(
        [
            np.stack([low, j, i], axis=1),
            np.stack([i, j, sides + i], axis=1),
            np.stack([j, sides + j, sides + i], axis=1),
            np.stack([sides + i, sides + j, high], axis=1),
        ]
    )
    return vertices, triangles


def _add_tree(builder: MeshBuilder, rng: np.random.Generator, centre: tuple[float, float], crown: float) -> Box:
    trunk = float(rng.uniform(1.8, 2.6))
    radius = 0.09 * crown + 0.04
    if rng.random() < 0.2:
        builder.prism(centre, 0.0, 1.0, radius, radius, 5, TRUNK, Label.VEGETATION)
        z = 0.8
        for shrink in (1.0, 0.78, 0.52):
            height = 1.5 * crown * (0.6 + 0.4 * shrink)
            builder.prism(
                centre,
                z,
                z + height,
                crown * shrink * 0.9,
                0.0,
                8,
                NEEDLES,
                Label.VEGETATION,
                Material.FOLIAGE,
                bottom=True,
            )
            z += 0.55 * height
    else:
        tall = float(rng.uniform(1.8, 2.6)) * crown
        vertices, triangles = _crown(rng, CROWN_SIDES)
        blob = vertices * [crown, crown, tall] + [*centre, trunk]
        builder.prism(centre, 0.0, trunk + 0.4, radius, radius * 0.8, 5, TRUNK, Label.VEGETATION)
        leaves = LEAVES[rng.integers(len(LEAVES))]
        builder.add(blob, triangles, leaves, Label.VEGETATION, Material.FOLIAGE)
    return _box(centre, 0.0, trunk, 0.0, radius, radius, Label.VEGETATION)


def _add_trees(builder: MeshBuilder, network: Network, lots: _Lots, rng: np.random.Generator) -> list[Box]:
    places: list[tuple[float, float]] = []
    for road in network.roads:
        for side in (-1.0, 1.0):
            for s in np.arange(6.0, road.curve.length, 10.0):
                jitter = float(rng.uniform(-2.0, 2.0))
                places.append(_beside(road, float(s) + jitter, side, float(rng.uniform(1.9, 3.5)))[0])
    limit = GROUND_HALF_SIZE_M - 65.0
    places.extend((float(x), float(y)) for x, y in rng.uniform(-limit, limit, (110, 2)))
    solids = []
    for place in places:
        crown = float(rng.uniform(1.3, 2.4))
        outline = shapely.Point(place).buffer(crown * 1.05, quad_segs=3)
        if lots.free(outline):
            lots.take(outline)
            solids.append(_add_tree(builder, rng, place, crown))
    return solids


def _add_lamps(builder: MeshBuilder, network: Network, blocked: shapely.Geometry) -> list[Box]:
    """Street lamps on the sidewalk, alternating sides; the arm hangs over the kerb well above any car."""
    shapely.prepare(blocked)
    solids = []
    for road in network.roads:
        count = max(1, int(road.curve.length // 26.0))
        for i in range(count):
            side = 1.0 if i % 2 else -1.0
            centre, heading = _beside(road, (i + 0.5) * road.curve.length / count, side, -0.35)
            if blocked.intersects(shapely.Point(centre).buffer(0.3)):
                continue
            builder.prism(centre, KERB_Z_M, 7.0, 0.09, 0.06, 6, LAMP_METAL, Label.POLES)
            inwards = heading - side * math.pi / 2.0
            c, s = math.cos(inwards), math.sin(inwards)
            builder.box(
                (centre[0] + 1.1 * c, centre[1] + 1.1 * s), 6.95, inwards, (1.1, 0.05, 0.05), LAMP_METAL, Label.POLES
            )
            builder.box(
                (centre[0] + 2.3 * c, centre[1] + 2.3 * s), 6.92, inwards, (0.35, 0.14, 0.07), LAMP_GLASS, Label.POLES
            )
            solids.append(_box(centre, 0.0, 7.0, 0.0, 0.09, 0.09, Label.POLES))
    return solids


def _add_forest(builder: MeshBuilder, rng: np.random.Generator) -> None:
    """A ring of foliage at the edge of the ground, so that streets do not end at a bare horizon."""
    count = 120
    for ring, (inset, low, high) in enumerate(((0.0, 11.0, 17.0), (7.0, 6.0, 10.0))):
        angle = -np.arange(count + 1) * (2.0 * math.pi / count)  # clockwise: the faces look inwards
        reach = FOREST_RADIUS_M - inset + rng.uniform(-3.0, 3.0, count)
        height = rng.uniform(low, high, count)
        closed = np.append(np.arange(count), 0)
        foot = np.column_stack([reach[closed] * np.cos(angle), reach[closed] * np.sin(angle), np.zeros(count + 1)])
        for i in range(count):
            part = foot[i : i + 2]
            top = part + np.column_stack([np.zeros((2, 2)), height[closed[i : i + 2]]])
            builder.ribbon(part, top, FOREST[ring], Label.VEGETATION, Material.FOLIAGE)


def add_scenery(
    builder: MeshBuilder,
    network: Network,
    approaches: tuple[Approach, ...],
    footprint: Footprint,
    rng: np.random.Generator,
) -> list[Box]:
    """Everything that stands beside the roads; returns what can be hit."""
    corridors = _sight_corridors(network, approaches)
    poles = [shapely.Point(a.pole).buffer(1.2) for a in approaches]
    blocked = shapely.union_all([footprint.paved.buffer(0.2), *corridors, *poles])
    lots = _Lots(blocked)
    solids = _add_buildings(builder, network, lots, rng)
    solids += _add_trees(builder, network, lots, rng)
    solids += _add_lamps(builder, network, shapely.union_all([*corridors, *poles]))
    _add_forest(builder, rng)
    return solids
