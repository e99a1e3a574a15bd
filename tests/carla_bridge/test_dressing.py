"""Scenery keeps off the roads and out of sight lines, stands on the land, faces outwards, and stays within bounds."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import pytest
import shapely
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from carla_bridge.embedded.towns import load_town
from carla_bridge.embedded.towns.dressing import Dressing, dress
from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.towns.site import BuildingKind, ParkingSpace, Site, Style, Verge
from carla_bridge.embedded.types import Label, Mesh

GRID_M, HALF_WIDTH_M, ARM_M = 150.0, 5.5, 13.0
HILL_M = 6.0
MIRROR = np.array([1.0, -1.0, 1.0])


def hills(points: np.ndarray) -> np.ndarray:
    return HILL_M * np.sin(points[:, 0] / 120.0) * np.cos(points[:, 1] / 150.0)


def site_of(columns: int, *, speed_kmh: float = 50.0) -> Site:
    """A grid of bent streets over hills, with a parking space and a forbidden corridor on each."""
    verges, roads, spaces, corridors = [], [], [], []
    along = np.arange(0.0, GRID_M - 2.0 * ARM_M + 0.1, 2.0)
    for column in range(columns):
        for row in range(columns):
            roads.append(shapely.Point(column * GRID_M, row * GRID_M).buffer(ARM_M + 2.0))
            for ahead in np.array([[1.0, 0.0], [0.0, 1.0]]):
                if (column == columns - 1 and ahead[0]) or (row == columns - 1 and ahead[1]):
                    continue
                start = np.array([column, row]) * GRID_M + ARM_M * ahead
                bend = 9.0 * np.sin(along * np.pi / along[-1]) ** 2
                line = start + along[:, None] * ahead + bend[:, None] * [-ahead[1], ahead[0]]
                step = np.gradient(line, axis=0)
                step /= np.hypot(*step.T)[:, None]
                left = np.column_stack([-step[:, 1], step[:, 0]])
                for side in (-1.0, 1.0):
                    edge = line + side * HALF_WIDTH_M * left
                    points = np.column_stack([edge, hills(edge)])
                    verges.append(Verge(len(roads), points, side * left, False, True, speed_kmh))
                edges = np.concatenate([line - HALF_WIDTH_M * left, (line + HALF_WIDTH_M * left)[::-1]])
                roads.append(shapely.Polygon(edges))
                place = line[20] - 3.6 * left[20]
                heading = math.atan2(step[20, 1], step[20, 0])
                spaces.append(ParkingSpace((*place, float(hills(place[None])[0])), heading, 5.5, 2.2))
                corridors.append(
                    shapely.LineString([line[-20], line[-1] + 20.0 * step[-1] + 9.0 * left[-1]]).buffer(1.0)
                )
    far = (columns - 1) * GRID_M + 120.0
    bounds = (-120.0, -120.0, far, far)
    return Site(shapely.union_all(roads), shapely.union_all(corridors), tuple(verges), tuple(spaces), hills, bounds)


@dataclass(frozen=True)
class Dressed:
    site: Site
    mesh: Mesh
    dressing: Dressing
    kind: BuildingKind


def dressed(kind: BuildingKind, columns: int = 3, speed_kmh: float = 50.0) -> Dressed:
    site = site_of(columns, speed_kmh=speed_kmh)
    builder = MeshBuilder()
    dressing = dress(builder, site, Style(buildings=kind), np.random.default_rng(4))
    return Dressed(site, builder.build(), dressing, kind)


@pytest.fixture(scope="module", params=list(BuildingKind), ids=lambda kind: kind.value)
def place(request: pytest.FixtureRequest) -> Dressed:
    return dressed(request.param, speed_kmh=80.0 if request.param is BuildingKind.HOUSES else 50.0)


def plan_of(place: Dressed) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, 3) corners in OpenDRIVE axes and (T,) whether a triangle has any height over the land."""
    corners = place.mesh.vertices[place.mesh.triangles].astype(np.float64) * MIRROR
    over = corners[:, :, 2] - hills(corners.reshape(-1, 3)[:, :2]).reshape(-1, 3)
    return corners, over


def test_nothing_hangs_over_a_road_below_a_lorry(place: Dressed) -> None:
    """Except parked cars, which are meant to be there."""
    corners, over = plan_of(place)
    low = (over.min(axis=1) < 4.6) & (place.mesh.labels != Label.CAR)
    hulls = shapely.convex_hull([shapely.MultiPoint(t) for t in corners[low][:, :, :2]])
    shapely.prepare(place.site.footprint)
    assert not shapely.intersects(place.site.footprint, hulls).any()


def test_sight_corridors_hold_nothing_that_hides(place: Dressed) -> None:
    """Paths and drives may lie there, and the arm of a lamp passes above."""
    corners, over = plan_of(place)
    hides = (over.max(axis=1) > 0.5) & (over.min(axis=1) < 6.0) & (place.mesh.labels != Label.CAR)
    hulls = shapely.convex_hull([shapely.MultiPoint(t) for t in corners[hides][:, :, :2]])
    corridors = place.site.keep_clear.buffer(-0.4)  # leaves and eaves may brush their edges
    shapely.prepare(corridors)
    assert not shapely.intersects(corridors, hulls).any()


def test_solids_stand_on_the_land_and_off_the_roads(place: Dressed) -> None:
    for box in place.dressing.solids:
        ex, ey, ez = box.extent
        assert min(ex, ey, ez) > 0.0
        assert abs(box.centre.z - ez - hills(np.array([[box.centre.x, -box.centre.y]]))[0]) < 3.6
        corners = np.array([[x, y, 0.0, 1.0] for x, y in ((ex, ey), (-ex, ey), (-ex, -ey), (ex, -ey))])
        outline = shapely.Polygon((corners @ box.centre.matrix().T)[:, :2] * MIRROR[:2])
        assert place.site.footprint.intersects(outline) == (box.label == Label.CAR)
    labels = {box.label for box in place.dressing.solids}
    assert {Label.BUILDINGS, Label.VEGETATION, Label.POLES, Label.CAR} <= labels
    assert (Label.GUARD_RAIL in labels) or place.kind is not BuildingKind.HOUSES  # its roads are fast


def test_lamps_hang_under_their_luminaires(place: Dressed) -> None:
    spans = [walk.points for walk in place.site.verges]
    length = sum(float(np.hypot(*np.diff(p[:, :2], axis=0).T).sum()) for p in spans) / 2.0
    assert 0.5 < len(place.dressing.lamps) * Style().lamp_spacing_m / length < 1.3
    vertices = place.mesh.vertices[place.mesh.triangles[place.mesh.labels == Label.POLES]].reshape(-1, 3)
    for lamp in place.dressing.lamps:
        near = vertices[np.hypot(*(vertices[:, :2] - lamp.position[:2]).T) < 0.6]
        assert 0.0 < near[:, 2].min() - lamp.position[2] < 0.3
        assert 5.0 < lamp.position[2] - hills(np.array([lamp.position[:2]]) * MIRROR[:2])[0] < 10.0


def test_every_face_that_is_seen_faces_the_eye(place: Dressed) -> None:
    """The renderer drops back faces, so a ray from the street must meet front faces only."""
    mesh = place.mesh
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])
    assert (np.linalg.norm(normals, axis=1) > 1e-9).all()
    rng = np.random.default_rng(0)
    eyes = np.concatenate([verge.points for verge in place.site.verges]) * MIRROR + [0.0, 0.0, 1.4]
    origins = eyes[rng.integers(len(eyes), size=40_000)]
    rays = rng.normal(size=origins.shape) * [1.0, 1.0, 0.15]
    intersector = RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False))
    points, which, triangle = intersector.intersects_location(origins, rays, multiple_hits=False)
    # Rays that pass below the land (which is not in this mesh) see foundations from inside, and parked cars have no
    # undersides.
    shown = (points[:, 2] > hills(points[:, :2] * MIRROR[:2])) & (mesh.labels[triangle] != Label.CAR)
    for share in np.arange(0.2, 1.0, 0.2):
        between = origins[which] + share * (points - origins[which])
        shown &= between[:, 2] > hills(between[:, :2] * MIRROR[:2])
    assert shown.sum() > 8_000
    away = np.einsum("ij,ij->i", normals[triangle], rays[which]) >= 0.0
    assert (away & shown).sum() < 1e-3 * shown.sum(), np.bincount(mesh.labels[triangle[away & shown]])


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again = dressed(BuildingKind.VILLAGE, 2), dressed(BuildingKind.VILLAGE, 2)
    assert first.mesh.vertices.tobytes() == again.mesh.vertices.tobytes()
    assert first.mesh.colours.tobytes() == again.mesh.colours.tobytes()
    assert first.dressing == again.dressing


@pytest.mark.parametrize("kind", [BuildingKind.HOUSES, BuildingKind.VILLAGE])
def test_a_large_file_stays_within_its_budget(kind: BuildingKind) -> None:
    site = site_of(16)  # 480 roads, 60 km of verges
    builder = MeshBuilder()
    dressing = dress(builder, site, Style(buildings=kind), np.random.default_rng(1))
    assert 60_000 < builder.triangle_count < 135_000
    assert dressing.lamps
    middle = np.array([[box.centre.x, -box.centre.y] for box in dressing.solids if box.label == Label.BUILDINGS])
    far = 15.0 * GRID_M / 2.0
    quarters = [((middle[:, 0] > far) == east) & ((middle[:, 1] > far) == north) for east in (0, 1) for north in (0, 1)]
    assert min(q.sum() for q in quarters) > 0.1 * len(middle)  # thinned out everywhere, not cut off at the end


def test_an_empty_site_is_fine() -> None:
    site = Site(shapely.Polygon(), shapely.Polygon(), (), (), lambda p: np.zeros(len(p)), (-50.0, -50.0, 50.0, 50.0))
    builder = MeshBuilder()
    assert dress(builder, site, Style(), np.random.default_rng(1)).lamps == ()
    assert builder.triangle_count > 0


def test_gridley_looks_as_it_did() -> None:
    """The shipped network was trained on exactly this geometry."""
    town = load_town("Gridley")
    digest = hashlib.sha256()
    for array in (town.mesh.vertices, town.mesh.triangles, town.mesh.colours, town.mesh.labels, town.mesh.materials):
        digest.update(array.tobytes())
    assert digest.hexdigest() == "96a30ede044e8439947595e80dd9f3776c793f93615f00310badaf7b6be91696"
    assert len(town.lamps) == 71
    posts = {(round(b.centre.x, 3), round(b.centre.y, 3)) for b in town.solids if abs(b.extent[2] - 3.5) < 1e-6}
    assert len(posts) == len(town.lamps)
