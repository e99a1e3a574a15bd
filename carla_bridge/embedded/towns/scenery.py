"""Buildings, trees and street lamps beside the roads. Right-handed OpenDRIVE coordinates.

Nothing may stand in a lane or between the last metres of an approach and its traffic light; both are kept free as
polygons in plan, so that the rule holds for every height.
"""

from __future__ import annotations

import math

import numpy as np
import shapely

from carla_bridge.embedded.towns.dressing import Dressing
from carla_bridge.embedded.towns.dressing.blocks import add_block
from carla_bridge.embedded.towns.dressing.horizon import add_forest_ring
from carla_bridge.embedded.towns.dressing.lamps import add_lamp
from carla_bridge.embedded.towns.dressing.lots import Lots
from carla_bridge.embedded.towns.dressing.trees import add_tree
from carla_bridge.embedded.towns.layout import LANE_WIDTH_M, SIDEWALK_WIDTH_M, Network, Road
from carla_bridge.embedded.towns.meshes import MeshBuilder, rectangle
from carla_bridge.embedded.towns.signals import Approach
from carla_bridge.embedded.towns.surface import GROUND_HALF_SIZE_M, KERB_Z_M, Footprint
from carla_bridge.embedded.types import Box, StreetLamp

SIGHT_M = 45.0  # before the stop line
SIGHT_MARGIN_M = 1.0
FOREST_RADIUS_M = 262.0  # of the belt of trees that closes the view


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


def _add_buildings(builder: MeshBuilder, network: Network, lots: Lots, rng: np.random.Generator) -> list[Box]:
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
                        solids.append(add_block(builder, rng, centre, heading, width / 2.0, depth / 2.0, height))
                        s += width + float(rng.uniform(2.0, 6.0))
                        break
                else:
                    s += 4.0
    return solids


def _add_trees(builder: MeshBuilder, network: Network, lots: Lots, rng: np.random.Generator) -> list[Box]:
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
            solids.append(add_tree(builder, rng, place, crown))
    return solids


def _add_lamps(builder: MeshBuilder, network: Network, blocked: shapely.Geometry) -> tuple[list[Box], list[StreetLamp]]:
    """Street lamps on the sidewalk, alternating sides; the arm hangs over the kerb well above any car."""
    shapely.prepare(blocked)
    solids, lamps = [], []
    for road in network.roads:
        count = max(1, int(road.curve.length // 26.0))
        for i in range(count):
            side = 1.0 if i % 2 else -1.0
            centre, heading = _beside(road, (i + 0.5) * road.curve.length / count, side, -0.35)
            if blocked.intersects(shapely.Point(centre).buffer(0.3)):
                continue
            solid, lamp = add_lamp(builder, centre, heading - side * math.pi / 2.0, foot=KERB_Z_M)
            solids.append(solid)
            lamps.append(lamp)
    return solids, lamps


def add_scenery(
    builder: MeshBuilder,
    network: Network,
    approaches: tuple[Approach, ...],
    footprint: Footprint,
    rng: np.random.Generator,
) -> Dressing:
    """Everything that stands beside the roads."""
    corridors = _sight_corridors(network, approaches)
    poles = [shapely.Point(a.pole).buffer(1.2) for a in approaches]
    blocked = shapely.union_all([footprint.paved.buffer(0.2), *corridors, *poles])
    edge = GROUND_HALF_SIZE_M
    lots = Lots(blocked, (-edge, -edge, edge, edge))
    solids = _add_buildings(builder, network, lots, rng)
    solids += _add_trees(builder, network, lots, rng)
    posts, lamps = _add_lamps(builder, network, shapely.union_all([*corridors, *poles]))
    add_forest_ring(builder, rng, FOREST_RADIUS_M)
    return Dressing((*solids, *posts), tuple(lamps))
