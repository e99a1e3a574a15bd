"""Where pedestrians may walk: sidewalks, junction corners, crossings."""

from __future__ import annotations

import itertools

import numpy as np
import shapely

from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.towns.site import Style, Verge
from carla_bridge.embedded.towns.xodr.cells import Cells, gather
from carla_bridge.embedded.towns.xodr.model import Array
from carla_bridge.embedded.towns.xodr.paving import HeightOf, Raised, add_raised
from carla_bridge.embedded.towns.xodr.places import object_outline
from carla_bridge.embedded.towns.xodr.reader import read_network
from carla_bridge.embedded.towns.xodr.strips import KERB_M, BoolArray, Kind, SampledRoad, Strip, resample, sample_road
from carla_bridge.embedded.types import WalkArea, Walkway

LONGEST_M = 30.0  # of one polygon
MOUTH_M = (1.0, 4.0)  # from the end of the road: where people cross when the file has no crossing
REACH_M = 0.9  # crossings reach this far onto the sidewalk
SERVED_M = 16.0  # a crossing this near to a road's end serves it
PATH_M = 2.0  # beside roads of towns without any sidewalk


def _walkway(points: Array, area: WalkArea) -> Walkway:
    """Right-handed points -> CARLA's axes."""
    return Walkway(np.ascontiguousarray(points * np.array([1.0, -1.0, 1.0])), area)


def _along(right: Array, left: Array, area: WalkArea) -> list[Walkway]:
    """A ribbon cut into pieces of bounded length."""
    middle = (right + left) / 2.0
    far = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(middle[:, :2], axis=0).T))])
    cuts = [0]
    for i in range(1, len(far)):
        if i == len(far) - 1 or far[i + 1] - far[cuts[-1]] > LONGEST_M:
            cuts.append(i)
    return [
        _walkway(np.concatenate([right[a : b + 1], left[a : b + 1][::-1]]), area) for a, b in itertools.pairwise(cuts)
    ]


def _end_walk(sampled: SampledRoad, at_end: bool, side: int) -> Strip | None:
    """The sidewalk nearest to the lanes at one end of a road."""
    section = sampled.road.sections[-1 if at_end else 0]
    found = [k for k in sampled.strips if k.kind is Kind.RAISED and k.lane.id * side > 0]
    found = [k for k in found if section.lane(k.lane.id) is k.lane]
    return min(found, key=lambda k: abs(k.lane.id), default=None)


def mouth_crossings(roads: list[SampledRoad], crossings: list[Array]) -> list[Array]:
    """Crossings over the arms of junctions that have sidewalks on both sides but no crossing of their own."""
    found = []
    centres = np.array([c[:, :2].mean(axis=0) for c in crossings]).reshape(-1, 2)
    for sampled in roads:
        road = sampled.road
        if road.in_junction or road.length < 2.0 * MOUTH_M[1]:
            continue
        for at_end, link in ((False, road.predecessor), (True, road.successor)):
            left, right = (_end_walk(sampled, at_end, side) for side in (1, -1))
            if link is None or not link.to_junction or left is None or right is None:
                continue
            s = np.array([road.length - d for d in MOUTH_M] if at_end else MOUTH_M)
            if s.min() < max(left.s[0], right.s[0]) or s.max() > min(left.s[-1], right.s[-1]):
                continue
            sides = [_onto(strip, s) for strip in (right, left)]
            outline = np.concatenate([sides[0], sides[1][::-1]])
            if len(centres) and np.hypot(*(centres - outline[:, :2].mean(axis=0)).T).min() < SERVED_M:
                continue
            found.append(outline)
    return found


def _onto(strip: Strip, s: Array) -> Array:
    inner, outer = resample(strip.s, strip.inner, s), resample(strip.s, strip.outer, s)
    width = np.hypot(*(outer - inner)[:, :2].T)[:, None]
    return np.asarray(inner + np.minimum(REACH_M / np.maximum(width, 1e-6), 0.8) * (outer - inner))


def _lengthened(outline: Array) -> Array:
    """A crossing, a little longer at both ends so that it meets the sidewalks."""
    middle = outline.mean(axis=0)
    axes = np.linalg.svd(outline[:, :2] - middle[:2])[2]
    along = (outline[:, :2] - middle[:2]) @ axes[0]
    longer = outline.copy()
    longer[:, :2] += np.sign(along)[:, None] * REACH_M * axes[0]
    return longer


def walkways(
    cells: Cells,
    whole: BoolArray,
    odd: list[Raised],
    crossings: list[Array],
    mouths: list[Array],
    verges: tuple[Verge, ...],
    heights: HeightOf,
) -> tuple[Walkway, ...]:
    """crossings: outlines of the file's; mouths: invented ones, which are not painted."""
    found: list[Walkway] = []
    walks = np.array([k.kind is Kind.RAISED for k in cells.strips], dtype=bool)
    rows = np.flatnonzero(whole & walks[cells.strip])
    breaks = np.flatnonzero((np.diff(cells.strip[rows]) != 0) | (np.diff(cells.place[rows]) != 1)) + 1
    for run in np.split(rows, breaks):
        if len(run):
            strip = cells.strips[cells.strip[run[0]]]
            part = slice(int(cells.place[run[0]]), int(cells.place[run[-1]]) + 2)
            if float(np.median(strip.width[part])) > 0.5:
                found.extend(_along(strip.right[part], strip.left[part], WalkArea.SIDEWALK))
    for piece in odd:
        if piece.kind is Kind.RAISED:
            points = np.asarray(piece.area.exterior.coords)[:-1, :2]
            found.append(_walkway(np.column_stack([points, heights(points) + KERB_M]), WalkArea.SIDEWALK))
    if not found:
        for verge in verges:
            outer = verge.points.copy()
            outer[:, :2] += PATH_M * verge.outward
            found.extend(_along(verge.points, outer, WalkArea.SIDEWALK))
    for outline in crossings:
        if shapely.Polygon(outline[:, :2]).is_valid:
            found.append(_walkway(_lengthened(outline), WalkArea.CROSSWALK))
    found.extend(_walkway(outline, WalkArea.CROSSWALK) for outline in mouths)
    for strip in cells.strips:  # for pedestrians who cross where they like
        if strip.kind is Kind.ASPHALT:
            found.extend(_along(strip.right, strip.left, WalkArea.ROAD))
    return tuple(found)


def network_walkways(text: str) -> tuple[Walkway, ...]:
    """The walkways of a flat OpenDRIVE text whose meshes are built elsewhere."""
    roads = [sample_road(road) for road in read_network(text).roads]
    cells = gather(roads)
    odd, whole, _ = add_raised(MeshBuilder(), cells, Style())
    crossings = [
        object_outline(k, thing) for k in roads for thing in k.road.objects if thing.kind.lower() == "crosswalk"
    ]
    mouths = mouth_crossings(roads, crossings)
    return walkways(cells, whole, odd, crossings, mouths, (), lambda points: np.zeros(len(points)))
