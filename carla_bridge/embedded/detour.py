"""A polygon mesh as the bytes of a Detour tile set, which is how CARLA's client reads pedestrian navigation.

Layout: M. Mononen's Recast Navigation, DetourNavMesh.h (tile version 7, 32-bit polygon references), in the file format
of its RecastDemo ("MSET"). One tile holds everything. Detour's axes are x, z (up), y of CARLA.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SET_MAGIC = b"TESM"  # "MSET" as a little-endian integer
TILE_MAGIC = b"VAND"
SET_VERSION, TILE_VERSION = 1, 7
MAX_CORNERS = 6  # of a polygon
MAX_VERTICES = MAX_POLYGONS = 0xFFFF  # numbers of 16 bits, and one of the polygons' means "none"
POLYGON_BITS = 16
LINK_BYTES = 12
WALKABLE_HEIGHT, WALKABLE_RADIUS, WALKABLE_CLIMB = 2.0, 0.3, 0.5  # [m]
QUANTA = 60000  # steps of the bounding volume tree along the longest side
FLAG_OF_AREA = (0x01, 0x02, 0x04, 0x08, 0x10)  # of WalkArea: what the client's filters ask for

SET_HEADER = struct.Struct("<4s2i5f2i")
TILE_HEADER = struct.Struct("<Ii")
MESH_HEADER = struct.Struct("<4s14i10f")
POLYGON = np.dtype(
    [
        ("first_link", "<u4"),
        ("vertices", "<u2", MAX_CORNERS),
        ("neighbours", "<u2", MAX_CORNERS),
        ("flags", "<u2"),
        ("corners", "u1"),
        ("area", "u1"),
    ]
)
DETAIL = np.dtype([("vertex", "<u4"), ("triangle", "<u4"), ("vertices", "u1"), ("triangles", "u1"), ("padding", "<u2")])
NODE = np.dtype([("low", "<u2", 3), ("high", "<u2", 3), ("item", "<i4")])


@dataclass(frozen=True)
class PolygonMesh:
    """Convex polygons of at most MAX_CORNERS corners; two that share both ends of an edge are neighbours."""

    vertices: npt.NDArray[np.float64]  # (V, 3) [m] CARLA axes
    polygons: tuple[tuple[int, ...], ...]  # clockwise in a picture with x to the right and y up
    areas: tuple[int, ...]  # WalkArea of each


def tile_set(mesh: PolygonMesh) -> bytes:
    """ValueError for a mesh that does not fit into one tile."""
    if not mesh.polygons:
        raise ValueError("a navigation mesh needs a polygon")
    if len(mesh.vertices) > MAX_VERTICES or len(mesh.polygons) > MAX_POLYGONS:
        raise ValueError(f"{len(mesh.vertices)} vertices and {len(mesh.polygons)} polygons do not fit into one tile")
    vertices = np.ascontiguousarray(mesh.vertices[:, [0, 2, 1]], "<f4")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    tile = _tile(mesh, vertices, low, high)
    size = high - low + 1.0
    header = SET_HEADER.pack(
        SET_MAGIC, SET_VERSION, 1, *low.tolist(), float(size[0]), float(size[2]), 1, 1 << POLYGON_BITS
    )
    return header + TILE_HEADER.pack(1 << POLYGON_BITS, len(tile)) + tile


def _tile(
    mesh: PolygonMesh,
    vertices: npt.NDArray[np.float32],
    low: npt.NDArray[np.float32],
    high: npt.NDArray[np.float32],
) -> bytes:
    corners = [len(polygon) for polygon in mesh.polygons]
    triangles = _fans(corners)
    factor = QUANTA / max(1.0, float((high - low).max()))
    nodes = _tree(mesh.polygons, vertices, low, factor)
    numbers = (
        TILE_VERSION,
        *(0, 0, 0, 0),  # x, y, layer, user
        len(mesh.polygons),
        len(vertices),
        sum(corners),  # room for the links that the client makes
        len(mesh.polygons),
        0,  # vertices of the detail meshes beyond those of the polygons
        len(triangles),
        len(nodes),
        *(0, len(mesh.polygons)),  # off-mesh connections: how many, and their first polygon
    )
    sizes = (WALKABLE_HEIGHT, WALKABLE_RADIUS, WALKABLE_CLIMB, *low.tolist(), *high.tolist(), factor)
    return b"".join(
        (
            MESH_HEADER.pack(TILE_MAGIC, *numbers, *sizes),
            vertices.tobytes(),
            _polygons(mesh).tobytes(),
            bytes(LINK_BYTES * sum(corners)),
            _details(corners).tobytes(),
            triangles.tobytes(),
            nodes.tobytes(),
        )
    )


def neighbours(polygons: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each edge of each polygon, the polygon on its other side, or -1. ValueError for an edge of three polygons."""
    owner: dict[tuple[int, int], int] = {}
    for number, polygon in enumerate(polygons):
        for a, b in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            if (a, b) in owner:
                raise ValueError(f"polygons {owner[a, b]} and {number} lie on the same side of an edge")
            owner[a, b] = number
    return [
        [owner.get((b, a), -1) for a, b in zip(polygon, (*polygon[1:], polygon[0]), strict=True)]
        for polygon in polygons
    ]


def _polygons(mesh: PolygonMesh) -> npt.NDArray[np.void]:
    packed = np.zeros(len(mesh.polygons), POLYGON)
    beyond = neighbours(mesh.polygons)
    for number, (polygon, area) in enumerate(zip(mesh.polygons, mesh.areas, strict=True)):
        row = packed[number]
        row["vertices"][: len(polygon)] = polygon
        row["neighbours"][: len(polygon)] = [other + 1 for other in beyond[number]]
        row["flags"], row["corners"], row["area"] = FLAG_OF_AREA[area], len(polygon), area
    return packed


def _details(corners: Sequence[int]) -> npt.NDArray[np.void]:
    packed = np.zeros(len(corners), DETAIL)
    packed["triangles"] = np.array(corners) - 2
    packed["triangle"] = np.concatenate([[0], np.cumsum(packed["triangles"][:-1], dtype=np.int64)])
    return packed


def _fans(corners: Sequence[int]) -> npt.NDArray[np.uint8]:
    """(triangles, 4): each polygon as a fan; the last byte says which edges are the polygon's own, two bits an edge."""
    rows = []
    for count in corners:
        for k in range(2, count):
            rows.append((0, k - 1, k, (1 if k == 2 else 0) | 4 | (16 if k == count - 1 else 0)))
    return np.array(rows, np.uint8).reshape(-1, 4)


def _tree(
    polygons: Sequence[Sequence[int]],
    vertices: npt.NDArray[np.float32],
    low: npt.NDArray[np.float32],
    factor: float,
) -> npt.NDArray[np.void]:
    """Boxes in steps of 1 / factor, depth first; an inner node's item is minus the number of nodes of its branch."""
    quantised = (vertices - low).astype(np.float64) * factor
    floor = np.array([np.floor(quantised[list(p)].min(axis=0)) for p in polygons]).astype(np.int64)
    ceiling = np.array([np.ceil(quantised[list(p)].max(axis=0)) for p in polygons]).astype(np.int64)
    nodes = np.zeros(2 * len(polygons) - 1, NODE)
    used = 0

    def add(items: npt.NDArray[np.int64]) -> None:
        nonlocal used
        node = used
        used += 1
        nodes[node]["low"], nodes[node]["high"] = floor[items].min(axis=0), ceiling[items].max(axis=0)
        if len(items) == 1:
            nodes[node]["item"] = items[0]
            return
        middle = floor[items] + ceiling[items]
        order = items[np.argsort(middle[:, int(np.argmax(np.ptp(middle, axis=0)))], kind="stable")]
        add(order[: len(order) // 2])
        add(order[len(order) // 2 :])
        nodes[node]["item"] = -(used - node)

    add(np.arange(len(polygons), dtype=np.int64))
    return nodes
