"""Gridley as CARLA's own map parser and a ray tracer see it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import carla
import networkx as nx
import numpy as np
import pytest
import shapely
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from carla_bridge.embedded.towns import load_town
from carla_bridge.embedded.towns.layout import build_network
from carla_bridge.embedded.types import Label, Mesh, Town

LIGHT = "1000001"


@pytest.fixture(scope="module")
def town() -> Town:
    return load_town("Gridley")


@pytest.fixture(scope="module")
def town_map(town: Town) -> carla.Map:
    return carla.Map(town.name, town.opendrive)


@pytest.fixture(scope="module")
def waypoints(town_map: carla.Map) -> list[carla.Waypoint]:
    return town_map.generate_waypoints(2.0)


def tracer(mesh: Mesh) -> tuple[RayMeshIntersector, np.ndarray]:
    """A ray tracer over a mesh and the outward normals by the convention of types.Mesh."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])
    assert (np.linalg.norm(normals, axis=1) > 1e-9).all(), "degenerate triangles"
    return RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)), normals


@pytest.fixture(scope="module")
def town_tracer(town: Town) -> tuple[RayMeshIntersector, np.ndarray]:
    return tracer(town.mesh)


def lane(waypoint: carla.Waypoint) -> tuple[int, int]:
    return waypoint.road_id, waypoint.lane_id


def yaw_between(a: float, b: float) -> float:
    return math.remainder(b - a, 360.0)


def test_the_same_name_gives_the_same_town(town: Town) -> None:
    again = load_town("Gridley")
    assert again.opendrive == town.opendrive
    assert again.spawn_points == town.spawn_points
    assert again.lights == town.lights
    assert again.solids == town.solids
    for field in ("vertices", "triangles", "colours", "labels", "materials"):
        assert getattr(again.mesh, field).tobytes() == getattr(town.mesh, field).tobytes()


def test_an_unknown_town_is_told_in_one_line() -> None:
    with pytest.raises(ValueError, match="unknown town 'Atlantis'; there is Gridley"):
        load_town("Atlantis")


def test_every_lane_reaches_every_other(town_map: carla.Map, waypoints: list[carla.Waypoint]) -> None:
    graph = nx.DiGraph((lane(a), lane(b)) for a, b in town_map.get_topology())
    assert {lane(w) for w in waypoints} == set(graph.nodes)
    assert nx.is_strongly_connected(graph)


def test_lanes_are_smooth(waypoints: list[carla.Waypoint]) -> None:
    """Following a lane never jumps aside or turns sharper than a 6 m circle, through junctions as well."""
    step = 1.0
    for here in waypoints:
        for there in here.next(step):
            offset = there.transform.location - here.transform.location
            bend = abs(yaw_between(here.transform.rotation.yaw, there.transform.rotation.yaw))
            assert bend <= math.degrees(1.15 * step / 6.0)
            yaw = math.radians(here.transform.rotation.yaw)
            ahead = offset.x * math.cos(yaw) + offset.y * math.sin(yaw)
            aside = offset.y * math.cos(yaw) - offset.x * math.sin(yaw)
            assert 0.7 * step < ahead < 1.3 * step  # s runs along the reference line, not the lane's centre
            assert abs(aside) < 0.12 * step


def test_turns(waypoints: list[carla.Waypoint]) -> None:
    """One-lane approaches may go every way; on the avenue left turns leave from the left lane, right from the right."""
    ends: dict[tuple[int, int], carla.Waypoint] = {}
    for waypoint in waypoints:
        if not waypoint.is_junction:
            ends[lane(waypoint)] = waypoint.next_until_lane_end(1.0)[-1]
    turns: dict[tuple[int, int], set[str]] = {}
    for key, end in ends.items():
        branches = [w for w in end.next(3.0) if w.is_junction]
        directions = []
        for branch in branches:
            last = branch.next_until_lane_end(0.5)[-1]
            bend = yaw_between(end.transform.rotation.yaw, last.transform.rotation.yaw)
            directions.append("right" if bend > 45 else "left" if bend < -45 else "straight")
        assert len(set(directions)) == len(directions)
        turns[key] = set(directions)
    two_lanes = {road for road, lane_id in ends if abs(lane_id) == 2}
    assert len(two_lanes) == 3
    for (road, lane_id), found in turns.items():
        if road in two_lanes:
            assert found <= ({"left", "straight"} if abs(lane_id) == 1 else {"right", "straight"})
            assert found
        else:
            assert len(found) >= 2
    assert Counter(len(found) for found in turns.values())[3] == 12


def test_no_bend_is_sharper_than_its_speed_allows() -> None:
    """At the limit the sideways acceleration stays comfortable: v^2 / r <= 2.5 m/s^2 (turns are taken slower)."""
    network = build_network()
    for road in network.roads:
        assert (road.speed_kmh / 3.6) ** 2 / road.curve.tightest_radius <= 2.5
    for connector in network.connectors:
        middle_of_lane = [1.0 / p.curvature + 1.75 for p in connector.curve.segments if p.curvature]
        assert all(abs(radius) >= 6.0 for radius in middle_of_lane)


def test_markings(waypoints: list[carla.Waypoint]) -> None:
    kinds = carla.LaneMarkingType
    avenue = {w.road_id for w in waypoints if abs(w.lane_id) == 2}
    for w in waypoints:
        left, right = w.left_lane_marking, w.right_lane_marking
        if w.is_junction:
            assert left.type == right.type == kinds.NONE
        elif w.road_id not in avenue:
            assert (left.type, right.type) == (kinds.Solid, kinds.Solid)
            assert left.color == carla.LaneMarkingColor.Yellow
            assert w.lane_change == carla.LaneChange.NONE
        elif abs(w.lane_id) == 1:
            assert (left.type, right.type) == (kinds.SolidSolid, kinds.Broken)
            assert w.lane_change == carla.LaneChange.Right
            assert abs(w.get_right_lane().lane_id) == 2
        else:
            assert (left.type, right.type) == (kinds.Broken, kinds.Solid)
            assert w.lane_change == carla.LaneChange.Left
        assert w.lane_width == pytest.approx(3.5)


def test_each_approach_finds_its_own_light(town: Town, town_map: carla.Map) -> None:
    assert len(town.lights) == len({light.signal_id for light in town.lights}) == 40
    assert {mark.id for mark in town_map.get_all_landmarks_of_type(LIGHT)} == {t.signal_id for t in town.lights}
    for light in town.lights:
        centre = light.trigger.centre
        waypoint = town_map.get_waypoint(carla.Location(centre.x, centre.y, 0.0))
        found = waypoint.get_landmarks_of_type(30.0, LIGHT, True)
        assert [mark.id for mark in found] == [light.signal_id]
        assert found[0].is_dynamic
        assert 4.0 < found[0].distance < 8.0
        end = waypoint.next(found[0].distance + 2.5)[0]
        assert end.is_junction
        assert end.get_junction().id == light.group


def test_lights_govern_their_lanes_only(town: Town, town_map: carla.Map) -> None:
    for light in town.lights:
        pose, (ex, ey, _) = light.trigger.centre, light.trigger.extent
        corners = np.array([[x, y, 0.0, 1.0] for x in (ex - 0.3, -ex) for y in (ey, 0.0, -ey)]) @ pose.matrix().T
        for x, y, *_ in corners:
            waypoint = town_map.get_waypoint(carla.Location(float(x), float(y), 0.0))
            assert abs(yaw_between(pose.yaw, waypoint.transform.rotation.yaw)) < 1.0
            assert not waypoint.is_junction
        stop = pose.matrix() @ [ex - 1.0, 0.0, 0.0, 1.0]
        assert 18.0 < math.hypot(light.head.x - stop[0], light.head.y - stop[1]) < 30.0
        assert abs(yaw_between(light.head.yaw + 180.0, pose.yaw)) < 0.1
    phases = defaultdict(list)
    for light in town.lights:
        phases[light.group].append(light.phase)
    assert len(phases) == 12
    assert all(sorted(p) == list(range(len(p))) for p in phases.values())


def test_lights_are_seen_from_forty_metres(
    town: Town, town_map: carla.Map, town_tracer: tuple[RayMeshIntersector, np.ndarray]
) -> None:
    eyes, heads = [], []
    for light in town.lights:
        centre = light.trigger.centre
        start = town_map.get_waypoint(carla.Location(centre.x, centre.y, 0.0))
        lanes = [start] + [w for w in (start.get_left_lane(), start.get_right_lane()) if w is not None]
        for waypoint in lanes:
            if waypoint.lane_type != carla.LaneType.Driving or waypoint.lane_id * start.lane_id < 0:
                continue
            for back in (0.1, 8.0, 16.0, 25.0, 33.0):
                location = waypoint.previous(back)[0].transform.location
                eyes.append((location.x, location.y, 1.6))
                heads.append((light.head.x, light.head.y, light.head.z))
    assert len(eyes) == 5 * 46
    for height in (-0.5, 0.0, 0.5):
        origins, aims = np.array(eyes), np.array(heads) + np.array([0.0, 0.0, height])
        rays, distances = aims - origins, np.linalg.norm(aims - origins, axis=1)
        points, which, _ = town_tracer[0].intersects_location(origins, rays, multiple_hits=False)
        hit = np.linalg.norm(points - origins[which], axis=1)
        assert (hit > distances[which] - 0.05).all()


def test_nothing_stands_in_a_lane(town: Town, waypoints: list[carla.Waypoint]) -> None:
    corners = town.mesh.vertices[town.mesh.triangles]
    solid = np.isin(town.mesh.labels, [Label.BUILDINGS, Label.VEGETATION, Label.POLES])
    low = solid & (corners[:, :, 2].min(axis=1) < 4.5)
    plan = shapely.convex_hull([shapely.MultiPoint(t) for t in corners[low][:, :, :2]])
    for box in town.solids:
        ex, ey, _ = box.extent
        outline = (
            np.array([[x, y, 0, 1] for x, y in ((ex, ey), (-ex, ey), (-ex, -ey), (ex, -ey))]) @ box.centre.matrix().T
        )[:, :2]
        plan = np.append(plan, shapely.Polygon(outline))
    lanes = shapely.points([(w.transform.location.x, w.transform.location.y) for w in waypoints])
    near, _ = shapely.STRtree(plan).query(lanes, predicate="dwithin", distance=1.75)
    assert len(near) == 0


def test_no_back_face_and_no_hole_is_ever_seen(
    waypoints: list[carla.Waypoint], town_tracer: tuple[RayMeshIntersector, np.ndarray]
) -> None:
    """The renderer drops back faces: whatever a driver's ray meets first must face the driver, and downward rays must
    meet something. (A few rays in a hundred thousand slip through an edge in Embree's own arithmetic, or under the
    open rear of a sidewalk 100 m away.)"""
    slips = 1e-4
    rng = np.random.default_rng(0)
    intersector, normals = town_tracer
    eyes = np.array([(w.transform.location.x, w.transform.location.y, 1.6) for w in waypoints])
    origins = eyes[rng.integers(len(eyes), size=60_000)]
    rays = rng.normal(size=origins.shape) * [1.0, 1.0, 0.3]
    triangle, which = intersector.intersects_id(origins, rays, multiple_hits=False)
    facing = np.einsum("ij,ij->i", normals[triangle], rays[which])
    assert (facing >= 0.0).mean() < slips
    below = rays[:, 2] < -0.05 * np.hypot(rays[:, 0], rays[:, 1])
    assert (~np.isin(np.flatnonzero(below), which)).mean() < slips

    over = np.column_stack([rng.uniform(-200.0, 200.0, (60_000, 2)), np.full(60_000, 50.0)])
    triangle, which = intersector.intersects_id(over, np.tile([0.0, 0.0, -1.0], (len(over), 1)), multiple_hits=False)
    assert len(which) > (1.0 - slips) * len(over)
    assert (normals[triangle, 2] > 0.0).all()


def test_the_ground_is_cut_small_and_lies_flat(town: Town) -> None:
    mesh = town.mesh
    assert 15_000 <= len(mesh.triangles) <= 40_000
    corners = mesh.vertices[mesh.triangles]
    for label, height in ((Label.ROADS, 0.0), (Label.ROAD_LINES, 0.02), (Label.TERRAIN, 0.10)):
        ground = corners[mesh.labels == label]
        assert np.allclose(ground[:, :, 2], height)
        edges = np.linalg.norm(ground - np.roll(ground, 1, axis=1), axis=2)
        assert edges.max() < 36.0  # a 25 m cell's diagonal
    area = shapely.area(shapely.polygons(corners[mesh.labels == Label.ROADS][:, :, :2])).sum()
    network = build_network()
    roads = sum(2.0 * road.half_width * road.curve.length for road in network.roads)
    assert roads * 1.15 < area < roads * 1.45  # the rest is junctions


def test_spawn_points(town: Town, town_map: carla.Map) -> None:
    assert len(town.spawn_points) >= 80
    by_lane = defaultdict(list)
    for point in town.spawn_points:
        waypoint = town_map.get_waypoint(carla.Location(point.x, point.y, 0.0))
        location = waypoint.transform.location
        assert math.hypot(location.x - point.x, location.y - point.y) < 0.25
        assert point.z == pytest.approx(0.4)
        assert abs(yaw_between(waypoint.transform.rotation.yaw, point.yaw)) < 1.5
        assert not waypoint.is_junction
        assert waypoint.get_landmarks_of_type(14.0, LIGHT, True) == []
        by_lane[lane(waypoint)].append((point.x, point.y))
    for points in by_lane.values():
        gaps = [math.dist(a, b) for i, a in enumerate(points) for b in points[:i]]
        assert min(gaps, default=12.0) >= 12.0


def test_speed_limits_cover_the_map(town: Town, waypoints: list[carla.Waypoint]) -> None:
    limits = dict(town.speed_limits)
    assert {w.road_id for w in waypoints} == set(limits)
    assert set(limits.values()) == {30.0, 40.0}
