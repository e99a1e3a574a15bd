"""Street furniture, road works and loose things. Each stands on z = 0 and is scaled to its blueprint's own size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from carla_bridge.embedded.towns.meshes import MeshBuilder, colour_of
from carla_bridge.embedded.towns.prototypes.parts import (
    GLASS,
    ORANGE,
    PAINT,
    RED,
    STEEL,
    TRIM,
    TYRE,
    WHITE,
    WOOD,
    YELLOW,
    Looks,
    Skin,
    block,
    pillar,
    tube,
)
from carla_bridge.embedded.types import Label, Material

STONE: Looks = (colour_of("#8f8c86"), Material.PLAIN)
SOIL: Looks = (colour_of("#6d5f50"), Material.PLAIN)
STRAW: Looks = (colour_of("#c2a656"), Material.PLAIN)
LEAVES: Looks = (colour_of("#4c7a3a"), Material.FOLIAGE)
WATER: Looks = (colour_of("#5d8796"), Material.GLASS)
POSTER: Looks = (colour_of("#2f6f9f"), Material.PLAIN)
BLUE: Looks = (colour_of("#1f4f9c"), Material.PLAIN)
AMBER: Looks = (colour_of("#f2a71b"), Material.EMISSIVE)
# half length, width, height [m]
EXTENTS: dict[str, tuple[float, float, float]] = {
    "arrow_board": (1.19, 1.44, 1.78),
    "bag": (0.20, 0.20, 0.30),
    "bale": (0.62, 0.60, 0.60),
    "ball": (0.12, 0.12, 0.12),
    "barrel": (0.23, 0.23, 0.40),
    "barrier": (0.61, 0.19, 0.53),
    "bench": (0.77, 0.30, 0.40),
    "billboard": (0.77, 0.14, 1.22),
    "bin": (0.30, 0.29, 0.50),
    "cabinet": (0.40, 0.40, 1.05),
    "case": (0.27, 0.14, 0.45),
    "chain_barrier": (0.75, 0.12, 0.44),
    "chair": (0.30, 0.30, 0.50),
    "cone": (0.30, 0.30, 0.50),
    "container": (0.97, 0.55, 0.86),
    "delineator": (0.23, 0.20, 0.59),
    "fountain": (4.20, 4.20, 3.40),
    "frame": (2.50, 0.70, 1.15),
    "hut": (0.80, 0.80, 1.20),
    "parasol": (1.24, 1.24, 1.24),
    "pergola": (2.50, 2.50, 1.75),
    "planter": (0.40, 0.30, 0.40),
    "post": (0.12, 0.12, 0.44),
    "rubble": (0.93, 0.76, 0.09),
    "shelter": (1.94, 0.95, 1.37),
    "slide": (0.47, 2.06, 0.99),
    "stall": (1.14, 2.32, 1.79),
    "street_sign": (0.60, 0.07, 1.30),
    "table": (0.90, 0.60, 0.42),
    "trolley": (0.34, 0.55, 0.52),
    "warning_sign": (0.65, 0.53, 0.93),
}
Draw = Callable[[MeshBuilder, float, float, float], None]  # builder, half length, half width, height


def _arrow_board(b: MeshBuilder, x: float, y: float, h: float) -> None:
    """A trailer with a board that sends the traffic to one side; it faces -x, the traffic that comes up behind."""
    d = Label.DYNAMIC
    block(b, (-x, -0.5 * y, 0.45), (0.8 * x, 0.5 * y, 0.75), ORANGE, d)
    block(b, (0.8 * x, -0.06, 0.5), (x, 0.06, 0.62), STEEL, d)
    for side in (-1.0, 1.0):
        low, high = sorted((side * 0.5 * y, side * 0.62 * y))
        tube(b, ((0.0, low, 0.32), (0.0, high, 0.32)), (0.32, 0.32), TYRE, d, sides=10)
        block(b, (-0.2 * x, side * 0.4 * y - 0.05, 0.75), (0.0, side * 0.4 * y + 0.05, 1.3), STEEL, d)
    board = block(b, (-0.16 * x, -y, 1.2), (0.0, y, h), TRIM, d)
    board.mark(b, 0, 2, (0.03, 0.97), (0.04, 0.96), ORANGE, d)
    for k in range(5):  # a shaft and a head, as lamps
        board.mark(b, 0, 2, (0.18 + 0.10 * k, 0.24 + 0.10 * k), (0.46, 0.55), AMBER, d, proud_m=0.02)
    for u, dv in ((0.70, 0.12), (0.62, 0.24), (0.54, 0.36)):
        for v in (0.505 - dv, 0.505 + dv):
            board.mark(b, 0, 2, (u - 0.03, u + 0.03), (v - 0.045, v + 0.045), AMBER, d, proud_m=0.02)


def _bag(b: MeshBuilder, x: float, y: float, h: float) -> None:
    profile = [(0.75 * x, 0.0), (x, 0.30 * h), (0.7 * x, 0.66 * h), (0.2 * x, 0.84 * h), (0.32 * x, h)]
    pillar(b, (0, 0), profile, PAINT, Label.DYNAMIC, sides=8)


def _bale(b: MeshBuilder, x: float, y: float, h: float) -> None:
    tube(b, ((0, -y, h / 2), (0, y, h / 2)), (h / 2, h / 2), STRAW, Label.DYNAMIC, sides=14)


def _ball(b: MeshBuilder, x: float, y: float, h: float) -> None:
    profile = [(0.55 * x, 0.0), (x, 0.38 * h), (0.8 * x, 0.76 * h), (0.3 * x, h)]
    pillar(b, (0, 0), profile, PAINT, Label.DYNAMIC, sides=8)


def _barrel(b: MeshBuilder, x: float, y: float, h: float) -> None:
    band = [PAINT, WHITE, PAINT, WHITE, PAINT]
    profile = [(0.97 * x, 0.0), (x, 0.25 * h), (x, 0.42 * h), (x, 0.58 * h), (x, 0.75 * h), (0.97 * x, h)]
    pillar(b, (0, 0), profile, band, Label.DYNAMIC, sides=10)


def _barrier(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    for side in (-0.82, 0.82):
        block(b, (side * x - 0.03, -0.03, 0.06), (side * x + 0.03, 0.03, h - 0.05), STEEL, d)
        block(b, (side * x - 0.10, -y, 0.0), (side * x + 0.10, y, 0.08), TRIM, d)
    for low, high in ((0.66, 0.98), (0.22, 0.50)):
        plank = block(b, (-x, -0.045, low * h), (x, 0.045, high * h), WHITE, d)
        for k in range(3):
            for edge in (1, 3):
                plank.mark(b, 0, edge, ((2 * k + 0.5) / 6.0, (2 * k + 1.5) / 6.0), (0.0, 1.0), RED, d)
    block(b, (-x, -0.02, 0.97 * h), (x, 0.02, h), WHITE, d)


def _bench(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    for side in (-0.8, 0.8):
        block(b, (side * x - 0.04, -0.9 * y, 0.0), (side * x + 0.04, 0.9 * y, 0.5 * h), TRIM, s)
        block(b, (side * x - 0.04, 0.74 * y, 0.5 * h), (side * x + 0.04, 0.9 * y, 0.98 * h), TRIM, s)
    for y0, y1 in ((-1.0, -0.40), (-0.32, 0.18), (0.26, 0.70)):
        block(b, (-x, y0 * y, 0.50 * h), (x, y1 * y, 0.57 * h), WOOD, s)
    for z0, z1 in ((0.66, 0.80), (0.85, 1.0)):
        block(b, (-x, 0.80 * y, z0 * h), (x, y, z1 * h), WOOD, s)


def _billboard(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    block(b, (-0.5 * x, -0.8 * y, 0.0), (0.5 * x, 0.8 * y, 0.22 * h), TRIM, s)
    box = block(b, (-x, -y, 0.2 * h), (x, y, h), STEEL, s)
    for edge in (1, 3):
        box.mark(b, 0, edge, (0.06, 0.94), (0.05, 0.95), POSTER, s)
        box.mark(b, 0, edge, (0.14, 0.86), (0.56, 0.86), YELLOW, s, proud_m=0.012)
        box.mark(b, 0, edge, (0.14, 0.60), (0.16, 0.30), WHITE, s, proud_m=0.012)


def _bin(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    foot, rim = (np.array([(f * x, -f * y), (f * x, f * y), (-f * x, f * y), (-f * x, -f * y)]) for f in (0.74, 0.94))
    Skin((np.column_stack([foot, np.zeros(4)]), np.column_stack([rim, np.full(4, 0.86 * h)]))).draw(b, PAINT, d)
    lid = block(b, (-x, -y, 0.86 * h), (x, y, h), TRIM, d)
    lid.mark(b, 0, 0, (0.2, 0.8), (0.25, 0.75), STEEL, d)


def _cabinet(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    box = block(b, (-x, -y, 0.0), (x, y, h), PAINT, s)
    box.mark(b, 0, 0, (0.12, 0.88), (0.50, 0.92), GLASS, s)
    box.mark(b, 0, 0, (0.20, 0.80), (0.20, 0.30), TRIM, s)
    box.mark(b, 0, 0, (0.0, 1.0), (0.0, 0.06), TRIM, s)


def _case(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    block(b, (-x, -y, 0.04 * h), (x, y, 0.78 * h), PAINT, d)
    block(b, (-0.9 * x, -0.8 * y, 0.0), (0.9 * x, 0.8 * y, 0.05 * h), TRIM, d)
    for side in (-0.4, 0.4):
        block(b, (side * x - 0.015, -0.02, 0.78 * h), (side * x + 0.015, 0.02, 0.97 * h), STEEL, d)
    block(b, (-0.45 * x, -0.025, 0.95 * h), (0.45 * x, 0.025, h), TRIM, d)


def _chain_barrier(b: MeshBuilder, x: float, y: float, h: float) -> None:
    f = Label.FENCES
    for side in (-1.0, 1.0):
        pillar(b, (side * (x - y), 0.0), [(y, 0.0), (0.6 * y, 0.08 * h), (0.5 * y, 0.9 * h), (0.7 * y, h)], TRIM, f, 6)
    reach = x - y
    sag = [(-reach, 0, 0.82 * h), (-0.5 * reach, 0, 0.60 * h), (0.5 * reach, 0, 0.60 * h), (reach, 0, 0.82 * h)]
    tube(b, sag, (0.03,) * 4, STEEL, f)


def _chair(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    for sx in (-1.0, 1.0):
        for sy in (-1.0, 1.0):
            px, py = sx * (x - 0.03), sy * (y - 0.03)
            top = h if sx < 0 else 0.46 * h
            block(b, (px - 0.03, py - 0.03, 0.0), (px + 0.03, py + 0.03, top), PAINT, d)
    block(b, (-x + 0.02, -y + 0.02, 0.42 * h), (x - 0.01, y - 0.02, 0.47 * h), PAINT, d)
    block(b, (-x, -y + 0.05, 0.58 * h), (-x + 0.06, y - 0.05, 0.97 * h), PAINT, d)


def _cone(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    block(b, (-x, -y, 0.0), (x, y, 0.06 * h), TRIM, d)
    rows = [(0.78, 0.06), (0.50, 0.45), (0.34, 0.68), (0.10, 1.0)]
    pillar(b, (0, 0), [(r * x * 0.9, z * h) for r, z in rows], [ORANGE, WHITE, ORANGE], d, sides=6)


def _container(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    foot = np.array([(0.9 * x, -0.84 * y), (0.9 * x, 0.84 * y), (-0.9 * x, 0.84 * y), (-0.9 * x, -0.84 * y)])
    rim = np.array([(x, -0.98 * y), (x, 0.98 * y), (-x, 0.98 * y), (-x, -0.98 * y)])
    body = Skin((np.column_stack([foot, np.full(4, 0.10 * h)]), np.column_stack([rim, np.full(4, 0.80 * h)])))
    body.draw(b, PAINT, d)
    for k in range(4):
        for edge in (1, 3):
            body.mark(b, 0, edge, (0.12 + 0.22 * k, 0.15 + 0.22 * k), (0.05, 0.95), TRIM, d)
    lid = np.array([(0.96 * x, -0.6 * y), (0.96 * x, 0.6 * y), (-0.96 * x, 0.6 * y), (-0.96 * x, -0.6 * y)])
    edge_ring = np.column_stack([rim * [1.0, 1.0 / 0.98], np.full(4, 0.80 * h)])
    Skin((edge_ring, np.column_stack([lid, np.full(4, h)]))).draw(b, TRIM, d)
    for sx in (-0.7, 0.7):
        for sy in (-0.6, 0.6):
            block(b, (sx * x - 0.07, sy * y - 0.04, 0.0), (sx * x + 0.07, sy * y + 0.04, 0.12 * h), TYRE, d)


def _delineator(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    block(b, (-x, -y, 0.0), (x, y, 0.08 * h), TRIM, d)
    rows = [(0.34, 0.08), (0.30, 0.40), (0.29, 0.55), (0.28, 0.70), (0.27, 0.85), (0.24, 1.0)]
    pillar(b, (0, 0), [(r * x, z * h) for r, z in rows], [ORANGE, WHITE, ORANGE, WHITE, ORANGE], d, sides=6)


def _fountain(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    pillar(b, (0, 0), [(x, 0.0), (x, 0.12 * h)], STONE, s, sides=12)
    pillar(b, (0, 0), [(0.90 * x, 0.115 * h), (0.90 * x, 0.125 * h)], WATER, s, sides=12)
    stem = [
        (0.18, 0.10),
        (0.10, 0.30),
        (0.45, 0.46),
        (0.45, 0.50),
        (0.08, 0.50),
        (0.06, 0.76),
        (0.22, 0.86),
        (0.04, 1.0),
    ]
    pillar(b, (0, 0), [(r * x, z * h) for r, z in stem], STONE, s, sides=8)


def _frame(b: MeshBuilder, x: float, y: float, h: float) -> None:
    """Two trestles under a beam: a swing, a clothes line."""
    s = Label.STATIC
    for side in (-0.94, 0.94):
        for foot in (-1.0, 1.0):
            tube(b, ((side * x, foot * (y - 0.05), 0.0), (side * x, foot * 0.04, h - 0.05)), (0.05, 0.05), PAINT, s)
    block(b, (-x, -0.06, h - 0.12), (x, 0.06, h), PAINT, s)
    for at in (-0.45, 0.45):
        block(b, (at * x - 0.30, -0.12, 0.24 * h), (at * x + 0.30, 0.12, 0.27 * h), WOOD, s)
        for end in (-0.28, 0.28):
            block(b, (at * x + end - 0.01, -0.01, 0.26 * h), (at * x + end + 0.01, 0.01, h - 0.1), STEEL, s)


def _hut(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    body = block(b, (-0.88 * x, -0.88 * y, 0.0), (0.88 * x, 0.88 * y, 0.72 * h), PAINT, s)
    body.mark(b, 0, 0, (0.2, 0.8), (0.45, 0.9), TRIM, s)
    eaves = np.array([(x, -y), (x, y), (-x, y), (-x, -y)])
    ridge = np.array([(x, -0.06 * y), (x, 0.06 * y), (-x, 0.06 * y), (-x, -0.06 * y)])
    roof = (np.column_stack([eaves, np.full(4, 0.70 * h)]), np.column_stack([ridge, np.full(4, h)]))
    Skin(roof).draw(b, TRIM, s)


def _parasol(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    pillar(b, (0, 0), [(0.20 * x, 0.0), (0.03 * x, 0.03 * h), (0.03 * x, 0.9 * h)], STEEL, d, sides=6)
    pillar(b, (0, 0), [(0.50 * x, 0.28 * h), (0.50 * x, 0.30 * h)], WHITE, d, sides=10)
    pillar(b, (0, 0), [(x, 0.80 * h), (0.60 * x, 0.93 * h), (0.04 * x, h)], PAINT, d, sides=10)


def _pergola(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    for sx in (-0.86, 0.86):
        for sy in (-0.86, 0.86):
            block(b, (sx * x - 0.08, sy * y - 0.08, 0.0), (sx * x + 0.08, sy * y + 0.08, 0.92 * h), WOOD, s)
        block(b, (sx * x - 0.06, -y, 0.90 * h), (sx * x + 0.06, y, 0.96 * h), WOOD, s)
    for k in range(6):
        at = (-0.9 + 0.36 * k) * y
        block(b, (-x, at - 0.05, 0.96 * h), (x, at + 0.05, h), WOOD, s)


def _planter(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    foot, rim = (np.array([(f * x, -f * y), (f * x, f * y), (-f * x, f * y), (-f * x, -f * y)]) for f in (0.8, 1.0))
    pot = (np.column_stack([foot, np.zeros(4)]), np.column_stack([rim, np.full(4, 0.52 * h)]))
    Skin(pot).draw(b, STONE, d)
    pillar(b, (0, 0), [(0.86 * x, 0.52 * h), (0.9 * x, 0.78 * h), (0.45 * x, h)], LEAVES, d, sides=8, squeeze=y / x)


def _post(b: MeshBuilder, x: float, y: float, h: float) -> None:
    profile = [(x, 0.0), (0.6 * x, 0.08 * h), (0.5 * x, 0.88 * h), (0.75 * x, 0.94 * h), (0.3 * x, h)]
    pillar(b, (0, 0), profile, PAINT, Label.STATIC, sides=8)


def _rubble(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    pillar(b, (0, 0), [(x, 0.0), (0.7 * x, 0.45 * h), (0.25 * x, 0.75 * h)], SOIL, d, sides=9, squeeze=y / x)
    for at_x, at_y, size, top in ((0.42, 0.30, 0.10, 1.0), (-0.30, -0.42, 0.12, 0.9), (-0.5, 0.25, 0.08, 0.8)):
        corner = (at_x * x - size * x, at_y * y - size * y, 0.0)
        block(b, corner, (at_x * x + size * x, at_y * y + size * y, top * h), STONE, d)


def _shelter(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    block(b, (-x, -y, 0.94 * h), (x, y, h), TRIM, s)
    for sx in (-0.94, 0.94):
        for sy in (-0.8, 0.8):
            block(b, (sx * x - 0.05, sy * y - 0.05, 0.0), (sx * x + 0.05, sy * y + 0.05, 0.94 * h), STEEL, s)
        block(b, (sx * x - 0.02, -0.75 * y, 0.10 * h), (sx * x + 0.02, 0.75 * y, 0.88 * h), GLASS, s)
    block(b, (-0.9 * x, 0.79 * y, 0.10 * h), (0.9 * x, 0.83 * y, 0.88 * h), GLASS, s)
    block(b, (-0.6 * x, 0.30 * y, 0.16 * h), (0.6 * x, 0.72 * y, 0.19 * h), WOOD, s)
    for sx in (-0.5, 0.5):
        block(b, (sx * x - 0.04, 0.4 * y, 0.0), (sx * x + 0.04, 0.6 * y, 0.16 * h), STEEL, s)


def _slide(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    course = [(0.0, -y, 0.10 * h), (0.0, -0.7 * y, 0.14 * h), (0.0, 0.45 * y, 0.80 * h), (0.0, 0.7 * y, 0.80 * h)]
    for side in (-1.0, 1.0):
        edge = side * (x - 0.05)
        tube(b, [(edge, p[1], p[2]) for p in course], (0.05,) * 4, RED, s)
        block(b, (edge - 0.04, 0.86 * y, 0.0), (edge + 0.04, y, h), STEEL, s)
        block(b, (edge - 0.04, 0.50 * y, 0.0), (edge + 0.04, 0.56 * y, 0.8 * h), STEEL, s)
    level = [np.array([(-0.9 * x, p[1], p[2]), (0.9 * x, p[1], p[2])]) for p in course]
    under = np.array([0.0, 0.0, 0.06])
    rings = tuple(np.array([top[0], top[1], top[1] - under, top[0] - under]) for top in level)
    Skin(rings).draw(b, YELLOW, s)
    for k in range(4):
        z = (0.15 + 0.2 * k) * h
        block(b, (-x + 0.05, 0.9 * y, z), (x - 0.05, 0.96 * y, z + 0.05), STEEL, s)


def _stall(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.STATIC
    counter = block(b, (-0.75 * x, -0.9 * y, 0.12 * h), (0.6 * x, 0.9 * y, 0.36 * h), PAINT, s)
    counter.mark(b, 0, 0, (0.0, 1.0), (0.55, 0.8), WHITE, s)
    for sy in (-0.85, 0.85):
        for sx in (-0.7, 0.55):
            block(b, (sx * x - 0.04, sy * y - 0.04, 0.0), (sx * x + 0.04, sy * y + 0.04, 0.86 * h), STEEL, s)
    eaves = np.array([(x, -y), (x, y), (-x, y), (-x, -y)])
    ridge = np.array([(-0.5 * x, -0.9 * y), (-0.5 * x, 0.9 * y), (-0.7 * x, 0.9 * y), (-0.7 * x, -0.9 * y)])
    canopy = Skin((np.column_stack([eaves, np.full(4, 0.82 * h)]), np.column_stack([ridge, np.full(4, h)])))
    canopy.draw(b, PAINT, s)
    for k in range(4):
        canopy.mark(b, 0, 0, (0.125 + 0.25 * k - 0.06, 0.125 + 0.25 * k + 0.06), (0.0, 1.0), WHITE, s)


def _street_sign(b: MeshBuilder, x: float, y: float, h: float) -> None:
    s = Label.TRAFFIC_SIGNS
    pillar(b, (0, 0), [(0.6 * y, 0.0), (0.5 * y, h - 0.02)], STEEL, s, sides=6)
    board = block(b, (-x, -y, 0.74 * h), (x, y, h), WHITE, s)
    for edge in (1, 3):
        board.mark(b, 0, edge, (0.03, 0.97), (0.08, 0.92), BLUE, s)
        board.mark(b, 0, edge, (0.15, 0.85), (0.38, 0.62), WHITE, s, proud_m=0.012)


def _table(b: MeshBuilder, x: float, y: float, h: float) -> None:
    d = Label.DYNAMIC
    block(b, (-x, -0.6 * y, 0.92 * h), (x, 0.6 * y, h), WOOD, d)
    for side in (-1.0, 1.0):
        low, high = sorted((side * 0.72 * y, side * y))
        block(b, (-x, low, 0.52 * h), (x, high, 0.58 * h), WOOD, d)
    for sx in (-0.7, 0.7):
        block(b, (sx * x - 0.05, -0.85 * y, 0.40 * h), (sx * x + 0.05, 0.85 * y, 0.52 * h), WOOD, d)
        for sy in (-0.35, 0.35):
            block(b, (sx * x - 0.05, sy * y - 0.05, 0.0), (sx * x + 0.05, sy * y + 0.05, 0.92 * h), WOOD, d)


def _trolley(b: MeshBuilder, x: float, y: float, h: float) -> None:
    """A shopping cart along y: a basket of bars on a frame with four wheels."""
    d = Label.DYNAMIC
    for sx in (-0.8, 0.8):
        for sy in (-0.8, 0.7):
            block(b, (sx * x - 0.03, sy * y - 0.06, 0.0), (sx * x + 0.03, sy * y + 0.06, 0.12), TYRE, d)
        block(b, (sx * x - 0.02, -0.8 * y, 0.12), (sx * x + 0.02, 0.8 * y, 0.16), STEEL, d)
        tube(b, ((sx * x, 0.6 * y, 0.14), (sx * x, 0.72 * y, 0.94 * h)), (0.025, 0.025), STEEL, d)
    low, high = 0.42 * h, 0.84 * h
    foot = np.array([(0.8 * x, -0.7 * y), (0.8 * x, 0.7 * y), (-0.8 * x, 0.7 * y), (-0.8 * x, -0.7 * y)])
    rim = np.array([(x, -y), (x, 0.8 * y), (-x, 0.8 * y), (-x, -y)])
    basket = Skin((np.column_stack([foot, np.full(4, low)]), np.column_stack([rim, np.full(4, high)])))
    basket.draw(b, STEEL, d)
    for edge in range(4):
        for k in range(2):
            basket.mark(b, 0, edge, (0.06 + 0.48 * k, 0.46 + 0.48 * k), (0.1, 0.9), TRIM, d)
    block(b, (-x, 0.70 * y, 0.93 * h), (x, y, h), RED, d)


def _warning_sign(b: MeshBuilder, x: float, y: float, h: float) -> None:
    """A red and white triangle on trestles, to be read from the front and from behind."""
    d = Label.DYNAMIC
    for foot in (-1.0, 1.0):
        for side in (-0.55, 0.55):
            tube(b, ((foot * 0.05, side * y, 0.5 * h), (foot * (x - 0.04), side * y, 0.0)), (0.04, 0.03), STEEL, d)
        block(b, (foot * 0.05 - 0.03, -0.58 * y, 0.42 * h), (foot * 0.05 + 0.03, 0.58 * y, 0.46 * h), STEEL, d)
    for looks, size, half in ((RED, 1.0, 0.030), (WHITE, 0.68, 0.036), (YELLOW, 0.40, 0.040)):
        middle = 0.36 * h + 0.213 * h
        corners = [
            (-size * y, middle - 0.213 * h * size),
            (size * y, middle - 0.213 * h * size),
            (0.0, middle + 0.427 * h * size),
        ]
        back, front = (np.array([(at, p, z) for p, z in corners]) for at in (-half, half))
        Skin((back, front)).draw(b, looks, d)


_DRAW: dict[str, Draw] = {
    name.removeprefix("_"): draw
    for name, draw in {
        "arrow_board": _arrow_board, "bag": _bag, "bale": _bale, "ball": _ball, "barrel": _barrel, "barrier": _barrier,
        "bench": _bench, "billboard": _billboard, "bin": _bin, "cabinet": _cabinet, "case": _case,
        "chain_barrier": _chain_barrier, "chair": _chair, "cone": _cone, "container": _container,
        "delineator": _delineator, "fountain": _fountain, "frame": _frame, "hut": _hut, "parasol": _parasol,
        "pergola": _pergola, "planter": _planter, "post": _post, "rubble": _rubble, "shelter": _shelter,
        "slide": _slide, "stall": _stall, "street_sign": _street_sign, "table": _table, "trolley": _trolley,
        "warning_sign": _warning_sign,
    }.items()
}  # fmt: skip


def draw_prop(builder: MeshBuilder, name: str) -> None:
    x, y, z = EXTENTS[name]
    _DRAW[name](builder, x, y, 2.0 * z)
