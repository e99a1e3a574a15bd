"""Lorries, emergency vehicles, buses and the angular pickup. Dimensions are typical of the class, not of a make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from carla_bridge.embedded.towns.meshes import MeshBuilder, colour_of
from carla_bridge.embedded.towns.prototypes.cars import FRONT, FRONT_CORNER, LEFT, REAR, bar
from carla_bridge.embedded.towns.prototypes.parts import (
    GLASS,
    HEADLAMP,
    INDICATOR,
    ORANGE,
    PAINT,
    PLATE,
    STEEL,
    TAILLAMP,
    TRIM,
    YELLOW,
    Looks,
    Skin,
    arch,
    block,
    outline,
    wheel,
)
from carla_bridge.embedded.types import Label, Material

CARGO: Looks = ((0.86, 0.86, 0.84), Material.PLAIN)
SHUTTER: Looks = (colour_of("#a8acb0"), Material.PLAIN)
EXTENTS: dict[str, tuple[float, float, float]] = {
    "truck": (3.60, 1.20, 1.55),
    "hgv": (3.97, 1.275, 1.73),
    "firetruck": (4.23, 1.275, 1.91),
    "ambulance": (3.18, 1.10, 1.22),
    "bus": (5.14, 1.275, 1.70),
    "pickup": (3.14, 1.19, 1.05),
}
CORNER = (0.12, 0.10)  # [m] cut off a cab's corners


def _shell(front: float, rear: float, rows: Sequence[tuple[float, float, float]], chamfer: tuple[float, float]) -> Skin:
    """An upright body: rows of (z, half width, how much shorter the front is)."""
    return Skin(tuple(outline(front - inset, rear, width, z, chamfer) for z, width, inset in rows))


def _wheels(builder: MeshBuilder, axles: Sequence[float], width: float, radius: float, label: Label) -> None:
    for x in axles:
        for side in (-1.0, 1.0):
            wheel(builder, x, side * width, 0.30, radius, label)


def _arches(builder: MeshBuilder, axles: Sequence[float], side_y: float, radius: float, label: Label) -> None:
    for x in axles:
        for side in (-1.0, 1.0):
            arch(builder, x, side * (side_y + 0.005), radius, 1.15 * radius, label)


def _front_lamps(builder: MeshBuilder, shell: Skin, row: int, up: tuple[float, float], label: Label) -> None:
    shell.mark_both(builder, row, FRONT, (0.02, 0.20), up, HEADLAMP, label)
    shell.mark_both(builder, row, FRONT_CORNER, (0.1, 0.9), up, INDICATOR, label)


def _rear_lamps(builder: MeshBuilder, shell: Skin, row: int, edge: int, up: tuple[float, float], label: Label) -> None:
    for (low, high), looks in (((0.02, 0.12), TAILLAMP), ((0.13, 0.19), INDICATOR)):
        shell.mark_pair(builder, row, (edge, edge), (low, high), up, looks, label)
    shell.mark(builder, row, edge, (0.42, 0.58), up, PLATE, label)


def _cab(builder: MeshBuilder, front: float, rear: float, width: float, z: tuple[float, float], label: Label) -> None:
    """A lorry's cab over its engine: windscreen, side windows, grille and lamps."""
    low, high = z
    waist = low + 0.46 * (high - low)
    cab = _shell(front, rear, [(low, width, 0.0), (waist, width, 0.0), (high, 0.97 * width, 0.10)], CORNER)
    cab.draw(builder, PAINT, label)
    cab.mark(builder, 1, FRONT, (0.0, 1.0), (0.06, 0.80), GLASS, label)
    cab.mark_both(builder, 1, LEFT, (0.06, 0.62), (0.06, 0.72), GLASS, label)
    cab.mark(builder, 0, FRONT, (0.14, 0.86), (0.42, 0.86), TRIM, label)
    cab.mark(builder, 0, FRONT, (0.0, 1.0), (0.0, 0.12), TRIM, label)
    cab.mark_both(builder, 0, LEFT, (0.665, 0.675), (0.1, 1.0), TRIM, label)
    _front_lamps(builder, cab, 0, (0.16, 0.34), label)
    for side in (-1.0, 1.0):
        y0, y1 = sorted((side * 0.985 * width, side * (width + 0.12)))
        block(builder, (front - 0.34, y0, waist + 0.1), (front - 0.24, y1, waist + 0.55), TRIM, label)


def _lorry(builder: MeshBuilder, name: str) -> None:
    ex, ey, ez = EXTENTS[name]
    label, height = Label.TRUCK, 2.0 * ez
    radius = 0.48 if name == "truck" else 0.50
    axles = (0.66 * ex, -0.46 * ex, -0.74 * ex) if name == "truck" else (0.68 * ex, -0.40 * ex, -0.70 * ex)
    body = ey if name == "truck" else ey - 0.02
    block(builder, (-ex + 0.05, -0.45 * ey, 0.5), (0.6 * ex, 0.45 * ey, 0.95), TRIM, label)
    _cab(builder, ex, 0.54 * ex, ey - 0.12, (0.42, (0.84 if name == "truck" else 0.90) * height), label)
    box = _shell(0.49 * ex, -ex, [(0.92, body, 0.0), (height, body, 0.0)], (0.0, 0.0))
    box.draw(builder, CARGO, label)
    box.mark_both(builder, 0, 0, (0.06, 0.94), (0.30, 0.52), PAINT, label)
    box.mark(builder, 0, 1, (0.492, 0.508), (0.04, 0.98), TRIM, label)
    # a guard and a bumper below the body
    guard = block(builder, (-ex, -0.94 * ey, 0.52), (-ex + 0.10, 0.94 * ey, 0.80), TRIM, label)
    _rear_lamps(builder, guard, 0, 2, (0.2, 0.8), label)
    for side in (-1.0, 1.0):
        y0, y1 = sorted((side * (ey - 0.06), side * (ey - 0.02)))
        block(builder, (-0.36 * ex + radius, y0, 0.50), (0.60 * ex - radius, y1, 0.84), STEEL, label)
    _wheels(builder, axles, ey - 0.03, radius, label)


def _firetruck(builder: MeshBuilder, name: str) -> None:
    ex, ey, ez = EXTENTS[name]
    label, roof = Label.TRUCK, 2.0 * ez - 0.55
    _cab(builder, ex, 0.30 * ex, ey - 0.12, (0.42, roof - 0.1), label)
    body = _shell(0.29 * ex, -ex, [(0.50, ey, 0.0), (1.05, ey, 0.0), (roof, ey, 0.0)], (0.0, 0.0))
    body.draw(builder, PAINT, label)
    for along in ((0.05, 0.32), (0.36, 0.63), (0.67, 0.95)):
        body.mark_both(builder, 1, 0, along, (0.06, 0.86), SHUTTER, label)
    body.mark_both(builder, 0, 0, (0.0, 1.0), (0.80, 1.0), YELLOW, label)
    body.mark(builder, 1, 1, (0.25, 0.75), (0.06, 0.86), SHUTTER, label)
    _rear_lamps(builder, body, 0, 1, (0.35, 0.65), label)
    # the ladder on the roof: two beams and their rungs
    for side in (-0.34, 0.34):
        block(builder, (-ex + 0.1, side - 0.05, roof + 0.18), (0.62 * ex, side + 0.05, roof + 0.36), STEEL, label)
    for x in np.linspace(-0.9 * ex, 0.55 * ex, 7).tolist():
        block(builder, (x - 0.04, -0.30, roof + 0.22), (x + 0.04, 0.30, roof + 0.30), STEEL, label)
    block(builder, (-0.5 * ex, -0.4, roof), (-0.3 * ex, 0.4, roof + 0.2), STEEL, label)
    bar(builder, 0.78 * ex, roof - 0.11, 0.80, 0.26, label)
    block(builder, (0.0, -0.3, roof + 0.36), (0.3, 0.3, 2.0 * ez), TRIM, label)
    axles = (0.66 * ex, -0.46 * ex)
    _wheels(builder, axles, ey, 0.52, label)
    _arches(builder, axles[1:], ey, 0.52, label)


def _ambulance(builder: MeshBuilder, name: str) -> None:
    ex, ey, ez = EXTENTS[name]
    label, roof = Label.CAR, 2.0 * ez - 0.16
    width = ey - 0.10
    nose = Skin(
        tuple(
            outline(front * ex, 0.10 * ex, w * width, z, (0.22, 0.14))
            for z, front, w in ((0.34, 0.98, 0.96), (0.72, 1.0, 1.0), (1.16, 0.95, 0.97))
        )
    )
    nose.draw(builder, PAINT, label)
    _front_lamps(builder, nose, 1, (0.15, 0.55), label)
    nose.mark(builder, 0, FRONT, (0.2, 0.8), (0.3, 0.95), TRIM, label)
    cabin = Skin((outline(0.76 * ex, 0.10 * ex, 0.92 * width, 1.16), outline(0.50 * ex, 0.10 * ex, 0.84 * width, 1.92)))
    cabin.draw(builder, GLASS, label, bottom=False)
    cabin.mark_both(builder, 0, 0, (0.0, 0.05), (0.0, 1.0), PAINT, label)
    cabin.mark_both(builder, 0, 0, (0.62, 1.0), (0.0, 1.0), PAINT, label)
    block(builder, (0.12 * ex, -0.84 * width, 1.92), (0.50 * ex, 0.84 * width, 2.0), PAINT, label)
    box = _shell(0.26 * ex, -ex, [(0.42, ey, 0.0), (1.05, ey, 0.0), (1.35, ey, 0.0), (roof, ey, 0.0)], (0.0, 0.0))
    box.draw(builder, [PAINT, ORANGE, PAINT], label)
    box.mark_both(builder, 2, 0, (0.12, 0.40), (0.15, 0.75), GLASS, label)
    box.mark_both(builder, 2, 1, (0.10, 0.44), (0.1, 0.75), GLASS, label)
    box.mark(builder, 2, 1, (0.495, 0.505), (0.0, 0.95), TRIM, label)
    _rear_lamps(builder, box, 0, 1, (0.3, 0.6), label)
    bar(builder, 0.18 * ex, roof - 0.01, 0.80, 0.17, label)
    bar(builder, -0.90 * ex, roof - 0.01, 0.80, 0.17, label)
    axles = (0.62 * ex, -0.56 * ex)
    _wheels(builder, axles[:1], width, 0.38, label)
    _wheels(builder, axles[1:], ey, 0.38, label)
    _arches(builder, axles[1:], ey, 0.38, label)
    _arches(builder, axles[:1], width, 0.38, label)


def _bus(builder: MeshBuilder, name: str) -> None:
    ex, ey, ez = EXTENTS[name]
    label, height = Label.BUS, 2.0 * ez
    shell = _shell(
        ex,
        -ex,
        [(0.32, 0.98 * ey, 0.05), (1.25, ey - 0.01, 0.0), (0.86 * height, ey - 0.03, 0.10), (height, 0.90 * ey, 0.30)],
        (0.18, 0.14),
    )
    shell.draw(builder, PAINT, label)
    for k in range(7):  # side windows, between pillars
        if k:
            shell.mark_both(builder, 1, LEFT, (0.02 + 0.137 * k, 0.147 + 0.137 * k), (0.06, 0.90), GLASS, label)
    # the driver's window on the left; on the right, where people get in, doors down to the step
    shell.mark(builder, 1, LEFT, (0.02, 0.147), (0.06, 0.90), GLASS, label)
    right = 5
    for row, up in ((0, (0.08, 1.0)), (1, (0.0, 0.94))):
        shell.mark(builder, row, right, (0.86, 0.975), up, GLASS, label, proud_m=0.012)
        shell.mark(builder, row, right, (0.914, 0.920), up, TRIM, label, proud_m=0.018)
    shell.mark(builder, 1, FRONT, (0.0, 1.0), (0.0, 0.94), GLASS, label)
    shell.mark_both(builder, 1, FRONT_CORNER, (0.0, 1.0), (0.0, 0.94), GLASS, label)
    shell.mark(builder, 1, REAR, (0.06, 0.94), (0.25, 0.90), GLASS, label)
    shell.mark(builder, 2, FRONT, (0.15, 0.85), (0.1, 0.7), TRIM, label)
    shell.mark(builder, 2, FRONT, (0.25, 0.75), (0.2, 0.6), (colour_of("#f0a820"), Material.EMISSIVE), label, 0.012)
    shell.mark_both(builder, 0, LEFT, (0.0, 1.0), (0.62, 0.80), (colour_of("#2c5f9e"), Material.PLAIN), label)
    _front_lamps(builder, shell, 0, (0.30, 0.48), label)
    _rear_lamps(builder, shell, 0, REAR, (0.36, 0.56), label)
    axles = (0.58 * ex, -0.56 * ex)
    _wheels(builder, axles, ey, 0.48, label)
    _arches(builder, axles, ey - 0.01, 0.48, label)


def _pickup(builder: MeshBuilder, name: str) -> None:
    """A wedge of flat steel: one line from the nose up to the roof, one from there down to the tail."""
    ex, ey, ez = EXTENTS[name]
    label, height = Label.TRUCK, 2.0 * ez
    lower = Skin(
        (
            outline(0.96 * ex, -0.97 * ex, 0.92 * ey, 0.42, (0.20, 0.14)),
            outline(ex, -ex, 0.965 * ey, 0.80, (0.20, 0.14)),
            outline(0.97 * ex, -ex, 0.93 * ey, 1.06, (0.20, 0.14)),
        )
    )
    lower.draw(builder, PAINT, label)
    # the cabin's side is a triangle: nose, apex, tail
    apex, width = 0.06 * ex, 0.91 * ey
    base = np.array(
        [[0.90 * ex, width, 1.06], [-0.98 * ex, width, 1.24], [-0.98 * ex, -width, 1.24], [0.90 * ex, -width, 1.06]]
    )
    crest = np.array(
        [
            [apex + 0.25, 0.70 * ey, height],
            [apex - 0.25, 0.70 * ey, height],
            [apex - 0.25, -0.70 * ey, height],
            [apex + 0.25, -0.70 * ey, height],
        ]
    )
    foot = base.copy()
    foot[:, 2] = 1.05
    Skin((foot, base)).draw(builder, PAINT, label, bottom=False, top=False)
    wedge = Skin((base, crest))
    wedge.draw(builder, PAINT, label, bottom=False)
    wedge.mark(builder, 0, 3, (0.05, 0.95), (0.30, 0.97), GLASS, label)
    wedge.mark_both(builder, 0, 0, (0.22, 0.50), (0.12, 0.86), GLASS, label)
    wedge.mark_both(builder, 0, 0, (0.52, 0.64), (0.12, 0.80), GLASS, label)
    lower.mark(builder, 1, FRONT, (0.0, 1.0), (0.45, 0.75), HEADLAMP, label)
    lower.mark_both(builder, 1, FRONT_CORNER, (0.0, 0.7), (0.45, 0.75), INDICATOR, label)
    lower.mark(builder, 1, REAR, (0.12, 0.88), (0.5, 0.8), TAILLAMP, label)
    lower.mark_both(builder, 1, REAR, (0.0, 0.10), (0.5, 0.8), INDICATOR, label)
    lower.mark(builder, 0, REAR, (0.38, 0.62), (0.3, 0.8), PLATE, label)
    lower.mark_both(builder, 0, LEFT, (0.0, 1.0), (0.0, 0.5), TRIM, label)
    axles = (0.62 * ex, -0.60 * ex)
    _wheels(builder, axles, ey, 0.44, label)
    _arches(builder, axles, 0.965 * ey, 0.44, label)


def draw_heavy(builder: MeshBuilder, name: str) -> None:
    draw = {
        "truck": _lorry,
        "hgv": _lorry,
        "firetruck": _firetruck,
        "ambulance": _ambulance,
        "bus": _bus,
        "pickup": _pickup,
    }[name]
    draw(builder, name)
