"""Roads, markings, kerbs, sidewalks and the grass between them. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.towns.curves import Curve
from carla_bridge.embedded.towns.layout import LANE_WIDTH_M, SIDEWALK_WIDTH_M, Connector, Junction, Network, Road
from carla_bridge.embedded.towns.meshes import MeshBuilder, colour_of
from carla_bridge.embedded.towns.signals import stop_line
from carla_bridge.embedded.types import Label, Material

Array = npt.NDArray[np.float64]

MARKING_Z_M = 0.02
KERB_Z_M = 0.12
GRASS_Z_M = 0.10
KERB_STONE_M = 0.18
GRASS_OVERLAP_M = 0.4  # grass reaches under the sidewalk, so no seam can show
GROUND_HALF_SIZE_M = 275.0
GRASS_CELL_M = 25.0
LINE_WIDTH_M = 0.15
EDGE_LINE_INSET_M = 0.2
DASH_M, DASH_PERIOD_M = 3.0, 7.5

ASPHALT = colour_of("#4a4b4e")
WHITE = colour_of("#dcdcd8")
YELLOW = colour_of("#d9a92b")
PAVING = colour_of("#9b9891")
KERB = colour_of("#b9b6ae")
GRASS = colour_of("#5b7a3c")


@dataclass(frozen=True)
class Footprint:
    """Outlines that scenery must respect."""

    driving: shapely.Geometry  # lanes and junctions
    paved: shapely.Geometry  # and sidewalks


def _flat(points: Array, z: float) -> Array:
    return np.column_stack([points, np.full(len(points), z)])


def _stripe(builder: MeshBuilder, curve: Curve, stations: Array, left: float, yellow: bool = False) -> None:
    right_edge = _flat(curve.offset(stations, left - LINE_WIDTH_M / 2.0), MARKING_Z_M)
    left_edge = _flat(curve.offset(stations, left + LINE_WIDTH_M / 2.0), MARKING_Z_M)
    builder.ribbon(right_edge, left_edge, YELLOW if yellow else WHITE, Label.ROAD_LINES)


def _add_markings(builder: MeshBuilder, road: Road, stations: Array) -> None:
    for side in (-1.0, 1.0):
        _stripe(builder, road.curve, stations, side * (road.half_width - EDGE_LINE_INSET_M))
    for left in (-0.15, 0.15) if road.lanes > 1 else (0.0,):
        _stripe(builder, road.curve, stations, left, yellow=True)
    for divider in range(1, road.lanes):
        for begin in np.arange(2.0, road.curve.length - DASH_M - 1.0, DASH_PERIOD_M):
            for side in (-1.0, 1.0):
                _stripe(builder, road.curve, np.array([begin, begin + DASH_M]), side * divider * LANE_WIDTH_M)


def add_sidewalk(builder: MeshBuilder, kerb: Array, stone: Array, back: Array) -> None:
    """Kerb face, kerb stone and paving along (N, 2) polylines in the direction of traffic (grass hides the rear)."""
    builder.ribbon(_flat(kerb, KERB_Z_M), _flat(kerb, 0.0), KERB, Label.SIDEWALKS)
    builder.ribbon(_flat(stone, KERB_Z_M), _flat(kerb, KERB_Z_M), KERB, Label.SIDEWALKS)
    builder.ribbon(_flat(back, KERB_Z_M), _flat(stone, KERB_Z_M), PAVING, Label.SIDEWALKS, Material.PAVING)


def _sidewalk_lines(curve: Curve, stations: Array, offset: float) -> tuple[Array, Array, Array]:
    """Kerb, stone and back polylines; offset > 0: left of the curve (and run backwards, as its traffic does)."""
    side = np.sign(offset)
    lines = [curve.offset(stations, offset + side * d) for d in (0.0, KERB_STONE_M, SIDEWALK_WIDTH_M)]
    kerb, stone, back = (p[::-1] if side > 0 else p for p in lines)
    return kerb, stone, back


def _add_road(builder: MeshBuilder, road: Road) -> tuple[shapely.Polygon, shapely.Polygon]:
    stations = road.curve.stations()
    columns = [_flat(road.curve.offset(stations, k * LANE_WIDTH_M), 0.0) for k in range(-road.lanes, road.lanes + 1)]
    for right, left in itertools.pairwise(columns):
        builder.ribbon(right, left, ASPHALT, Label.ROADS, Material.ASPHALT)
    _add_markings(builder, road, stations)
    backs = []
    for side in (-1.0, 1.0):
        kerb, stone, back = _sidewalk_lines(road.curve, stations, side * road.half_width)
        add_sidewalk(builder, kerb, stone, back)
        backs.append(back)
    driving = shapely.Polygon(np.concatenate([columns[0], columns[-1][::-1]])[:, :2])
    return driving, shapely.Polygon(np.concatenate(backs))


def _add_junction(
    builder: MeshBuilder, junction: Junction, kerbside: list[Connector]
) -> tuple[shapely.Polygon, list[shapely.Polygon]]:
    """Asphalt inside the arms' ends and the kerbs, sharing every border vertex with roads and kerbs."""
    border: list[Array] = []
    walks = []
    for arm in junction.arms:
        border.append(np.array([arm.beside(0.0, k * LANE_WIDTH_M) for k in range(-arm.lanes, arm.lanes + 1)]))
        connector = next(c for c in kerbside if c.incoming is arm)
        stations = connector.curve.stations()
        kerb, stone, back = _sidewalk_lines(connector.curve, stations, -LANE_WIDTH_M)
        add_sidewalk(builder, kerb, stone, back)
        border.append(kerb[1:-1])
        walks.append(shapely.Polygon(np.concatenate([kerb, back[::-1]])))
        builder.quad(_flat(np.array(stop_line(arm)), MARKING_Z_M), WHITE, Label.ROAD_LINES)
    area = shapely.Polygon(np.concatenate(border))
    builder.surface(area, 0.0, ASPHALT, Label.ROADS, Material.ASPHALT)
    return area, walks


def _add_grass(builder: MeshBuilder, paved: shapely.Geometry) -> None:
    covered = paved.buffer(-GRASS_OVERLAP_M)
    shapely.prepare(covered)
    edges = np.arange(-GROUND_HALF_SIZE_M, GROUND_HALF_SIZE_M, GRASS_CELL_M)
    west, south = (g.ravel() for g in np.meshgrid(edges, edges))
    cells = shapely.box(west, south, west + GRASS_CELL_M, south + GRASS_CELL_M)
    touched = shapely.intersects(covered, cells)
    cells[touched] = shapely.difference(cells[touched], covered)
    for cell in cells:
        builder.surface(cell, GRASS_Z_M, GRASS, Label.TERRAIN, Material.GRASS, longest_edge=2.0 * GRASS_CELL_M)


def add_surfaces(builder: MeshBuilder, network: Network) -> Footprint:
    """All that is driven or walked on."""
    driving: list[shapely.Geometry] = []
    paved: list[shapely.Geometry] = []
    for road in network.roads:
        lanes, with_walks = _add_road(builder, road)
        driving.append(lanes)
        paved.append(with_walks)
    for junction in network.junctions:
        kerbside = [c for c in network.connectors if c.junction == junction.id and c.kerbside]
        area, walks = _add_junction(builder, junction, kerbside)
        driving.append(area)
        paved.extend([area, *walks])
    # a millimetre closes the seams between neighbours that share an edge only up to rounding
    footprint = Footprint(shapely.union_all(driving), shapely.union_all([p.buffer(0.001) for p in paved]))
    _add_grass(builder, footprint.paved)
    return footprint
