"""Small meshes and views for the tests of the renderer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from carla_bridge.embedded.types import Instances, Label, Material, Mesh, Pose, View

NOBODY = Instances(
    np.zeros(0, np.int32), np.zeros((0, 4, 4), np.float32), np.zeros(0, np.uint32), np.zeros((0, 3), np.float32)
)
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)


def cube_triangles() -> np.ndarray:
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    corners = CUBE[triangles]
    outward = np.einsum(
        "ij,ij->i", np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0]), corners.mean(axis=1)
    )
    triangles[outward < 0] = triangles[outward < 0][:, ::-1]
    return triangles


def mesh_of(corners: np.ndarray, labels: Sequence[int] | np.ndarray, material: Material = Material.PLAIN) -> Mesh:
    """corners: (T, 3, 3)."""
    count = len(corners)
    return Mesh(
        np.asarray(corners, np.float32).reshape(-1, 3),
        np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        np.full((count, 3), 0.6, np.float32),
        np.broadcast_to(np.asarray(labels, np.uint8), count).copy(),
        np.full(count, material, np.uint8),
    )


def box(centre: Sequence[float], extent: Sequence[float], yaw_deg: float = 0.0) -> np.ndarray:
    matrix = Pose(*centre, yaw=yaw_deg).matrix()
    return ((CUBE * extent) @ matrix[:3, :3].T + matrix[:3, 3])[cube_triangles()]


def ground(half_size: float, z: float = 0.0) -> np.ndarray:
    a, b, c, d = ([x, y, z] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
    corners = np.array([[a, c, b], [a, d, c]], float)
    corners[:, :, :2] *= half_size
    if np.cross(corners[0, 2] - corners[0, 0], corners[0, 1] - corners[0, 0])[2] < 0:
        corners = corners[:, ::-1]
    return corners


def rays(view: View) -> np.ndarray:
    """(H * W, 3) directions through pixel centres, 1 m long along the optical axis."""
    focal = 0.5 * view.width / np.tan(np.radians(0.5 * view.fov_deg))
    v, u = np.mgrid[: view.height, : view.width] + 0.5
    local = np.stack([np.ones_like(u), (u - 0.5 * view.width) / focal, (0.5 * view.height - v) / focal], axis=-1)
    return local.reshape(-1, 3) @ view.world_from_camera[:3, :3].T


class Oracle:
    """What Embree's rays see of a mesh's front faces: labels, and depths from the planes of the triangles hit."""

    def __init__(self, corners: np.ndarray, labels: np.ndarray) -> None:
        self._corners, self._labels = np.ascontiguousarray(corners, np.float32), labels
        exact = corners.astype(np.float64)
        normal = np.cross(exact[:, 2] - exact[:, 0], exact[:, 1] - exact[:, 0])
        self._normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        self._offset = np.einsum("ij,ij->i", self._normal, exact[:, 0])

    def look(self, view: View, near_m: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
        """(H * W,) labels and depths; sky: Label.SKY and 1000."""
        direction, eye = rays(view), view.world_from_camera[:3, 3]
        facing = np.flatnonzero(self._normal @ eye > self._offset)
        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, self._corners[facing])
        unit = direction / np.linalg.norm(direction, axis=1, keepdims=True)
        primitive = scene.run((eye + direction * near_m).astype(np.float32), unit.astype(np.float32))
        hit = facing[np.maximum(primitive, 0)]
        slope = np.einsum("ij,ij->i", self._normal[hit], direction)
        depth = (self._offset[hit] - self._normal[hit] @ eye) / np.where(slope == 0.0, 1.0, slope)
        seen = primitive >= 0
        return np.where(seen, self._labels[hit], Label.SKY), np.where(seen, np.minimum(depth, 1000.0), 1000.0)
