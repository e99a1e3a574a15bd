"""Rays against Embree's, and against geometry that has a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh
from hypothesis import given, settings
from hypothesis import strategies as st
from render_helpers import NOBODY, box, ground, mesh_of

from carla_bridge.embedded.rays import Hits, RayFrame, RayScene
from carla_bridge.embedded.rays.bvh import LEAF_BITS, build_bvh
from carla_bridge.embedded.towns import TOWN_NAMES, load_town
from carla_bridge.embedded.towns.prototypes import PROTOTYPES, prototype_meshes
from carla_bridge.embedded.types import Instances, Label, Mesh, Pose

RANGE_M = 150.0


def instances_of(prototypes: list[int], poses: list[Pose], scale: float = 1.0) -> Instances:
    matrices = np.array([pose.matrix() for pose in poses]).reshape(-1, 4, 4)
    matrices[:, :3, :3] *= scale
    count = len(poses)
    return Instances(
        np.array(prototypes, np.int32),
        matrices.astype(np.float32),
        np.arange(1, count + 1, dtype=np.uint32),
        np.ones((count, 3), np.float32),
    )


class Oracle:
    """Embree over the same triangles; it sees both sides, so rays that meet a back go on behind it."""

    def __init__(self, static: Mesh, prototypes: list[Mesh], instances: Instances) -> None:
        corners = [static.vertices[static.triangles].reshape(-1, 3, 3)]
        labels, actors = [static.labels], [np.zeros(len(static.labels), np.uint32)]
        for k, matrix, actor in zip(instances.prototype, instances.matrices, instances.actor_ids, strict=True):
            mesh = prototypes[k]
            placed = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
            corners.append(placed[mesh.triangles])
            labels.append(mesh.labels)
            actors.append(np.full(len(mesh.labels), actor, np.uint32))
        self.corners = np.concatenate(corners).astype(np.float32)
        self.labels, self.actors = np.concatenate(labels), np.concatenate(actors)
        self.normals = np.cross(
            self.corners[:, 2] - self.corners[:, 0], self.corners[:, 1] - self.corners[:, 0]
        ).astype(float)
        self.scene = rtcore_scene.EmbreeScene()
        TriangleMesh(self.scene, self.corners)

    def cast(self, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance (inf: none), label, actor."""
        count = len(directions)
        travelled, done = np.zeros(count), np.zeros(count, bool)
        found = np.full(count, -1)
        for _ in range(40):
            rest = np.flatnonzero(~done)
            if len(rest) == 0:
                break
            start = origin + directions[rest] * travelled[rest, None]
            hit = self.scene.run(start.astype(np.float32), directions[rest].astype(np.float32), output=1)
            seen = hit["primID"] >= 0
            front = seen & (np.einsum("ij,ij->i", self.normals[hit["primID"]], directions[rest]) < 0.0)
            travelled[rest] += np.where(front, hit["tfar"], hit["tfar"] + 1e-4)
            found[rest[front]] = hit["primID"][front]
            done[rest] = front | ~seen
        near = (found >= 0) & (travelled <= RANGE_M)
        return (
            np.where(near, travelled, np.inf),
            np.where(near, self.labels[found], Label.NONE),
            np.where(near, self.actors[found], 0),
        )


def directions_of(rng: np.random.Generator, count: int) -> np.ndarray:
    """Mostly level: where the streets are."""
    d = rng.normal(size=(count, 3)) * (1.0, 1.0, 0.25)
    return d / np.linalg.norm(d, axis=1, keepdims=True)


@pytest.mark.parametrize("name", TOWN_NAMES)
def test_hits_agree_with_embree(name: str) -> None:
    rng = np.random.default_rng(7)
    town, prototypes = load_town(name), list(prototype_meshes())
    car, head = PROTOTYPES.index("car_sedan"), PROTOTYPES.index("light_red")
    spawn = [town.spawn_points[k] for k in rng.permutation(len(town.spawn_points))[:60]]
    heads = [light.head for light in town.lights]
    instances = instances_of([car] * len(spawn) + [head] * len(heads), [*spawn, *heads])
    scene, oracle = RayScene(town.mesh, prototypes), Oracle(town.mesh, prototypes, instances)
    frame = scene.frame(instances)
    rays = wrong = 0
    actors = set()
    for pose in spawn[:6]:
        origin = np.array([pose.x, pose.y, pose.z + 2.0]) + rng.uniform(-0.5, 0.5, 3)
        directions = directions_of(rng, 10_000)
        hits = scene.cast(frame, origin, directions, RANGE_M)
        distance, label, actor = oracle.cast(origin, directions)
        both = np.isfinite(distance) & np.isfinite(hits.distance)
        near = both & (np.abs(np.where(both, distance, 0.0) - np.where(both, hits.distance, 0.0)) < 0.01)
        same = (near & (label == hits.label) & (actor == hits.actor_id)) | (
            np.isinf(distance) & np.isinf(hits.distance) & (hits.label == Label.NONE) & (hits.actor_id == 0)
        )
        rays += len(directions)
        wrong += int((~same).sum())
        actors |= set(hits.actor_id.tolist())
    assert wrong <= 1e-4 * rays  # single precision against double, on edges and in coplanar patches
    assert len(actors) > 5


def test_placed_and_scaled_instances() -> None:
    """A turned, tilted, scaled cube is met where the plane of its side is, at the angle of that side."""
    cube = mesh_of(box((0, 0, 0), (1, 1, 1)), Label.STATIC)
    scene = RayScene(mesh_of(ground(100.0), Label.ROADS), [cube])
    frame = scene.frame(instances_of([0], [Pose(10.0, 0.0, 2.0, 0.0, 45.0, 0.0)], scale=0.5))
    hits = scene.cast(frame, (0.0, 0.0, 2.0), [(1.0, 0.0, 0.0), (0.8, 0.0, -0.6), (-1.0, 0.0, 0.0)], 50.0)
    assert hits.distance == pytest.approx([10.0 - np.sqrt(0.5), 2.0 / 0.6, np.inf], abs=1e-6)
    assert hits.label.tolist() == [Label.STATIC, Label.ROADS, Label.NONE]
    assert hits.actor_id.tolist() == [1, 0, 0]
    assert hits.cos_incidence == pytest.approx([np.sqrt(0.5), 0.6, 0.0], abs=1e-6)
    through = scene.cast(frame, (0.0, 0.0, 2.0), [(1.0, 0.0, 0.0)], 50.0, ignore={1})
    assert np.isinf(through.distance[0])
    inside = scene.cast(frame, (10.0, 0.0, 2.0), [(1.0, 0.0, 0.0)], 50.0)
    assert np.isinf(inside.distance[0])  # a surface is open from behind
    assert np.isinf(scene.cast(frame, (0.0, 0.0, 2.0), [(1.0, 0.0, 0.0)], 9.0).distance[0])


def test_threads_and_pieces_change_nothing() -> None:
    rng = np.random.default_rng(3)
    soup = mesh_of(rng.uniform(-20, 20, (3000, 1, 3)) + rng.normal(size=(3000, 3, 3)), Label.WALLS)
    cube = mesh_of(box((0, 0, 0), (1, 1, 1)), Label.CAR)
    instances = instances_of([0] * 20, [Pose(*rng.uniform(-20, 20, 3), *rng.uniform(-180, 180, 3)) for _ in range(20)])
    directions = directions_of(rng, 9000)
    results: list[Hits] = []
    for threads in (1, 2):
        scene = RayScene(soup, [cube], threads=threads)
        frame: RayFrame = scene.frame(instances)
        results.append(scene.cast(frame, (0.0, 0.0, 0.0), directions, 60.0))
        parts = [scene.cast(frame, (0.0, 0.0, 0.0), directions[k : k + 1500], 60.0) for k in range(0, 9000, 1500)]
        results.append(Hits(*(np.concatenate([getattr(p, f) for p in parts]) for f in Hits.__dataclass_fields__)))
    for other in results[1:]:
        for field in Hits.__dataclass_fields__:
            assert getattr(results[0], field).tobytes() == getattr(other, field).tobytes()
    assert np.isfinite(results[0].distance).sum() > 1000


def test_an_empty_world_is_empty() -> None:
    empty = mesh_of(np.zeros((0, 3, 3)), 0)
    scene = RayScene(empty, [empty])
    assert np.isinf(scene.cast(scene.frame(NOBODY), (0.0, 0.0, 0.0), [(0.0, 0.0, 1.0)], 10.0).distance[0])
    frame = scene.frame(instances_of([0], [Pose()]))
    assert np.isinf(scene.cast(frame, (0.0, 0.0, 0.0), [(0.0, 0.0, 1.0)], 10.0).distance[0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 30.0]))
def test_every_triangle_is_in_one_leaf(count: int, seed: int, spread: float) -> None:
    """Also where all centres are the same (spread 0): then there is no plane to split at."""
    rng = np.random.default_rng(seed)
    low = (rng.uniform(-spread, spread, (count, 3)) if spread else np.zeros((count, 3))).astype(np.float32)
    high = low + rng.uniform(0.0, 1.0, (count, 3)).astype(np.float32) * (spread > 0.0)
    tree = build_bvh(low, high)
    assert sorted(tree.order.tolist()) == list(range(count))
    covered: list[int] = []

    def descend(node: int, low_bound: np.ndarray, high_bound: np.ndarray) -> None:
        for side in range(2):
            child, bounds = int(tree.links[node, side]), tree.boxes[node, 6 * side : 6 * side + 6]
            if child >= 0:
                assert (bounds[:3] >= low_bound).all()
                assert (bounds[3:] <= high_bound).all()
                descend(child, bounds[:3], bounds[3:])
                continue
            first, number = divmod(-1 - child, 1 << LEAF_BITS)
            for item in tree.order[first : first + number]:
                assert (low[item] >= bounds[:3]).all()
                assert (high[item] <= bounds[3:]).all()
            covered.extend(range(first, first + number))

    descend(0, np.full(3, -np.inf), np.full(3, np.inf))
    assert sorted(covered) == list(range(count))
