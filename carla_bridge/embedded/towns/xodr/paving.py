"""Meshes of the lanes: asphalt, kerbs, sidewalks, medians, and what fills junctions.

Where a sidewalk of one road would lie across the lanes of another (connecting roads in a junction), the lanes win.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, colour_of, refine, triangulate
from carla_bridge.embedded.towns.site import Style
from carla_bridge.embedded.towns.surface import ASPHALT, KERB, KERB_STONE_M
from carla_bridge.embedded.towns.xodr.areas import common, minus, union
from carla_bridge.embedded.towns.xodr.cells import SAME_LEVEL_M, SLIVER_M2, Cells, IntArray
from carla_bridge.embedded.towns.xodr.model import Array
from carla_bridge.embedded.towns.xodr.strips import KERB_M, BoolArray, Kind, SampledRoad, Strip, section_strips
from carla_bridge.embedded.types import Label, Material

HeightOf = Callable[[Array], Array]  # (N, 2) -> (N,)

BIKE_LANE = colour_of("#7a4a42")
OVERLAP_M = 0.02
FINEST = 64.0  # no polygon is cut into more edges across, however large it is
SKIRT_M = 0.05  # kerb faces reach this far below the road
NARROW_WALK_M = 0.6  # narrower ones are all kerb


@dataclass(frozen=True)
class Raised:
    """An area beside the lanes that is no plain strip: what is left of a cut cell, or a junction's corner."""

    area: shapely.Polygon
    kind: Kind = Kind.RAISED

    @property
    def lift(self) -> float:
        return KERB_M if self.kind in (Kind.RAISED, Kind.GREEN) else 0.0


def _colour(strip: Strip) -> Colour:
    return BIKE_LANE if strip.lane.kind == "biking" else ASPHALT


def _longer(points: Array) -> Array:
    """A polyline, longer by a hair at both ends: neighbouring ribbons overlap, so that no seam shows the sky."""
    longer = points.copy()
    for end, inner in ((0, 1), (-1, -2)):
        step = points[end] - points[inner]
        longer[end] += OVERLAP_M / max(float(np.linalg.norm(step)), 1e-6) * step
    return longer


def add_asphalt(builder: MeshBuilder, roads: list[SampledRoad]) -> None:
    """Neighbouring asphalt lanes in one ribbon: the cross-section between them is straight."""
    for sampled in roads:
        road = sampled.road
        bent = not (road.crossfall_left.zero and road.crossfall_right.zero)
        for group in section_strips(sampled):
            run: list[Strip] = []
            for strip in [*group, None]:
                if strip is not None and strip.lane.id == 0:
                    continue
                fits = strip is not None and strip.kind is Kind.ASPHALT and not strip.lift.any()
                if run and (
                    not fits
                    or strip is None
                    or _colour(strip) != _colour(run[0])
                    or strip.lane.id - run[-1].lane.id > (1 if strip.lane.id * run[-1].lane.id > 0 else 2)
                    or (bent and strip.lane.id * run[-1].lane.id < 0)
                ):
                    right, left = _longer(run[0].right), _longer(run[-1].left)
                    builder.ribbon(right, left, _colour(run[0]), Label.ROADS, Material.ASPHALT)
                    run = []
                if fits and strip is not None:
                    run.append(strip)
                elif strip is not None and strip.kind is Kind.ASPHALT:  # with a height of its own
                    builder.ribbon(strip.right, strip.left, _colour(strip), Label.ROADS, Material.ASPHALT)


def _top(kind: Kind, style: Style) -> tuple[Colour, Label, Material]:
    if kind in (Kind.GREEN, Kind.FLUSH_GREEN):
        return style.terrain_colour, Label.TERRAIN, Material.GRASS
    if kind is Kind.FLUSH_STONE:
        return KERB, Label.SIDEWALKS, Material.PLAIN
    return style.sidewalk_colour, Label.SIDEWALKS, style.sidewalk_material


def _down(points: Array, depth: Array | float) -> Array:
    lower = points.copy()
    lower[:, 2] -= depth
    return lower


def _add_raised_piece(builder: MeshBuilder, strip: Strip, first: int, last: int, style: Style, outside: bool) -> None:
    """Stations first..last of a kerbed strip. outside: its outer edge needs a kerb face as well."""
    part = slice(first, last + 1)
    inner, outer = strip.inner[part], strip.outer[part]
    flip = strip.outwards > 0  # a left lane: its kerb faces right
    for edge, lift, faces_left in ((inner, strip.lift[part, 0], not flip), (outer, strip.lift[part, 1], flip)):
        if edge is outer and not outside:
            continue
        low = _down(edge, lift + SKIRT_M)
        builder.ribbon(*((edge, low) if faces_left else (low, edge)), KERB, Label.SIDEWALKS)
    share = KERB_STONE_M / np.maximum(strip.width[part], 1e-6)
    whole = bool((share > KERB_STONE_M / NARROW_WALK_M).all())
    stone = outer if whole else inner + np.minimum(share, 0.5)[:, None] * (outer - inner)
    builder.ribbon(*((inner, stone) if flip else (stone, inner)), KERB, Label.SIDEWALKS)
    if not whole:
        colour, label, material = _top(strip.kind, style)
        builder.ribbon(*((stone, outer) if flip else (outer, stone)), colour, label, material)
    for at, starts in ((first, True), (last, False)):
        right, left = strip.right[at], strip.left[at]
        down = np.array([0.0, 0.0, float(strip.lift[at].max()) + SKIRT_M])
        face = [left - down, right - down, right, left]
        builder.quad(np.array(face if starts else face[::-1]), KERB, Label.SIDEWALKS)


def _conflicts(cells: Cells) -> dict[int, shapely.Geometry]:
    """Cell beside the lanes -> what other roads' lanes leave of it."""
    raised = np.flatnonzero(~cells.asphalt)
    if not len(raised):
        return {}
    mine, other = cells.pairs(raised)
    clash = cells.drivable[other] & (cells.road[mine] != cells.road[other])
    clash &= np.abs(cells.z[mine] - cells.z[other]) < SAME_LEVEL_M
    mine, other = mine[clash], other[clash]
    overlap = shapely.area(common(cells.polygons[mine], cells.polygons[other]))
    mine, other = mine[overlap > SLIVER_M2], other[overlap > SLIVER_M2]
    order = np.argsort(mine, kind="stable")
    mine, other = mine[order], other[order]
    left: dict[int, shapely.Geometry] = {}
    for rows in np.split(np.arange(len(mine)), np.flatnonzero(np.diff(mine)) + 1):
        if len(rows):
            cell = int(mine[rows[0]])
            left[cell] = minus(cells.polygons[cell], union(cells.polygons[other[rows]]))
    return left


def add_raised(
    builder: MeshBuilder, cells: Cells, style: Style
) -> tuple[list[Raised], BoolArray, npt.NDArray[np.object_]]:
    """Sidewalks, medians and borders. Returns the odd pieces (not drawn yet), which of their cells are whole, and the
    polygons of all cells with theirs cut."""
    cut = _conflicts(cells)
    polygons = cells.polygons.copy()
    for cell, rest in cut.items():
        polygons[cell] = rest
    whole = ~cells.asphalt
    whole[list(cut)] = False
    pieces = []
    for cell in sorted(cut):
        strip = cells.strips[cells.strip[cell]]
        for part in shapely.get_parts(cut[cell]):
            if part.geom_type == "Polygon" and part.area > 10.0 * SLIVER_M2:
                pieces.append(Raised(part, strip.kind))
    rows = np.flatnonzero(whole)
    breaks = np.flatnonzero((np.diff(cells.strip[rows]) != 0) | (np.diff(cells.place[rows]) != 1)) + 1
    for run in np.split(rows, breaks):
        if len(run):
            strip = cells.strips[cells.strip[run[0]]]
            first, last = int(cells.place[run[0]]), int(cells.place[run[-1]]) + 1
            if strip.kind not in (Kind.RAISED, Kind.GREEN):
                part = slice(first, last + 1)
                builder.ribbon(_longer(strip.right[part]), _longer(strip.left[part]), *_top(strip.kind, style))
                continue
            _add_raised_piece(builder, strip, first, last, style, _open_outside(strip, cells, run))
    return pieces, whole, polygons


def _open_outside(strip: Strip, cells: Cells, run: IntArray) -> bool:
    """Whether something lower than the strip lies beyond its outer edge: a lane, or the air beside a bridge."""
    beyond = strip.lane.id + (1 if strip.lane.id > 0 else -1)
    section = next(k for k in strip.road.sections if any(lane is strip.lane for lane in k.lanes))
    lane = section.lane(beyond)
    return bool(cells.bridge[run].any()) or strip.kind is Kind.GREEN or (lane is not None and lane.kind != "none")


def add_raised_areas(
    builder: MeshBuilder,
    pieces: list[Raised],
    kerb_zone: shapely.Geometry,
    heights: HeightOf,
    style: Style,
) -> None:
    """Odd pieces: kerb stones within `kerb_zone`, the rest paved, and kerb faces all around."""
    for piece in pieces:
        lift = piece.lift
        if lift == 0.0:
            add_area(builder, piece.area, heights, lift, *_top(piece.kind, style))
            continue
        stone = common(piece.area, kerb_zone)
        for area, (colour, label, material) in (
            (stone, (KERB, Label.SIDEWALKS, Material.PLAIN)),
            (minus(piece.area, kerb_zone), _top(piece.kind, style)),
        ):
            add_area(builder, area, heights, lift, colour, label, material)
        for ring in (piece.area.exterior, *piece.area.interiors):
            points = np.asarray(ring.coords)[:, :2]
            if ring.is_ccw == (ring is not piece.area.exterior):
                points = points[::-1]  # the paving lies to the left of its border
            top = np.column_stack([points, heights(points) + lift])
            builder.ribbon(_down(top, lift + SKIRT_M), top, KERB, Label.SIDEWALKS)


def add_area(
    builder: MeshBuilder,
    area: shapely.Geometry,
    heights: HeightOf,
    lift: float,
    colour: Colour,
    label: Label,
    material: Material,
    longest_edge: float = 12.0,
) -> None:
    """Any polygon laid over heights."""
    for part in shapely.get_parts(area):
        if part.geom_type != "Polygon" or part.area < SLIVER_M2:
            continue
        vertices, triangles = triangulate(part)
        if not len(triangles):
            continue
        longest = max(longest_edge, float(np.ptp(vertices, axis=0).max()) / FINEST)
        vertices, triangles = refine(vertices, triangles, longest)
        triangles = triangles[_areas(vertices, triangles) > 1e-7]
        builder.add(np.column_stack([vertices, heights(vertices) + lift]), triangles, colour, label, material)


def _areas(vertices: Array, triangles: npt.NDArray[np.int64]) -> Array:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])) / 2.0
