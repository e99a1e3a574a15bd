"""Heights of the ground against brute force, and what stands on it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from world_helpers import NO_MESH, SHAPES, car, make_town, run

from carla_bridge.embedded import columns as c
from carla_bridge.embedded.ground import REACH, Ground
from carla_bridge.embedded.types import Mesh, Pose
from carla_bridge.embedded.world import World


def sheet(height, x0=-60.0, x1=160.0, y0=-40.0, y1=40.0, step=2.0) -> Mesh:
    """A surface z = height(x, y) as triangles."""
    xs, ys = np.arange(x0, x1 + step, step), np.arange(y0, y1 + step, step)
    x, y = np.meshgrid(xs, ys, indexing="ij")
    vertices = np.stack([x, y, height(x, y) + 0.0 * x], axis=-1).reshape(-1, 3)
    at = np.arange(len(xs) * len(ys)).reshape(len(xs), len(ys))
    a, b, d, e = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel()
    triangles = np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, e], 1)]).astype(np.int32)
    return replace(NO_MESH, vertices=vertices.astype(np.float32), triangles=triangles)


def join(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return replace(
        NO_MESH,
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        triangles=np.concatenate([m.triangles + k for m, k in zip(meshes, starts, strict=False)]).astype(np.int32),
    )


def world_on(mesh: Mesh) -> World:
    return World(replace(make_town(), ground=mesh), shapes=SHAPES)


def brute(mesh: Mesh, x: float, y: float, z: float) -> float | None:
    best = None
    for a, b, d in mesh.vertices.astype(np.float64)[mesh.triangles]:
        edges = np.array([b - a, d - a])
        determinant = edges[0, 0] * edges[1, 1] - edges[0, 1] * edges[1, 0]
        if abs(determinant) < 1e-9:
            continue
        u, v = np.linalg.solve(edges[:, :2].T, np.array([x, y]) - a[:2])
        if u >= -1e-9 and v >= -1e-9 and u + v <= 1.0 + 1e-9:
            h = float(a[2] + u * edges[0, 2] + v * edges[1, 2])
            if h <= z + REACH and (best is None or h > best):
                best = h
    return best


def test_heights_and_normals_match_brute_force():
    rng = np.random.default_rng(3)
    hills = sheet(lambda x, y: np.sin(x / 5.0) + 0.05 * x * y / 10.0, -20, 20, -20, 20, 4.0)
    deck = sheet(lambda x, y: 6.0 + 0.0 * x, -8, 8, -8, 8, 4.0)
    mesh = join(hills, deck)
    ground = Ground(mesh)
    for x, y, z in rng.uniform((-24, -24, -3), (24, 24, 9), (300, 3)):
        expected = brute(mesh, x, y, z)
        found = ground.height(x, y, z)
        assert (found is None) == (expected is None)
        if found is not None:
            assert found == pytest.approx(expected, abs=1e-6)
    assert Ground(None).height(3.0, 4.0, -7.0) == 0.0
    slope = Ground(sheet(lambda x, y: 0.1 * x - 0.2 * y))
    np.testing.assert_allclose(slope.normal(1.3, 2.7, 5.0), np.array([-0.1, 0.2, 1.0]) / math.sqrt(1.05), atol=1e-6)


def test_under_a_bridge_and_on_it():
    world = world_on(join(sheet(lambda x, y: 0.0 * x), sheet(lambda x, y: 5.0 + 0.0 * x, -20, 20, -6, 6)))
    below, above = car(world, -30.0), world.spawn("vehicle.tesla.model3", 1, {}, Pose(-15.0, 0.0, 5.4)).id
    run(world, 1.0)
    world.set_target_velocity(below, (20.0, 0.0, 0.0))
    for _ in range(40):
        world.step(0.05)
        assert world.actors[below].pose.z == pytest.approx(0.0, abs=1e-6)
    assert world.actors[below].pose.x > 5.0
    assert world.actors[above].pose.z == pytest.approx(5.0, abs=1e-6)


def test_off_the_end_of_a_bridge_it_falls_and_lands():
    world = world_on(join(sheet(lambda x, y: 0.0 * x), sheet(lambda x, y: 4.0 + 0.0 * x, -40, 0, -6, 6)))
    ego = world.spawn("vehicle.tesla.model3", 1, {}, Pose(-20.0, 0.0, 4.1)).id
    run(world, 0.5)
    world.set_target_velocity(ego, (15.0, 0.0, 0.0))
    heights = []
    for _ in range(80):
        world.step(0.05)
        heights.append(world.actors[ego].pose.z)
    assert heights[0] == pytest.approx(4.0, abs=0.01)
    assert min(heights) > -0.2
    assert heights[-1] == pytest.approx(0.0, abs=0.01)
    assert world.actors[ego].pose.pitch == pytest.approx(0.0, abs=0.3)


def test_smooth_hills_are_followed_without_hopping():
    def hill(x, y):
        return 4.0 * np.cos(x / 25.0)  # slopes to 16 %, radius of the crest 156 m

    world = world_on(sheet(hill, step=1.0))
    ego = world.spawn("vehicle.tesla.model3", 1, {}, Pose(-50.0, 0.0, float(hill(-50.0, 0)) + 0.1)).id
    run(world, 1.0)
    world.set_target_velocity(ego, (20.0, 0.0, 0.0))
    for _ in range(140):
        world.apply_vehicle_control(ego, throttle=0.5)
        world.step(0.05)
        pose = world.actors[ego].pose
        assert pose.z == pytest.approx(float(hill(pose.x, 0.0)), abs=0.05)
        slope = math.degrees(math.atan(-4.0 / 25.0 * math.sin(pose.x / 25.0)))
        assert pose.pitch == pytest.approx(slope, abs=2.0)
        assert world._bodies.state[0, c.ON_GROUND] == 1.0


def test_a_kerb_is_climbed_and_the_body_comes_after():
    world = world_on(
        join(sheet(lambda x, y: 0.0 * x, -60, 10, -40, 40), sheet(lambda x, y: 0.12 + 0.0 * x, 10, 80, -40, 40))
    )
    ego = car(world)
    world.set_target_velocity(ego, (6.0, 0.0, 0.0))
    heights = [(world.step(0.05), world.actors[ego].pose.z)[1] for _ in range(80)]
    assert max(np.abs(np.diff(heights))) < 0.06
    assert heights[-1] == pytest.approx(0.12, abs=0.01)
    assert world.actors[ego].pose.x > 15.0


def test_walkers_and_props_stand_on_the_slope():
    world = world_on(sheet(lambda x, y: 0.1 * x))
    walker = world.spawn("walker.pedestrian.0001", 1, {}, Pose(5.0, 0.0, 2.0))
    box = world.spawn("static.prop.box01", 1, {}, Pose(8.0, 4.0, 2.0))
    world.apply_walker_control(walker.id, (1.0, 0.0, 0.0), 1.5)
    run(world, 4.0)
    assert walker.pose.x > 9.0
    assert walker.pose.z - walker.extent[2] == pytest.approx(0.1 * walker.pose.x, abs=1e-3)
    assert box.pose.z >= 0.8 - 1e-6
