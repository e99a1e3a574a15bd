"""Bodies of vehicles, people and props: closed, of the size they claim, labelled as the actors that show them."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from carla_bridge.embedded.actors import LIGHT_PROTOTYPE, PROTOTYPE_OF, semantic_tags_of
from carla_bridge.embedded.catalogue import VEHICLES
from carla_bridge.embedded.gait import CYCLE_PER_HEIGHT, PHASES
from carla_bridge.embedded.towns.prototypes import PROTOTYPES, prototype_extent, prototype_meshes
from carla_bridge.embedded.towns.prototypes.cars import SHAPES
from carla_bridge.embedded.towns.prototypes.people import BUILDS, EXTENTS, upright
from carla_bridge.embedded.types import Material, Mesh

VEHICLE_PROTOTYPES = sorted({model.prototype for model in VEHICLES.values()})
CONES = ("cone",)


def mesh_of(name: str) -> Mesh:
    return prototype_meshes()[PROTOTYPES.index(name)]


def normals_of(mesh: Mesh) -> np.ndarray:
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    return np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])


@pytest.mark.parametrize("name", PROTOTYPES)
def test_prototypes_fill_their_box(name: str) -> None:
    mesh, extent = mesh_of(name), np.array(prototype_extent(name))
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    stands = not name.startswith("light_") and name != "box"
    if name.startswith("light_"):
        high[0] = low[0] + 2.0 * extent[0]  # the visors reach further
    size, middle = (high - low) / 2.0, (high + low) / 2.0
    if "_walk_" in name:  # legs and arms swing out of the box of a standing body
        size, middle = size[1:], middle[1:]
    tolerance = 0.07 * np.maximum(1.0, extent[-len(size) :])
    np.testing.assert_array_less(np.abs(size - extent[-len(size) :]), tolerance)
    np.testing.assert_array_less(np.abs(middle - [0.0, 0.0, extent[2] if stands else 0.0][-len(size) :]), tolerance)


@pytest.mark.parametrize("name", PROTOTYPES)
def test_prototypes_face_outwards(name: str) -> None:
    mesh = mesh_of(name)
    normals = normals_of(mesh)
    assert (np.linalg.norm(normals, axis=1) > 1e-9).all(), "degenerate triangles"
    intersector = RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False))
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    rng = np.random.default_rng(1)
    away = rng.normal(size=(4000, 3))
    radius = 2.0 * float(np.linalg.norm(high - low))
    origins = away / np.linalg.norm(away, axis=1, keepdims=True) * radius + (low + high) / 2.0
    if low[2] > -0.1:  # stands on the ground: nobody looks from below
        origins[:, 2] = np.abs(origins[:, 2])
    targets = rng.uniform(low, high, (4000, 3))
    triangle, which = intersector.intersects_id(origins, targets - origins, multiple_hits=False)
    assert len(which) > 100
    facing = np.einsum("ij,ij->i", normals[triangle], (targets - origins)[which])
    # painted parts stand a few millimetres proud, and sleeves are open: a glancing ray may look behind them
    assert np.mean(facing < 0.0) > 0.995


def test_prototypes_are_cheap_to_draw() -> None:
    count = {name: len(mesh.triangles) for name, mesh in zip(PROTOTYPES, prototype_meshes(), strict=True)}
    assert max(count[name] for name in SHAPES) <= 380
    assert max(count[name] for name in VEHICLE_PROTOTYPES) <= 560
    assert max(number for name, number in count.items() if name.partition("_walk_")[0] in BUILDS) <= 240
    assert max(count[name] for name in CONES) <= 60


@pytest.mark.parametrize("name", VEHICLE_PROTOTYPES)
def test_vehicles_have_lamps_where_they_belong(name: str) -> None:
    mesh = mesh_of(name)
    centres, normals = mesh.vertices[mesh.triangles].mean(axis=1), normals_of(mesh)
    head, tail, indicator = (mesh.materials == m for m in (Material.HEADLAMP, Material.TAILLAMP, Material.INDICATOR))
    assert head.any()
    assert tail.any()
    assert (normals[head, 0] > 0.0).all()
    assert (normals[tail, 0] < 0.0).all()
    if name != "bicycle":
        sides = {(bool(x > 0.0), bool(y > 0.0)) for x, y in centres[indicator, :2]}
        assert len(sides) == 4  # front and rear, left and right


def test_meshes_carry_the_labels_of_their_actors() -> None:
    for type_id, name in PROTOTYPE_OF.items():
        assert set(np.unique(mesh_of(name).labels).tolist()) == set(semantic_tags_of(type_id)), type_id
    assert set(LIGHT_PROTOTYPE.values()) < set(PROTOTYPES)


@pytest.mark.parametrize("name", EXTENTS)
def test_a_gait_is_symmetric_and_keeps_pace_with_the_ground(name: str) -> None:
    for phase in range(PHASES):
        step, other = (mesh_of(f"{name}_walk_{k % PHASES}").vertices for k in (phase, phase + PHASES // 2))
        mirrored = other * [1.0, -1.0, 1.0]
        nearest = np.linalg.norm(step[:, None] - mirrored[None], axis=2).min(axis=1)
        assert nearest.max() < 0.05  # half a cycle later left is right (rings start at another corner)
        assert abs(step[:, 2].min()) < 0.03  # somebody who walks does not fly
    build = BUILDS[name]
    poses = [upright(build, phase) for phase in range(PHASES)]
    reach = max(float(pose.ankles[0][0] - pose.ankles[1][0]) for pose in poses)
    assert 2.0 * reach == pytest.approx(CYCLE_PER_HEIGHT * build.height_m, rel=0.2)  # a cycle is two steps
