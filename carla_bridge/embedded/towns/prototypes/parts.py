"""Pieces of bodies: skins over rings, wheels, hulls with things painted on them.

Built right-handed, x forward and y left, z up, metres; the MeshBuilder mirrors everything at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, colour_of
from carla_bridge.embedded.types import Label, Material

Array = npt.NDArray[np.float64]
Point = Sequence[float] | Array
Looks = tuple[Colour, Material]  # what a face looks like

PAINT: Looks = ((0.92, 0.92, 0.92), Material.BODY)  # multiplied by the instance's tint
GLASS: Looks = (colour_of("#1d2a33"), Material.GLASS)
TYRE: Looks = (colour_of("#18181a"), Material.PLAIN)
RIM: Looks = (colour_of("#8f9296"), Material.PLAIN)
TRIM: Looks = (colour_of("#26272a"), Material.PLAIN)
STEEL: Looks = (colour_of("#85898d"), Material.PLAIN)
PLATE: Looks = (colour_of("#d8d8d0"), Material.PLAIN)
WHITE: Looks = (colour_of("#e4e4e0"), Material.PLAIN)
RED: Looks = (colour_of("#b8201c"), Material.PLAIN)
ORANGE: Looks = (colour_of("#e2621b"), Material.PLAIN)
YELLOW: Looks = (colour_of("#e8b41e"), Material.PLAIN)
WOOD: Looks = (colour_of("#8a6a46"), Material.PLAIN)
HEADLAMP: Looks = (colour_of("#e9eef0"), Material.HEADLAMP)
TAILLAMP: Looks = (colour_of("#b0141b"), Material.TAILLAMP)
INDICATOR: Looks = (colour_of("#d07a1e"), Material.INDICATOR)
WHEEL_SIDES = 10
PROUD_M = 0.006  # how far painted things stand out of what they are painted on


def ring(centre: Point, across: Point, up: Point, sides: int, turn: float = 0.5) -> Array:
    """(sides, 3) corners of an ellipse with the half axes `across` and `up`, counter-clockwise from across to up.

    turn: 0.5 puts the middle of an edge at the end of `across`, 0 a corner.
    """
    angle = (np.arange(sides) + turn) * (2.0 * np.pi / sides)
    return (
        np.asarray(centre, float)
        + np.cos(angle)[:, None] * np.asarray(across, float)
        + np.sin(angle)[:, None] * np.asarray(up, float)
    )


def outline(front: float, rear: float, half_width: float, z: float, chamfer: tuple[float, float] = (0.0, 0.0)) -> Array:
    """A level rectangle with its corners cut off, (8, 3), or (4, 3) without a chamfer (along x, along y).

    Counter-clockwise from the left end of the front: edges are front left corner, left side, rear left corner, rear,
    rear right corner, right side, front right corner, front.
    """
    cx, cy = chamfer
    left = [(front, half_width - cy), (front - cx, half_width), (rear + cx, half_width), (rear, half_width - cy)]
    if cx == 0.0:
        left = left[1:3]
    both = left + [(x, -y) for x, y in reversed(left)]
    return np.array([(x, y, z) for x, y in both])


@dataclass(frozen=True)
class Skin:
    """Faces between rings of as many corners each, one above the other, counter-clockwise seen from the last one."""

    rings: tuple[Array, ...]

    def draw(
        self,
        builder: MeshBuilder,
        looks: Looks | list[Looks],
        label: Label,
        *,
        bottom: bool = True,
        top: bool = True,
    ) -> None:
        """looks: one for all, or one for each row of faces (the caps take the first and the last)."""
        rows = looks if isinstance(looks, list) else [looks] * (len(self.rings) - 1)
        n = len(self.rings[0])
        i, j = np.arange(n), (np.arange(n) + 1) % n
        walls = np.concatenate([np.stack([i, j, n + j], axis=1), np.stack([i, n + j, n + i], axis=1)])
        fan = np.stack([np.zeros(n - 2, dtype=int), np.arange(1, n - 1), np.arange(2, n)], axis=1)
        for row, (colour, material) in enumerate(rows):
            builder.add(np.concatenate(self.rings[row : row + 2]), walls, colour, label, material)
        if bottom:
            builder.add(self.rings[0], fan[:, ::-1], *_args(rows[0], label))
        if top:
            builder.add(self.rings[-1], fan, *_args(rows[-1], label))

    def mark(
        self,
        builder: MeshBuilder,
        row: int,
        edge: int,
        along: tuple[float, float],
        up: tuple[float, float],
        looks: Looks,
        label: Label,
        proud_m: float = PROUD_M,
    ) -> None:
        """Paint a part (shares of its width and height) of one face, `proud_m` in front of it."""
        low, high = self.rings[row], self.rings[row + 1]
        nxt = (edge + 1) % len(low)
        a, b, c, d = low[edge], low[nxt], high[nxt], high[edge]
        outwards = np.cross(b - a, d - a)
        outwards *= proud_m / np.linalg.norm(outwards)

        def at(u: float, v: float) -> Array:
            return (1.0 - v) * ((1.0 - u) * a + u * b) + v * ((1.0 - u) * d + u * c) + outwards

        (u0, u1), (v0, v1) = along, up
        builder.quad([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)], *_args(looks, label))

    def mark_pair(
        self,
        builder: MeshBuilder,
        row: int,
        edges: tuple[int, int],
        along: tuple[float, float],
        up: tuple[float, float],
        looks: Looks,
        label: Label,
        proud_m: float = PROUD_M,
    ) -> None:
        """`mark` on one edge, and its mirror image on another (which may be the same one)."""
        self.mark(builder, row, edges[0], along, up, looks, label, proud_m)
        self.mark(builder, row, edges[1], (1.0 - along[1], 1.0 - along[0]), up, looks, label, proud_m)

    def mark_both(
        self,
        builder: MeshBuilder,
        row: int,
        edge: int,
        along: tuple[float, float],
        up: tuple[float, float],
        looks: Looks,
        label: Label,
    ) -> None:
        """`mark_pair` on the left and on the right of a skin over `outline`s."""
        mirrored = {8: (6, 5, 4, 3, 2, 1, 0, 7), 4: (2, 1, 0, 3)}[len(self.rings[0])]
        self.mark_pair(builder, row, (edge, mirrored[edge]), along, up, looks, label)


def _args(looks: Looks, label: Label) -> tuple[Colour, Label, Material]:
    return looks[0], label, looks[1]


def tube(
    builder: MeshBuilder,
    points: Sequence[Point],
    radii: Sequence[float],
    looks: Looks | list[Looks],
    label: Label,
    *,
    sides: int = 4,
    caps: tuple[bool, bool] = (True, True),
) -> None:
    """A round bar through points in a plane of constant y (or straight); its rings are square to its course."""
    p = [np.asarray(q, dtype=float) for q in points]
    rings = []
    for k, centre in enumerate(p):
        course = p[min(k + 1, len(p) - 1)] - p[max(k - 1, 0)]
        course /= np.linalg.norm(course)
        side = np.array([0.0, 1.0, 0.0]) if abs(course[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
        across = np.cross(side, course)
        across /= np.linalg.norm(across)
        up = np.cross(course, across)
        rings.append(ring(centre, across * radii[k], up * radii[k], sides))
    Skin(tuple(rings)).draw(builder, looks, label, bottom=caps[0], top=caps[1])


def block(
    builder: MeshBuilder,
    low: Point,
    high: Point,
    looks: Looks,
    label: Label,
    *,
    bottom: bool = True,
    top: bool = True,
) -> Skin:
    """An upright box between two corners."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    ends = [np.array([(x1, y0, z), (x1, y1, z), (x0, y1, z), (x0, y0, z)]) for z in (z0, z1)]
    skin = Skin(tuple(ends))
    skin.draw(builder, looks, label, bottom=bottom, top=top)
    return skin


def pillar(
    builder: MeshBuilder,
    centre: Point,
    profile: Sequence[tuple[float, float]],
    looks: Looks | list[Looks],
    label: Label,
    sides: int = 8,
    squeeze: float = 1.0,
) -> None:
    """A body of revolution: (radius, z) from the foot upwards. squeeze: its size in y as a share of that in x."""
    rings = tuple(ring((centre[0], centre[1], z), (r, 0, 0), (0, r * squeeze, 0), sides) for r, z in profile)
    Skin(rings).draw(builder, looks, label)


def wheel(
    builder: MeshBuilder,
    x: float,
    outer: float,
    width: float,
    radius: float,
    label: Label,
    *,
    sides: int = WHEEL_SIDES,
    both: bool = False,
) -> None:
    """A wheel that stands on one of its flats, its outer face at y = outer, with a rim on that face (or on both)."""
    side = 1.0 if outer > 0.0 else -1.0
    corner = radius / np.cos(np.pi / sides)
    low, high = sorted((outer - side * (width - 0.004 * both), outer - side * 0.004))

    def circle(y: float, size: float) -> Array:
        return ring((x, y, radius), (0.0, 0.0, size), (size, 0.0, 0.0), sides)

    Skin((circle(low, corner), circle(high, corner))).draw(builder, TYRE, label)
    fan = np.stack([np.zeros(sides - 2, dtype=int), np.arange(1, sides - 1), np.arange(2, sides)], axis=1)
    for at in (outer, outer - side * width) if both else (outer,):
        builder.add(circle(at, 0.62 * corner), fan if at > low else fan[:, ::-1], *_args(RIM, label))


def arch(builder: MeshBuilder, x: float, y: float, z: float, radius: float, label: Label) -> None:
    """The dark upper half of a disc on a side at constant y: a wheel's arch."""
    side = 1.0 if y > 0.0 else -1.0
    angle = np.arange(7) * (np.pi / 6)
    rim = np.column_stack([x + radius * np.cos(angle), np.full(7, y), z + radius * np.sin(angle)])
    i = np.arange(1, 6)
    fan = np.stack([np.zeros(5, dtype=int), i, i + 1], axis=1)
    # counter-clockwise in (x, z) faces -y
    builder.add(rim, fan if side < 0 else fan[:, ::-1], *_args(TRIM, label))


def hoop(
    builder: MeshBuilder, x: float, z: float, radius: float, thickness: float, label: Label, sides: int = 12
) -> None:
    """A spoked wheel: a thin ring of triangular section in the plane y = 0."""
    angle = np.arange(sides) * (2.0 * np.pi / sides)
    out = np.column_stack([np.cos(angle), np.zeros(sides), np.sin(angle)])
    middle = np.array([x, 0.0, z])
    rim = middle + radius * out
    left, right = (middle + (radius - thickness) * out + [0.0, s * 0.5 * thickness, 0.0] for s in (1.0, -1.0))
    for a, b in ((left, rim), (right, left), (rim, right)):
        i, j = np.arange(sides), (np.arange(sides) + 1) % sides
        faces = np.concatenate([np.stack([i, j, sides + j], axis=1), np.stack([i, sides + j, sides + i], axis=1)])
        builder.add(np.concatenate([a, b]), faces, *_args(TYRE, label))
