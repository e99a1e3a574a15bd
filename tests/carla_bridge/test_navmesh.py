"""The pedestrian mesh: a partition of the walkways, connected where they are, packed as Detour reads it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from carla_bridge.embedded.detour import DETAIL, MESH_HEADER, NODE, POLYGON, PolygonMesh, neighbours, tile_set
from carla_bridge.embedded.navmesh import GAP_M, MARGIN_M, navigation_file, navigation_mesh, polygon_mesh
from carla_bridge.embedded.towns import TOWN_NAMES, load_town
from carla_bridge.embedded.types import Box, Pose, WalkArea, Walkway

SIDEWALK, CROSSWALK = WalkArea.SIDEWALK, WalkArea.CROSSWALK


def rectangle(x0: float, y0: float, x1: float, y1: float, z: float = 0.0, area: WalkArea = SIDEWALK) -> Walkway:
    return Walkway(np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], float), area)


def islands(polygons: tuple[tuple[int, ...], ...]) -> list[set[int]]:
    """Polygons that can be reached from each other."""
    beyond, left, found = neighbours(polygons), set(range(len(polygons))), []
    while left:
        island, queue = set(), [min(left)]
        while queue:
            k = queue.pop()
            if k in left:
                left.remove(k)
                island.add(k)
                queue += [other for other in beyond[k] if other >= 0]
        found.append(island)
    return found


def shapes(mesh: PolygonMesh) -> list[shapely.Polygon]:
    return [shapely.Polygon(mesh.vertices[list(polygon), :2]) for polygon in mesh.polygons]


def check_polygons(mesh: PolygonMesh) -> None:
    for polygon in mesh.polygons:
        assert 3 <= len(polygon) <= 6
        ring = mesh.vertices[list(polygon), :2]
        a, b = np.roll(ring, -1, axis=0) - ring, np.roll(ring, -2, axis=0) - np.roll(ring, -1, axis=0)
        assert (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0.0).all()  # convex, clockwise


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 30)] * 2, st.integers(2, 14), st.integers(2, 14), st.booleans()), min_size=1)
)
def test_the_mesh_is_a_partition_of_the_walkways(boxes: list[tuple[int, int, int, int, bool]]) -> None:
    walkways = [rectangle(x, y, x + w, y + h, area=CROSSWALK if c else SIDEWALK) for x, y, w, h, c in boxes]
    mesh = polygon_mesh(walkways)
    whole = shapely.union_all([shapely.Polygon(walkway.outline[:, :2]) for walkway in walkways])
    room = whole.buffer(GAP_M, join_style="mitre").buffer(-GAP_M - MARGIN_M, join_style="mitre")
    check_polygons(mesh)
    parts = shapes(mesh)
    assert sum(part.area for part in parts) == pytest.approx(room.area, rel=1e-3, abs=0.2)
    assert shapely.union_all(parts).area == pytest.approx(sum(part.area for part in parts), rel=1e-6)
    assert shapely.union_all(parts).difference(whole).area < 1e-3
    assert len(islands(mesh.polygons)) == len(shapely.get_parts(room))
    sidewalks = shapely.union_all([shapely.Polygon(w.outline[:, :2]) for w in walkways if w.area == SIDEWALK])
    for part, area in zip(parts, mesh.areas, strict=True):
        assert (sidewalks.distance(part.representative_point()) <= GAP_M) == (area == SIDEWALK)


def test_a_crosswalk_joins_two_kerbs() -> None:
    """Across a gap as small as drawing errors are; the crosswalk lies on the road, its ends on the sidewalks."""
    walkways = [
        rectangle(0.0, 0.0, 40.0, 3.0, 0.15),
        rectangle(0.0, 11.0, 40.0, 14.0, 0.15),
        rectangle(18.0, 3.05, 22.0, 11.0, 0.0, CROSSWALK),
    ]
    mesh = polygon_mesh(walkways)
    assert len(islands(mesh.polygons)) == 1
    assert set(mesh.areas) == {SIDEWALK, CROSSWALK}
    middle = mesh.vertices[(mesh.vertices[:, 1] > 4.0) & (mesh.vertices[:, 1] < 10.0)]
    assert middle[:, 2] == pytest.approx(np.zeros(len(middle)))
    kerb = mesh.vertices[(mesh.vertices[:, 1] < 3.0) | (mesh.vertices[:, 1] > 11.0)]
    assert kerb[:, 2] == pytest.approx(np.full(len(kerb), 0.15))


def test_roads_are_crossed_from_kerb_to_kerb() -> None:
    """The sidewalks keep their margin, and the road reaches up to it."""
    walkways = [
        rectangle(0.0, 0.0, 40.0, 3.0, 0.15),
        rectangle(0.0, 3.0, 40.0, 11.0, 0.0, WalkArea.ROAD),
        rectangle(0.0, 11.0, 40.0, 14.0, 0.15),
    ]
    mesh = polygon_mesh(walkways)
    check_polygons(mesh)
    assert len(islands(mesh.polygons)) == 1
    parts = shapes(mesh)
    assert sum(part.area for part in parts) == pytest.approx(39.4 * 13.4)
    walk = shapely.union_all([part for part, area in zip(parts, mesh.areas, strict=True) if area == SIDEWALK])
    assert walk.area == pytest.approx(2 * 39.4 * 2.4)
    lane = mesh.vertices[(mesh.vertices[:, 1] > 4.0) & (mesh.vertices[:, 1] < 10.0)]
    assert lane[:, 2] == pytest.approx(np.zeros(len(lane)))


def test_a_bridge_lies_above_what_it_crosses() -> None:
    mesh = polygon_mesh([rectangle(-20, -2, 20, 2, 0.0), rectangle(-2, -20, 2, 20, 6.0)])
    found = islands(mesh.polygons)
    assert sorted({round(float(mesh.vertices[list(mesh.polygons[min(i)]), 2].mean()), 6) for i in found}) == [0.0, 6.0]
    assert sum(part.area for part in shapes(mesh)) == pytest.approx(2 * 39.4 * 3.4, rel=1e-3)


def test_heights_follow_a_hill() -> None:
    stations = np.linspace(0.0, 100.0, 51)
    profile = 3.0 * np.sin(stations / 30.0)
    left, right = (np.column_stack([stations, np.full(51, side), profile]) for side in (0.0, 3.0))
    mesh = polygon_mesh([Walkway(np.concatenate([left, right[::-1]]), SIDEWALK)])
    assert mesh.vertices[:, 2] == pytest.approx(3.0 * np.sin(mesh.vertices[:, 0] / 30.0), abs=0.04)
    assert np.diff(np.sort(np.unique(mesh.vertices[:, 0]))).max() < 10.5


def test_poles_are_walked_around_but_do_not_close_a_way() -> None:
    walkways = [rectangle(0.0, 0.0, 30.0, 3.0)]
    pole = Box(Pose(10.0, 1.0, 2.0), (0.1, 0.1, 2.0))
    barrier = Box(Pose(20.0, 1.5, 0.5), (0.1, 2.0, 0.5))
    high = Box(Pose(5.0, 1.5, 5.0), (1.0, 1.0, 0.5))
    around = shapely.union_all(shapes(polygon_mesh(walkways, [pole, high])))
    assert around.distance(shapely.Point(10.0, 1.0)) > 0.3
    assert around.contains(shapely.Point(5.0, 1.5))
    assert len(islands(polygon_mesh(walkways, [pole, barrier]).polygons)) == 1


def test_bytes_of_the_tile_set() -> None:
    """Field by field, as DetourNavMesh.h has them."""
    mesh = PolygonMesh(
        np.array([(0.0, 0.0, 1.0), (0.0, 4.0, 1.0), (4.0, 4.0, 1.0), (4.0, 0.0, 1.0), (8.0, 0.0, 2.0)]),
        ((0, 1, 2, 3), (3, 2, 4)),
        (SIDEWALK, CROSSWALK),
    )
    data = tile_set(mesh)
    magic, version, tiles, *origin, width, depth, max_tiles, max_polygons = struct.unpack_from("<4s2i5f2i", data)
    assert (magic, version, tiles, origin) == (b"TESM", 1, 1, [0.0, 1.0, 0.0])
    assert (width, depth, max_tiles, max_polygons) == (9.0, 5.0, 1, 65536)
    reference, size = struct.unpack_from("<Ii", data, 40)
    assert (reference, size) == (65536, len(data) - 48)
    header = MESH_HEADER.unpack_from(data, 48)
    assert MESH_HEADER.size == 100
    assert header[:15] == (b"VAND", 7, 0, 0, 0, 0, 2, 5, 7, 2, 0, 3, 3, 0, 2)
    assert header[18:24] == (0.0, 1.0, 0.0, 8.0, 2.0, 4.0)
    at = 148
    vertices = np.frombuffer(data, "<f4", 15, at).reshape(-1, 3)
    assert vertices[4].tolist() == [8.0, 2.0, 0.0]  # x, up, y
    polygons = np.frombuffer(data, POLYGON, 2, at := at + 60)
    assert POLYGON.itemsize == 32
    assert polygons["vertices"][0].tolist() == [0, 1, 2, 3, 0, 0]
    assert polygons["neighbours"].tolist() == [[0, 0, 2, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert polygons["flags"].tolist() == [2, 4]
    assert polygons["corners"].tolist() == [4, 3]
    assert polygons["area"].tolist() == [1, 2]
    details = np.frombuffer(data, DETAIL, 2, at := at + 64 + 7 * 12)
    assert details["triangle"].tolist() == [0, 2]
    assert details["triangles"].tolist() == [2, 1]
    triangles = np.frombuffer(data, "u1", 12, at := at + 24).reshape(-1, 4)
    assert triangles.tolist() == [[0, 1, 2, 5], [0, 2, 3, 20], [0, 1, 2, 21]]
    nodes = np.frombuffer(data, NODE, 3, at + 12)
    assert nodes["item"].tolist() == [-3, 0, 1]
    assert len(data) == at + 12 + 3 * 16


def test_nothing_to_walk_on() -> None:
    assert navigation_mesh([]) == b""
    assert navigation_mesh([rectangle(0.0, 0.0, 0.5, 30.0)]) == b""  # narrower than its margins
    with pytest.raises(ValueError, match="polygon"):
        tile_set(PolygonMesh(np.zeros((0, 3)), (), ()))


@pytest.mark.parametrize("name", TOWN_NAMES)
def test_towns_can_be_walked_through(name: str) -> None:
    town = load_town(name)
    mesh = polygon_mesh(town.walkways, town.solids)
    check_polygons(mesh)
    parts = shapes(mesh)

    def largest_share(numbers: list[int]) -> float:
        found = islands(tuple(mesh.polygons[k] for k in numbers))
        sizes = [sum(parts[numbers[k]].area for k in island) for island in found]
        return max(sizes) / sum(sizes)

    on_foot = [k for k, area in enumerate(mesh.areas) if area in (SIDEWALK, CROSSWALK)]
    assert largest_share(on_foot) > 0.3  # a village has sidewalks in places only
    assert largest_share(list(range(len(parts)))) > 0.95
    assert WalkArea.CROSSWALK in mesh.areas
    file = navigation_file(town)
    assert file is not None
    assert file == navigation_file(town)
    assert file.name.startswith(f"Carla/Maps/Nav/{name}-")
