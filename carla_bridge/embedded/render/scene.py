"""What is drawn, as flat arrays: the static world once, the moving things once a frame.

T = triangles, C = chunks of triangles, A = rows of the surface table, N = instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ..types import Instances, Material, Mesh

CHUNK = 32  # triangles culled together
STOREY_M = 3.3  # [m] the window grid's ideal height ...
BAY_M = 2.9  # [m] ... and width; fitted to whole numbers a wall
LARGE_M = 25.0  # [m] triangles longer than this get chunks of their own kind, or they would spoil the others'
CREASE_COS = 0.6  # edges sharper than acos of this stay sharp ...
LEAF_CREASE_COS = -0.2  # ... but crowns of trees are round


class Geometry(NamedTuple):
    """Triangles in world coordinates."""

    corners: npt.NDArray[np.float32]  # (T, 9)
    planes: npt.NDArray[np.float64]  # (T, 4) outward unit normal n and offset d: n . p = d
    chunk_first: npt.NDArray[np.int32]  # (C + 1,)
    spheres: npt.NDArray[np.float32]  # (C, 4) centre and radius of each chunk


class Surfaces(NamedTuple):
    """How triangles look. Static triangles first, in the order of the static geometry, then the prototypes'."""

    colours: npt.NDArray[np.float32]  # (A, 3) linear light
    labels: npt.NDArray[np.uint8]  # (A,)
    materials: npt.NDArray[np.uint8]  # (A,)
    grids: npt.NDArray[np.float32]  # (A, 4) facades: start and 1/width of the bays along the wall, then of the storeys
    normals: npt.NDArray[np.float32]  # (A, 9) smoothed corner normals, local; zero where a surface is flat by nature


class Prototypes(NamedTuple):
    """Local geometry of all prototypes end to end."""

    corners: npt.NDArray[np.float32]  # (T, 9)
    first: npt.NDArray[np.int32]  # (P + 1,)
    first_surface: int  # row of the surface table of triangle 0


class Moving(NamedTuple):
    """The moving things of one frame, placed."""

    geometry: Geometry  # one chunk an instance
    surface: npt.NDArray[np.int32]  # (T,) row of the surface table
    owner: npt.NDArray[np.int32]  # (T,) instance
    matrices: npt.NDArray[np.float32]  # (N, 4, 4) local -> world
    tints: npt.NDArray[np.float32]  # (N, 3) linear light
    actor_ids: npt.NDArray[np.uint32]  # (N,)
    lights: npt.NDArray[np.uint32]  # (N,) carla.VehicleLightState
    steps: npt.NDArray[np.float64]  # (N, 4, 4) where a world point of the instance was one step earlier


@dataclass(frozen=True)
class Scene:
    static: Geometry
    surfaces: Surfaces
    prototypes: Prototypes


def linear_from_srgb(srgb: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The sRGB transfer function (IEC 61966-2-1), inverted."""
    s = np.clip(np.asarray(srgb, np.float64), 0.0, 1.0)
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _corners(mesh: Mesh) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(mesh.vertices[mesh.triangles].reshape(-1, 9), np.float32)


def planes_of(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(T, 4) plane of each triangle; zero for a triangle without area, which is then never seen."""
    p = corners.reshape(-1, 3, 3).astype(np.float64)
    normal = np.cross(p[:, 2] - p[:, 0], p[:, 1] - p[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, length, out=np.zeros_like(normal), where=length > 1e-12)
    offset = np.einsum("ij,ij->i", normal, p[:, 0])
    return np.ascontiguousarray(np.concatenate([normal, offset[:, None]], axis=1))


def _spatial_order(corners: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], int]:
    """Order that keeps neighbours together (Morton code of the centres), small triangles first; how many are small."""
    p = corners.reshape(-1, 3, 3)
    size = (p.max(axis=1) - p.min(axis=1)).max(axis=1)
    centre = p.mean(axis=1)
    low = centre.min(axis=0)
    span = max(float((centre.max(axis=0) - low).max()), 1e-6)
    cell = np.clip((centre - low) / span * 1023.0, 0, 1023).astype(np.int64)
    code = np.zeros(len(p), np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    large = size > LARGE_M
    return np.lexsort((code, large)), int((~large).sum())


def chunked(corners: npt.NDArray[np.float32], small: int) -> Geometry:
    """Cut triangles, already in spatial order, into chunks; the first `small` of them never share one with the rest."""
    total = len(corners)
    first = np.unique(
        np.concatenate(
            [
                np.arange(0, small, CHUNK),
                np.arange(small, total, CHUNK // 4),
                [total],
            ]
        )
    ).astype(np.int32)
    spheres = np.zeros((len(first) - 1, 4), np.float32)
    for c in range(len(first) - 1):
        points = corners[first[c] : first[c + 1]].reshape(-1, 3).astype(np.float64)
        centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
        spheres[c, :3] = centre
        spheres[c, 3] = np.linalg.norm(points - spheres[c, :3], axis=1).max() * 1.0001 + 1e-3
    return Geometry(corners, planes_of(corners), first, spheres)


def _facade_grids(
    corners: npt.NDArray[np.float32], planes: npt.NDArray[np.float64], facade: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """(T, 4) window grid of each facade triangle, so that a wall has whole windows.

    Triangles of one plane whose corners touch are one wall. Along the wall u = -n_y x + n_x y.
    """
    grids = np.tile(np.array([0.0, 1.0 / BAY_M, 0.0, 1.0 / STOREY_M], np.float32), (len(corners), 1))
    parent: dict[tuple[int, ...], tuple[int, ...]] = {}

    def root(key: tuple[int, ...]) -> tuple[int, ...]:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    rows = np.flatnonzero(facade & (np.abs(planes[:, 2]) < 0.5))
    keys: dict[int, tuple[int, ...]] = {}
    for t in rows.tolist():
        side = tuple(int(v) for v in np.round(planes[t] * (50.0, 50.0, 50.0, 10.0)))
        touched = [(*side, *(int(v) for v in np.round(p * 50.0))) for p in corners[t].reshape(3, 3)]
        for other in touched[1:]:
            parent[root(other)] = root(touched[0])
        keys[t] = touched[0]
    walls: dict[tuple[int, ...], list[int]] = {}
    for t, key in keys.items():
        walls.setdefault(root(key), []).append(t)
    for members in walls.values():
        p = corners[members].reshape(-1, 3).astype(np.float64)
        nx, ny = planes[members[0], :2]
        u, z = -ny * p[:, 0] + nx * p[:, 1], p[:, 2]
        bay = max(np.ptp(u), 0.5) / max(1.0, np.round(np.ptp(u) / BAY_M))
        storey = max(np.ptp(z) - 0.4, 0.5) / max(1.0, np.round((np.ptp(z) - 0.4) / STOREY_M))
        grids[members] = (u.min(), 1.0 / bay, z.min(), 1.0 / storey)
    return grids


def _smooth_normals(corners: npt.NDArray[np.float32], crease_cos: float = CREASE_COS) -> npt.NDArray[np.float32]:
    """(T, 9) corner normals: the mean of the faces that meet there within the crease angle, weighted by area."""
    if len(corners) == 0:
        return np.zeros((0, 9), np.float32)
    p = corners.reshape(-1, 3, 3).astype(np.float64)
    weighted = np.cross(p[:, 2] - p[:, 0], p[:, 1] - p[:, 0])
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-12)
    meeting: dict[tuple[int, ...], list[int]] = {}
    keys = [tuple(int(v) for v in k) for k in np.round(p.reshape(-1, 3) * 1000.0)]
    for i, key in enumerate(keys):
        meeting.setdefault(key, []).append(i // 3)
    smooth = np.empty((len(keys), 3))
    for i, key in enumerate(keys):
        faces = np.array(meeting[key])
        faces = faces[unit[faces] @ unit[i // 3] > crease_cos]
        total = weighted[faces].sum(axis=0) if len(faces) else unit[i // 3]
        smooth[i] = total / max(float(np.linalg.norm(total)), 1e-12)
    return smooth.reshape(-1, 9).astype(np.float32)


def build_scene(static: Mesh, prototypes: Sequence[Mesh]) -> Scene:
    """Flatten, sort and annotate everything that stays the same from frame to frame."""
    corners = _corners(static)
    order, small = _spatial_order(corners) if len(corners) else (np.zeros(0, np.int64), 0)
    geometry = chunked(corners[order], small)
    local = [_corners(mesh) for mesh in prototypes]
    counts = [len(part) for part in local]
    moving = np.concatenate([*local, np.zeros((0, 9), np.float32)])
    default_grid = np.tile(np.array([0.0, 1.0 / BAY_M, 0.0, 1.0 / STOREY_M], np.float32), (len(moving), 1))
    materials = np.concatenate([static.materials[order], *(mesh.materials for mesh in prototypes)]).astype(np.uint8)
    facade = materials[: len(corners)] == Material.FACADE
    leaves = np.flatnonzero(materials[: len(corners)] == Material.FOLIAGE)
    normals = np.zeros((len(corners), 9), np.float32)
    normals[leaves] = _smooth_normals(geometry.corners[leaves], LEAF_CREASE_COS)
    surfaces = Surfaces(
        colours=linear_from_srgb(np.concatenate([static.colours[order], *(mesh.colours for mesh in prototypes)])),
        labels=np.concatenate([static.labels[order], *(mesh.labels for mesh in prototypes)]).astype(np.uint8),
        materials=materials,
        grids=np.concatenate([_facade_grids(geometry.corners, geometry.planes, facade), default_grid]),
        normals=np.concatenate([normals, *(_smooth_normals(part) for part in local)]),
    )
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return Scene(geometry, surfaces, Prototypes(moving, first, len(corners)))


@njit(cache=True, nogil=True, error_model="numpy")
def _place(
    local: npt.NDArray[np.float32],
    first: npt.NDArray[np.int32],
    first_surface: int,
    prototype: npt.NDArray[np.int32],
    matrices: npt.NDArray[np.float32],
    corners: npt.NDArray[np.float32],
    planes: npt.NDArray[np.float64],
    chunk_first: npt.NDArray[np.int32],
    spheres: npt.NDArray[np.float32],
    surface: npt.NDArray[np.int32],
    owner: npt.NDArray[np.int32],
) -> None:
    t = 0
    low, high = np.empty(3), np.empty(3)
    p = np.empty(9)
    for i in range(prototype.shape[0]):
        chunk_first[i] = t
        low[:] = np.inf
        high[:] = -np.inf
        m = matrices[i]
        for source in range(first[prototype[i]], first[prototype[i] + 1]):
            for k in range(3):
                x, y, z = local[source, 3 * k], local[source, 3 * k + 1], local[source, 3 * k + 2]
                for axis in range(3):
                    value = np.float32(m[axis, 0] * x + m[axis, 1] * y + m[axis, 2] * z + m[axis, 3])
                    corners[t, 3 * k + axis] = value
                    p[3 * k + axis] = value
                    low[axis] = min(low[axis], value)
                    high[axis] = max(high[axis], value)
            ax, ay, az = p[6] - p[0], p[7] - p[1], p[8] - p[2]
            bx, by, bz = p[3] - p[0], p[4] - p[1], p[5] - p[2]
            nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            scale = 1.0 / length if length > 1e-12 else 0.0
            nx, ny, nz = nx * scale, ny * scale, nz * scale
            planes[t, 0], planes[t, 1], planes[t, 2] = nx, ny, nz
            planes[t, 3] = nx * p[0] + ny * p[1] + nz * p[2]
            surface[t] = first_surface + source
            owner[t] = i
            t += 1
        if t > chunk_first[i]:
            radius = 0.0
            for axis in range(3):
                spheres[i, axis] = 0.5 * (low[axis] + high[axis])
                radius += (0.5 * (high[axis] - low[axis])) ** 2
            spheres[i, 3] = np.sqrt(radius) * 1.0001 + 1e-3
    chunk_first[prototype.shape[0]] = t


def place(scene: Scene, instances: Instances) -> Moving:
    """Move every instance's triangles to where the instance is."""
    # Copies, not views: a read-only array would be another type to the kernels and compile them again.
    prototype = np.array(instances.prototype, np.int32)
    known = len(scene.prototypes.first) - 1
    if len(prototype) and (int(prototype.min()) < 0 or int(prototype.max()) >= known):
        raise ValueError(f"prototype indices must be in 0..{known - 1}, received {prototype.min()}..{prototype.max()}")
    matrices = np.array(instances.matrices, np.float32, order="C").reshape(-1, 4, 4)
    counts = np.diff(scene.prototypes.first)[prototype]
    n, total = len(prototype), int(counts.sum())
    geometry = Geometry(
        np.empty((total, 9), np.float32),
        np.empty((total, 4), np.float64),
        np.zeros(n + 1, np.int32),
        np.zeros((n, 4), np.float32),
    )
    surface, owner = np.empty(total, np.int32), np.empty(total, np.int32)
    _place(
        scene.prototypes.corners,
        scene.prototypes.first,
        scene.prototypes.first_surface,
        prototype,
        matrices,
        geometry.corners,
        geometry.planes,
        geometry.chunk_first,
        geometry.spheres,
        surface,
        owner,
    )
    return Moving(
        geometry,
        surface,
        owner,
        matrices,
        linear_from_srgb(np.asarray(instances.tints).reshape(-1, 3)),
        np.array(instances.actor_ids, np.uint32),
        np.zeros(n, np.uint32) if instances.light_flags is None else np.array(instances.light_flags, np.uint32),
        _steps(matrices, instances.previous),
    )


def _steps(matrices: npt.NDArray[np.float32], previous: npt.NDArray[np.float32] | None) -> npt.NDArray[np.float64]:
    if previous is None:
        return np.tile(np.eye(4), (len(matrices), 1, 1))
    before = np.asarray(previous, np.float64).reshape(-1, 4, 4)
    return np.ascontiguousarray(before @ np.linalg.inv(matrices.astype(np.float64)))
