"""Builds a town around any OpenDRIVE text: roads, signals and land from the text, scenery from a style and a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from carla_bridge.embedded.towns.dressing import dress
from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.towns.site import Site, Style, TownError
from carla_bridge.embedded.towns.surface import ASPHALT
from carla_bridge.embedded.towns.xodr import paint, signposts, walks
from carla_bridge.embedded.towns.xodr.approaches import Frame, frame_of, lane_strips, paths_of
from carla_bridge.embedded.towns.xodr.areas import union
from carla_bridge.embedded.towns.xodr.bridges import add_bridges
from carla_bridge.embedded.towns.xodr.cells import Cells, gather
from carla_bridge.embedded.towns.xodr.junctions import fill_junctions
from carla_bridge.embedded.towns.xodr.lights import (
    SETBACK_M,
    Light,
    add_light_post,
    far_side,
    find_lights,
    hang,
    phases,
    placement,
    stop_line,
)
from carla_bridge.embedded.towns.xodr.model import Array, Network
from carla_bridge.embedded.towns.xodr.paving import (
    HeightOf,
    Raised,
    add_area,
    add_asphalt,
    add_raised,
    add_raised_areas,
)
from carla_bridge.embedded.towns.xodr.places import object_outline, parking_spaces, spawn_points, verges
from carla_bridge.embedded.towns.xodr.reader import read_network
from carla_bridge.embedded.towns.xodr.strips import BoolArray, SampledRoad, resample, sample_road
from carla_bridge.embedded.towns.xodr.terrain import Terrain, add_terrain, road_edges, shape_terrain
from carla_bridge.embedded.types import Box, Label, Material, Mesh, Town, TrafficLightPlacement

MARGIN_M = 90.0  # land around the roads
SMALL_MARGIN_SHARE = 0.35  # of the roads' extent
SIGHT_M = 60.0  # before a stop line: free sight of light and sign
LARGEST_MAP_M = 60_000.0
HIGHEST_M = 10_000.0
SMALLEST_M2 = 1e-6
CROSSING_STOP_M = 1.2  # the stop line lies this far before a crossing


@dataclass(frozen=True)
class Ground:
    """Everything that is paved, and the land around it."""

    cells: Cells
    whole: BoolArray  # raised cells that are drawn as they are
    odd: list[Raised]
    covered: shapely.Geometry  # on the ground
    footprint: shapely.Geometry  # bridges as well
    driven: shapely.Geometry  # driving lanes and junction interiors
    fillers: shapely.Geometry  # what junctions have beside their lanes: asphalt and corners
    terrain: Terrain
    bounds: tuple[float, float, float, float]

    def surface(self, points: Array, near: Array | None = None) -> Array:
        """(N,) z of the road there, of the land elsewhere."""
        near = self.terrain.height(points) if near is None else near
        if self.terrain.flat:
            return np.zeros(len(points))
        z = self.cells.heights(points, near, ~self.cells.raised)
        return np.where(np.isnan(z), near, z)

    def at(self, x: float, y: float, near: float) -> float:
        """What a post stands on."""
        point = np.array([[x, y]])
        z = float(self.cells.heights(point, np.array([near]))[0])
        if not math.isnan(z):
            return z
        return 0.0 if self.terrain.flat else float(self.terrain.height(point)[0])


def _check_size(roads: list[SampledRoad]) -> None:
    """Refuses what cannot be a map before anything is built from it."""
    points = np.concatenate([edge for k in roads for strip in k.strips for edge in (strip.inner, strip.outer)])
    extent = float(np.ptp(points[:, :2], axis=0).max()) if np.isfinite(points).all() else math.inf
    if not extent < LARGEST_MAP_M:
        raise TownError(f"the roads extend over {extent / 1000.0:.3g} km, more than can be built")
    height = float(np.abs(points[:, 2]).max())
    if height > HIGHEST_M:
        raise TownError(f"the roads reach a height of {height:.3g} m, which cannot be built")


def _bounds(area: shapely.Geometry) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = area.bounds
    margin = MARGIN_M + SMALL_MARGIN_SHARE * min(max(x1 - x0, y1 - y0), 400.0) * 0.5
    return x0 - margin, y0 - margin, x1 + margin, y1 + margin


def _road_plane(cells: Cells, terrain: Terrain, edges: Array) -> HeightOf:
    """z of the road's own plane at places between lanes: from the nearest lane edges."""
    if terrain.flat or terrain.tree is None:
        return lambda points: np.zeros(len(points))
    tree = terrain.tree
    plane = edges[:, 2] - np.where(edges[:, 3] > 0.0, edges[:, 3], 0.0)

    def heights(points: Array) -> Array:
        distance, index = tree.query(points, k=min(4, len(plane)))
        weight = 1.0 / (distance.reshape(len(points), -1) + 1e-3) ** 2
        return np.asarray((weight * plane[index.reshape(len(points), -1)]).sum(axis=1) / weight.sum(axis=1))

    return heights


def _pave(builder: MeshBuilder, roads: list[SampledRoad], style: Style) -> tuple[Ground, HeightOf]:
    cells = gather(roads)
    add_asphalt(builder, roads)
    odd, whole, polygons = add_raised(builder, cells, style)
    fillers, corners, kerb_zone = fill_junctions(cells, polygons)
    paint.add_markings(builder, roads)
    add_bridges(builder, cells)
    extra = [*fillers, *(k.area for k in corners)]
    covered = union([*cells.polygons[~cells.bridge], *extra]).buffer(0.002)
    footprint = union([covered, *cells.polygons[cells.bridge]])
    bounds = _bounds(footprint)
    edges, below, lift = road_edges(cells)
    terrain = shape_terrain(edges, below, lift, bounds)
    plane = _road_plane(cells, terrain, np.column_stack([edges, lift]))
    for filler in fillers:
        add_area(builder, filler, plane, 0.0, ASPHALT, Label.ROADS, Material.ASPHALT)
    add_raised_areas(builder, [*odd, *corners], kerb_zone, plane, style)
    asphalt = union([*cells.polygons[cells.asphalt & ~cells.bridge], *fillers])
    add_terrain(builder, terrain, covered, asphalt, cells, bounds, style)
    driven = union([*cells.polygons[cells.drivable], *fillers]).buffer(0.002)
    shapely.prepare(driven)
    return Ground(cells, whole, [*odd, *corners], covered, footprint, driven, union(extra), terrain, bounds), plane


def _setback(frame: Frame, crossings: list[shapely.Polygon]) -> float:
    """How far before the junction to stop: before a crossing, if one lies there."""
    near = [c for c in crossings if c.distance(shapely.Point(frame.origin[:2])) < 20.0]
    setback = SETBACK_M
    for back in np.arange(0.0, 14.0, 0.5):
        points = [shapely.Point(frame.at(-float(back), side * frame.half_width * 0.5)) for side in (-1.0, 0.0, 1.0)]
        if any(c.intersects(point) for c in near for point in points):
            setback = max(setback, float(back) + CROSSING_STOP_M)
    return setback


def _lights(
    network: Network, roads: dict[str, SampledRoad], ground: Ground, crossings: list[shapely.Polygon], style: Style
) -> list[Light]:
    lights = []
    for signal, approach in find_lights(network):
        frame = frame_of(roads[approach.road], approach)
        if frame is None:
            continue
        far = None
        if style.lights_across and approach.junction is not None:
            far = far_side(frame, ground.driven)
        position = signposts.signal_position(roads[signal.road], signal)
        setback = _setback(frame, crossings)
        lights.append(hang(signal, approach, frame, position, ground.driven, ground.at, setback, far))
    return lights


def _placements(
    network: Network, roads: dict[str, SampledRoad], lights: list[Light]
) -> tuple[TrafficLightPlacement, ...]:
    numbers = phases(network, lights, paths_of(network, roads))
    junctions = {j: i for i, j in enumerate(sorted({k.approach.junction or "" for k in lights}))}
    placed = []
    for i, light in enumerate(lights):
        junction = light.approach.junction
        if junction is None:
            placed.append(placement(light, 1_000_000 + i, 0))
        else:
            group = int(junction) if junction.isdigit() else 900_000 + junctions[junction]
            placed.append(placement(light, group, numbers[junction, light.approach.road]))
    return tuple(placed)


def _sight(roads: dict[str, SampledRoad], light: Light) -> shapely.Geometry:
    """The corridor from the last stretch before the stop line to the light."""
    return _corridor(
        roads, light.frame, light.approach.road, light.approach.lanes, light.approach.at_end, light.head[:2]
    )


def _corridor(
    roads: dict[str, SampledRoad],
    frame: Frame,
    road: str,
    lanes: tuple[int, ...],
    at_end: bool,
    target: tuple[float, float],
) -> shapely.Geometry:
    strips = lane_strips(roads[road], lanes[0])
    if not strips:
        return shapely.Polygon()
    s = np.concatenate([k.s for k in strips])
    points = np.concatenate([k.centre() for k in strips])
    order = np.argsort(s, kind="stable")
    back = np.arange(0.0, SIGHT_M, 8.0)
    length = roads[road].road.length
    at = length - back if at_end else back
    at = at[(at >= 0.0) & (at <= length)]
    seen = resample(s[order], points[order], at)[:, :2]
    return union([shapely.LineString([p, target]).buffer(1.0) for p in seen])


def _normals(mesh: Mesh) -> Array:
    """(T, 3) outwards, twice the triangle's area long."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    return np.asarray(np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0]))


def _whole(mesh: Mesh) -> Mesh:
    """Without triangles of no area, which lanes that taper off leave behind."""
    return _selected(mesh, np.linalg.norm(_normals(mesh), axis=1) > SMALLEST_M2)


def _ground_mesh(mesh: Mesh) -> Mesh:
    """The upward faces of roads, sidewalks and land."""
    normal = _normals(mesh)
    area = np.linalg.norm(normal, axis=1)
    up = (normal[:, 2] > 0.3 * area) & (area > SMALLEST_M2)
    return _selected(mesh, up & np.isin(mesh.labels, [Label.ROADS, Label.SIDEWALKS, Label.TERRAIN]))


def _selected(mesh: Mesh, keep: BoolArray) -> Mesh:
    used, triangles = np.unique(mesh.triangles[keep], return_inverse=True)
    return Mesh(
        vertices=mesh.vertices[used],
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        colours=mesh.colours[keep],
        labels=mesh.labels[keep],
        materials=mesh.materials[keep],
    )


def _crossings(roads: list[SampledRoad], ground: Ground) -> list[Array]:
    """Outlines of the file's crosswalks, laid on the road."""
    found = []
    for sampled in roads:
        for thing in sampled.road.objects:
            if thing.kind.lower() == "crosswalk":
                outline = object_outline(sampled, thing)
                if len(outline) >= 3 and np.isfinite(outline).all():
                    outline[:, 2] = ground.surface(outline[:, :2], outline[:, 2])
                    found.append(outline)
    return found


def build_town(name: str, text: str, style: Style, seed: int) -> Town:
    """The town of an OpenDRIVE text; the same arguments give the same bytes. Raises TownError on a hopeless text."""
    network = read_network(text)
    sampled = [k for k in (sample_road(road) for road in network.roads) if k.strips]
    roads = {k.road.id: k for k in sampled}
    if not any(strip.drivable for k in sampled for strip in k.strips):
        raise TownError("the OpenDRIVE text has no driving lane")
    _check_size(sampled)
    builder = MeshBuilder()
    ground, plane = _pave(builder, sampled, style)
    crossings = _crossings(sampled, ground)
    zebras = [shapely.Polygon(c[:, :2]).convex_hull for c in crossings]
    lights = _lights(network, roads, ground, zebras, style)
    signs = signposts.find_signs(network, roads, ground.driven, ground.at)
    solids = [box for box in (add_light_post(builder, light) for light in lights) if box is not None]
    solids += [signposts.add_sign_post(builder, sign) for sign in signs]
    _paint_stops_and_crossings(builder, ground, lights, signs, crossings, zebras)
    site = _site(sampled, roads, ground, lights, signs, zebras, solids)
    walk_outlines = walks.mouth_crossings(sampled, crossings)
    surface = None if ground.terrain.flat else _ground_mesh(builder.build())
    dressing = dress(builder, site, style, np.random.default_rng(seed))
    limits = [(int(k.road.id), k.road.speed_kmh) for k in sampled if k.road.id.lstrip("-").isdigit()]
    return Town(
        name=name,
        opendrive=text,
        spawn_points=spawn_points(sampled),
        mesh=_whole(builder.build()),
        lights=_placements(network, roads, lights),
        solids=(*solids, *dressing.solids),
        speed_limits=tuple((road, limit) for road, limit in limits if limit is not None),
        signs=tuple(signposts.placement(sign) for sign in signs),
        lamps=dressing.lamps,
        walkways=walks.walkways(ground.cells, ground.whole, ground.odd, crossings, walk_outlines, site.verges, plane),
        ground=surface,
    )


def _paint_stops_and_crossings(
    builder: MeshBuilder,
    ground: Ground,
    lights: list[Light],
    signs: list[signposts.Sign],
    crossings: list[Array],
    zebras: list[shapely.Polygon],
) -> None:
    lines: dict[tuple[str, bool, tuple[int, ...]], list[tuple[float, float]]] = {}
    for light in lights:
        key = (light.approach.road, light.approach.at_end, light.approach.lanes)
        lines[key] = stop_line(light.frame, light.setback)
    for sign in signs:
        if sign.type_id == signposts.STOP:
            key = (sign.approach.road, sign.approach.at_end, sign.approach.lanes)
            lines.setdefault(key, stop_line(sign.frame, _setback(sign.frame, zebras), 0.4))
    areas: list[tuple[shapely.Geometry, float]] = []
    for corners in lines.values():
        area = shapely.Polygon(corners)
        areas.append((area, float(ground.surface(np.array([area.centroid.coords[0]]))[0])))
    for outline in crossings:
        areas += [(stripe, float(outline[:, 2].mean())) for stripe in paint.zebra(outline[:, :2], ground.driven)]
    for area, near in areas:
        paint.add_polygon(builder, area, _near(ground, near))


def _near(ground: Ground, near: float) -> HeightOf:
    return lambda points: ground.surface(points, np.full(len(points), near))


def _site(
    sampled: list[SampledRoad],
    roads: dict[str, SampledRoad],
    ground: Ground,
    lights: list[Light],
    signs: list[signposts.Sign],
    zebras: list[shapely.Polygon],
    solids: list[Box],
) -> Site:
    sight = [_sight(roads, light) for light in lights]
    sight += [
        _corridor(roads, k.frame, k.approach.road, k.approach.lanes, k.approach.at_end, k.foot[:2]) for k in signs
    ]
    posts = [shapely.Point(box.centre.x, -box.centre.y).buffer(1.2) for box in solids]
    return Site(
        footprint=ground.footprint,
        keep_clear=union([*sight, *posts, *(z.buffer(6.0) for z in zebras)]),
        verges=verges(sampled, ground.cells, ground.fillers),
        parking=parking_spaces(sampled),
        height=ground.terrain.height,
        bounds=ground.bounds,
    )
