"""Primitive builders of triangle meshes.

Everything is built right-handed (x, y north/left, z up) with counter-clockwise front faces and mirrored to CARLA's
left-handed axes once, at the end: negating y turns cross(v1 - v0, v2 - v0) into cross(v2 - v0, v1 - v0), which is
exactly the convention of `types.Mesh`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import mapbox_earcut
import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.types import Label, Material, Mesh

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float]


def colour_of(hexadecimal: str) -> Colour:
    """'#rrggbb' -> sRGB in 0..1."""
    red, green, blue = (int(hexadecimal[i : i + 2], 16) / 255.0 for i in (1, 3, 5))
    return red, green, blue


class MeshBuilder:
    """Collects triangles; `build` hands them over as one Mesh."""

    def __init__(self) -> None:
        self._vertices: list[Array] = []
        self._triangles: list[npt.NDArray[np.int64]] = []
        self._looks: list[npt.NDArray[np.float32]] = []
        self._count = 0
        self._triangle_count = 0

    def add(
        self,
        vertices: npt.ArrayLike,
        triangles: npt.ArrayLike,
        colour: Colour,
        label: Label,
        material: Material = Material.PLAIN,
    ) -> None:
        v = np.asarray(vertices, dtype=np.float64).reshape(-1, 3)
        t = np.asarray(triangles, dtype=np.int64).reshape(-1, 3)
        self._vertices.append(v)
        self._triangles.append(t + self._count)
        look = np.empty((len(t), 5), dtype=np.float32)  # red, green, blue, label, material
        look[:] = (*colour, label, material)
        self._looks.append(look)
        self._count += len(v)
        self._triangle_count += len(t)

    @property
    def triangle_count(self) -> int:
        return self._triangle_count

    def graft(self, vertices: Array, mesh: Mesh, wanted: npt.NDArray[np.bool_], tint: Colour) -> None:
        """The wanted triangles (T,) of a finished mesh, with its vertices (V, 3) placed anew in right-handed
        coordinates; tint multiplies BODY triangles, as it does for instances."""
        rows = np.flatnonzero(wanted)
        colours = mesh.colours[rows].copy()
        colours[mesh.materials[rows] == Material.BODY] *= np.array(tint, dtype=np.float32)
        self._vertices.append(np.asarray(vertices, dtype=np.float64))
        self._triangles.append(mesh.triangles[rows].astype(np.int64) + self._count)
        self._looks.append(np.column_stack([colours, mesh.labels[rows], mesh.materials[rows]]).astype(np.float32))
        self._count += len(vertices)
        self._triangle_count += len(rows)

    def quad(self, corners: npt.ArrayLike, colour: Colour, label: Label, material: Material = Material.PLAIN) -> None:
        """Four corners, counter-clockwise seen from the front."""
        self.add(corners, ((0, 1, 2), (0, 2, 3)), colour, label, material)

    def ribbon(
        self, right: Array, left: Array, colour: Colour, label: Label, material: Material = Material.PLAIN
    ) -> None:
        """Between two (N, 3) polylines; its normal is (along) x (right to left)."""
        n = len(right)
        i = np.arange(n - 1)
        triangles = np.concatenate(
            [
                np.stack([i, i + 1, n + i + 1], axis=1),
                np.stack([i, n + i + 1, n + i], axis=1),
            ]
        )
        self.add(np.concatenate([right, left]), triangles, colour, label, material)

    def box(
        self,
        centre: Sequence[float],
        z: float,
        heading: float,
        extent: tuple[float, float, float],
        colour: Colour,
        label: Label,
        material: Material = Material.PLAIN,
        *,
        bottom: bool = True,
    ) -> None:
        """An upright box, turned by heading, with its centre at (centre, z)."""
        ex, ey, ez = extent
        self.loft(
            rectangle(centre, heading, ex, ey),
            z - ez,
            rectangle(centre, heading, ex, ey),
            z + ez,
            colour,
            label,
            material,
            bottom=bottom,
        )

    def loft(
        self,
        lower: Array,
        z0: float | Array,
        upper: Array,
        z1: float | Array,
        colour: Colour,
        label: Label,
        material: Material = Material.PLAIN,
        *,
        bottom: bool = True,
        top: bool = True,
        roof: tuple[Colour, Material] | None = None,
    ) -> None:
        """Walls from one convex outline (N, 2) up to another of as many corners, both counter-clockwise."""
        n = len(lower)
        low = np.column_stack([lower, np.broadcast_to(z0, n)])
        high = np.column_stack([upper, np.broadcast_to(z1, n)])
        i = np.arange(n)
        j = (i + 1) % n
        walls = np.concatenate([np.stack([i, j, n + j], axis=1), np.stack([i, n + j, n + i], axis=1)])
        self.add(np.concatenate([low, high]), walls, colour, label, material)
        fan = np.stack([np.zeros(n - 2, dtype=int), np.arange(1, n - 1), np.arange(2, n)], axis=1)
        if top:
            top_colour, top_material = roof if roof is not None else (colour, material)
            self.add(high, fan, top_colour, label, top_material)
        if bottom:
            self.add(low, fan[:, ::-1], colour, label, material)

    def prism(
        self,
        centre: Sequence[float],
        z0: float,
        z1: float,
        radius0: float,
        radius1: float,
        sides: int,
        colour: Colour,
        label: Label,
        material: Material = Material.PLAIN,
        *,
        bottom: bool = False,
    ) -> None:
        """An upright cylinder or cone frustum; radius1 = 0 makes a cone."""
        angle = np.arange(sides) * (2.0 * math.pi / sides)
        ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        middle = np.asarray(centre[:2], dtype=np.float64)
        lower = middle + radius0 * ring
        if radius1 > 0.0:
            self.loft(lower, z0, middle + radius1 * ring, z1, colour, label, material, bottom=bottom)
            return
        i = np.arange(sides)
        vertices = np.concatenate([np.column_stack([lower, np.full(sides, z0)]), [[*middle, z1]]])
        self.add(vertices, np.stack([i, (i + 1) % sides, np.full(sides, sides)], axis=1), colour, label, material)
        if bottom:
            fan = np.stack([np.zeros(sides - 2, dtype=int), i[1:-1], i[2:]], axis=1)
            self.add(vertices[:sides], fan[:, ::-1], colour, label, material)

    def surface(
        self,
        area: shapely.Geometry,
        z: float,
        colour: Colour,
        label: Label,
        material: Material,
        longest_edge: float = 25.0,
    ) -> None:
        """A horizontal polygon (holes allowed), facing up, without edges longer than `longest_edge`."""
        for part in shapely.get_parts(area):
            if part.geom_type != "Polygon" or part.area < 1e-6:
                continue
            vertices, triangles = refine(*triangulate(part), longest_edge)
            self.add(np.column_stack([vertices, np.full(len(vertices), z)]), triangles, colour, label, material)

    def build(self) -> Mesh:
        """The mesh in CARLA's axes, neighbouring triangles next to each other (renderers cull runs of triangles)."""
        vertices = np.concatenate(self._vertices) * np.array([1.0, -1.0, 1.0])
        triangles = np.concatenate(self._triangles)
        order = _morton_order(vertices[triangles].mean(axis=1))
        looks = np.concatenate(self._looks)[order]
        return Mesh(
            vertices=np.ascontiguousarray(vertices, dtype=np.float32),
            triangles=np.ascontiguousarray(triangles[order], dtype=np.int32),
            colours=np.ascontiguousarray(looks[:, :3]),
            labels=looks[:, 3].astype(np.uint8),
            materials=looks[:, 4].astype(np.uint8),
        )


def rectangle(centre: Sequence[float], heading: float, half_length: float, half_width: float) -> Array:
    """(4, 2) corners, counter-clockwise."""
    c, s = math.cos(heading), math.sin(heading)
    local = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [half_length, half_width]
    return np.asarray(centre[:2], dtype=np.float64) + local @ np.array([[c, s], [-s, c]])


def triangulate(polygon: shapely.Polygon) -> tuple[Array, npt.NDArray[np.int64]]:
    """Ear clipping; (V, 2) vertices on a millimetre grid and counter-clockwise (T, 3) triangles."""
    rings = [np.asarray(ring.coords)[:-1, :2] for ring in (polygon.exterior, *polygon.interiors)]
    vertices = np.round(np.concatenate(rings), 6)
    ends = np.cumsum([len(ring) for ring in rings]).astype(np.uint32)
    triangles = mapbox_earcut.triangulate_float64(vertices, ends).astype(np.int64).reshape(-1, 3)
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    return vertices, triangles


def refine(
    vertices: Array, triangles: npt.NDArray[np.int64], longest_edge: float
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Halves long edges until none is left. Both triangles of an edge are split alike, so no gaps open."""
    points = [tuple(p) for p in vertices]
    todo = [(int(a), int(b), int(c)) for a, b, c in triangles]
    middles: dict[tuple[int, int], int] = {}
    done: list[tuple[int, int, int]] = []
    while todo:
        t = todo.pop()
        lengths = [math.dist(points[t[k]], points[t[(k + 1) % 3]]) for k in range(3)]
        split = []
        for k in range(3):
            a, b = t[k], t[(k + 1) % 3]
            if lengths[k] > longest_edge:
                key = (min(a, b), max(a, b))
                if key not in middles:
                    middles[key] = len(points)
                    points.append(tuple((points[a][i] + points[b][i]) / 2.0 for i in range(len(points[a]))))
                split.append(middles[key])
            else:
                split.append(-1)
        count = sum(m >= 0 for m in split)
        if count == 0:
            done.append(t)
            continue
        m0, m1, m2 = split
        if count == 3:
            todo += [(t[0], m0, m2), (m0, t[1], m1), (m2, m1, t[2]), (m0, m1, m2)]
            continue
        # turn the triangle so that its first edge is split and, with two, its second as well
        k = next(i for i in range(3) if split[i] >= 0 and (count == 1 or split[(i + 1) % 3] >= 0))
        a, b, c = t[k], t[(k + 1) % 3], t[(k + 2) % 3]
        first, second = split[k], split[(k + 1) % 3]
        if count == 1:
            todo += [(a, first, c), (first, b, c)]
        else:
            todo += [(first, b, second), (a, first, second), (a, second, c)]
    return np.array(points), np.array(done, dtype=np.int64)


def icosphere() -> tuple[Array, npt.NDArray[np.int64]]:
    """Unit sphere of 80 triangles: an icosahedron divided once."""
    g = (1.0 + math.sqrt(5.0)) / 2.0
    corners = [
        (-1, g, 0),
        (1, g, 0),
        (-1, -g, 0),
        (1, -g, 0),
        (0, -1, g),
        (0, 1, g),
        (0, -1, -g),
        (0, 1, -g),
        (g, 0, -1),
        (g, 0, 1),
        (-g, 0, -1),
        (-g, 0, 1),
    ]
    faces = [
        (0, 11, 5),
        (0, 5, 1),
        (0, 1, 7),
        (0, 7, 10),
        (0, 10, 11),
        (1, 5, 9),
        (5, 11, 4),
        (11, 10, 2),
        (10, 7, 6),
        (7, 1, 8),
        (3, 9, 4),
        (3, 4, 2),
        (3, 2, 6),
        (3, 6, 8),
        (3, 8, 9),
        (4, 9, 5),
        (2, 4, 11),
        (6, 2, 10),
        (8, 6, 7),
        (9, 8, 1),
    ]
    vertices, triangles = refine(np.array(corners, dtype=np.float64), np.array(faces), 1.5)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), triangles


def _morton_order(centroids: Array) -> npt.NDArray[np.int64]:
    """Stable order along a Z-curve over 8 m cells."""
    cells = np.floor((centroids[:, :2] - centroids[:, :2].min(axis=0)) / 8.0).astype(np.int64)
    code = np.zeros(len(cells), dtype=np.int64)
    for bit in range(8):
        code |= ((cells[:, 0] >> bit) & 1) << (2 * bit)
        code |= ((cells[:, 1] >> bit) & 1) << (2 * bit + 1)
    return np.argsort(code, kind="stable")
