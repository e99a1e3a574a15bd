"""What the rasteriser sees, against Embree's rays and against geometry that has a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from render_helpers import NOBODY, box, ground, mesh_of, rays

from carla_bridge.embedded.render import Renderer
from carla_bridge.embedded.types import Instances, Label, Pose, View


def random_world(rng: np.random.Generator) -> np.ndarray:
    parts = [ground(120.0)]
    for _ in range(40):
        extent = rng.uniform(0.3, 6.0, 3)
        parts.append(box((*rng.uniform(-50, 50, 2), extent[2]), extent, float(rng.uniform(0, 360))))
    small = rng.uniform(-30, 30, (1500, 1, 3)) * (1, 1, 0.2) + (0, 0, 6.5) + rng.normal(size=(1500, 3, 3)) * 0.3
    parts += [small, small[:, ::-1]]  # seen from both sides, as Embree sees them
    return np.concatenate(parts)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pictures_agree_with_ray_casts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = random_world(rng)
    labels = rng.integers(1, 11, len(world)).astype(np.uint8)
    soup = len(world) - 3000
    labels[soup + 1500 :] = labels[soup : soup + 1500]  # the two sides of a triangle look the same
    prototype = mesh_of(box((0, 0, 1), (2, 1, 1)), Label.CAR)
    matrices = np.stack(
        [Pose(*rng.uniform(-25, 25, 2), rng.uniform(0, 3), *rng.uniform(-180, 180, 3)).matrix() for _ in range(20)]
    ).astype(np.float32)
    instances = Instances(
        np.zeros(20, np.int32), matrices, np.arange(1, 21, dtype=np.uint32), np.ones((20, 3), np.float32)
    )
    moved = np.einsum("nij,tkj->ntki", matrices[:, :3, :3], box((0, 0, 1), (2, 1, 1)).astype(np.float32))
    moved = (moved + matrices[:, None, None, :3, 3]).reshape(-1, 3, 3)
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, np.concatenate([world, moved]).astype(np.float32))
    all_labels = np.concatenate([labels, np.full(len(moved), Label.CAR)])
    all_actors = np.concatenate([np.zeros(len(world), int), np.repeat(np.arange(1, 21), 12)])
    renderer = Renderer(mesh_of(world, labels), [prototype])
    frame = renderer.begin_frame(instances)
    wrong_labels = wrong_actors = wrong_depths = pixels = 0
    for _ in range(6):
        pose = Pose(*rng.uniform(-40, 40, 2), rng.uniform(12, 25), rng.uniform(-40, 5), *rng.uniform(-180, 180, 2))
        view = View(320, 180, float(rng.uniform(30, 110)), pose.matrix())
        picture = renderer.render(frame, view, bgra=False, depth=True, labels=True, actor_ids=True)
        assert picture.bgra is None
        direction = rays(view)
        length = np.linalg.norm(direction, axis=1)
        origin = np.broadcast_to(view.world_from_camera[:3, 3], direction.shape)
        hit = scene.run(origin.astype(np.float32), (direction / length[:, None]).astype(np.float32), output=1)
        seen = hit["primID"] >= 0
        expected = np.where(seen, hit["tfar"] / length, 1000.0)
        depth = picture.depth_m.ravel()
        wrong_labels += int((picture.labels.ravel() != np.where(seen, all_labels[hit["primID"]], Label.SKY)).sum())
        wrong_actors += int((picture.actor_ids.ravel() != np.where(seen, all_actors[hit["primID"]], 0)).sum())
        wrong_depths += int((np.abs(depth - expected) > 1e-3 * np.maximum(expected, 10.0)).sum())
        pixels += depth.size
    # Only pixels whose centre lies on an edge, to rounding, may fall to the other side.
    assert max(wrong_labels, wrong_actors, wrong_depths) <= 20e-6 * pixels, (wrong_labels, wrong_actors, wrong_depths)


def test_only_outward_faces_are_seen() -> None:
    renderer = Renderer(mesh_of(box((0, 0, 0), (3, 3, 3)), Label.BUILDINGS), [])
    frame = renderer.begin_frame(NOBODY)
    inside = renderer.render(frame, View(32, 32, 90, np.eye(4)), bgra=False, labels=True, depth=True)
    outside = renderer.render(frame, View(32, 32, 10, Pose(x=-10).matrix()), bgra=False, labels=True, depth=True)
    assert (inside.labels == Label.SKY).all()
    assert (inside.depth_m == 1000.0).all()
    assert (outside.labels == Label.BUILDINGS).all()
    np.testing.assert_allclose(outside.depth_m, 7.0, rtol=1e-6)


@pytest.mark.parametrize(
    "pose",
    [
        Pose(z=1.6),
        Pose(z=0.05, pitch=-20, roll=13),
        Pose(z=0.3, pitch=-89, yaw=31),
        Pose(z=2.0, roll=90),
        Pose(z=30, pitch=-50),
    ],
)
def test_ground_that_passes_under_the_camera_is_clipped_not_lost(pose: Pose) -> None:
    renderer = Renderer(mesh_of(ground(5000.0), Label.ROADS), [])
    view = View(160, 120, 100.0, pose.matrix())
    depth = renderer.render(renderer.begin_frame(NOBODY), view, bgra=False, depth=True).depth_m
    down = rays(view)[:, 2].reshape(depth.shape)
    with np.errstate(divide="ignore"):
        expected = np.where(down < 0, -pose.z / down, np.inf)
    drawn = (expected > 0.1001) & (expected < 900.0)
    np.testing.assert_allclose(depth[drawn], expected[drawn], rtol=1e-5)
    assert (depth[(expected < 0.0999) | ~np.isfinite(expected)] == 1000.0).all()


def test_neighbouring_triangles_leave_no_gap() -> None:
    rng = np.random.default_rng(4)
    n = 60
    y, z = np.meshgrid(np.linspace(-40, 40, n), np.linspace(-40, 40, n), indexing="ij")
    points = np.stack([rng.uniform(9.0, 11.0, (n, n)), y, z], axis=-1)
    points[1:-1, 1:-1, 1:] += rng.uniform(-0.4, 0.4, (n - 2, n - 2, 2))
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    corners = np.concatenate([np.stack(t, axis=-2).reshape(-1, 3, 3) for t in ((a, b, c), (a, c, d))])
    if np.cross(corners[0, 2] - corners[0, 0], corners[0, 1] - corners[0, 0])[0] > 0:
        corners = corners[:, ::-1]
    renderer = Renderer(mesh_of(corners, Label.WALLS), [])
    frame = renderer.begin_frame(NOBODY)
    for roll in (0.0, 10.0, 45.0, 77.7):
        for x in (0.0, 8.0):
            view = View(400, 300, 80.0, Pose(x=x, roll=roll).matrix())
            labels = renderer.render(frame, view, bgra=False, labels=True).labels
            assert (labels == Label.WALLS).all()


def test_bad_requests_say_what_was_received() -> None:
    renderer = Renderer(mesh_of(ground(5.0), Label.ROADS), [])
    frame = renderer.begin_frame(NOBODY)
    with pytest.raises(ValueError, match="received 3"):
        renderer.render(frame, View(8, 8, 90, np.eye(4)), samples=3)
    with pytest.raises(ValueError, match="field of view"):
        renderer.render(frame, View(8, 8, 180.0, np.eye(4)))
    stranger = Instances(
        np.array([2], np.int32), np.eye(4, dtype=np.float32)[None], np.ones(1, np.uint32), np.ones((1, 3), np.float32)
    )
    with pytest.raises(ValueError, match="received 2"):
        renderer.begin_frame(stranger)
