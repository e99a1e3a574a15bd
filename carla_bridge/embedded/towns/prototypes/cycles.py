"""Motorcycles, scooters and bicycles, with the people on them."""

from __future__ import annotations

import numpy as np

from carla_bridge.embedded.towns.meshes import MeshBuilder, colour_of
from carla_bridge.embedded.towns.prototypes.parts import (
    HEADLAMP,
    INDICATOR,
    PAINT,
    PLATE,
    STEEL,
    TAILLAMP,
    TRIM,
    TYRE,
    Looks,
    Skin,
    block,
    hoop,
    ring,
    tube,
    wheel,
)
from carla_bridge.embedded.towns.prototypes.people import Build, Joints, draw_figure
from carla_bridge.embedded.types import Label, Material

EXTENTS: dict[str, tuple[float, float, float]] = {
    "motorbike": (1.08, 0.37, 0.81),
    "scooter": (0.88, 0.35, 0.82),
    "bicycle": (0.84, 0.30, 0.87),
}
_LEATHER = Build(1.78, 0.112, 1.0, colour_of("#1f2126"), colour_of("#c99a7c"), colour_of("#33241b"))
_CASUAL = Build(1.74, 0.108, 0.95, colour_of("#36435c"), colour_of("#d0a080"), colour_of("#4a3320"))
_HELMET: Looks = (colour_of("#d7d9da"), Material.PLAIN)
SADDLE: Looks = TRIM


def _seated(
    build: Build,
    seat: tuple[float, float],
    grip: tuple[float, float, float],
    feet: tuple[float, float, float],
    lean: float,
) -> Joints:
    """Somebody on a saddle. seat: x, z of the hips; grip and feet: x, half distance apart, z; lean: of the back [rad].

    Knees and elbows follow from the lengths of the limbs: the third corner of a triangle, knees bent forwards and
    elbows backwards and outwards.
    """
    h = build.height_m
    pelvis = np.array([seat[0], 0.0, seat[1]])
    back = np.array([np.sin(lean), 0.0, np.cos(lean)])
    neck = pelvis + 0.29 * h * back
    head = neck + 0.055 * h * back + np.array([0.02, 0.0, 0.045 * h])
    pairs: dict[str, list[np.ndarray]] = {key: [] for key in ("hip", "knee", "ankle", "shoulder", "elbow", "hand")}
    for side in (-1.0, 1.0):
        hip = pelvis + np.array([0.0, side * 0.05 * h, 0.0])
        ankle = np.array([feet[0], side * feet[1], feet[2]])
        shoulder = pelvis + 0.28 * h * back + [0.0, side * (build.half_width + 0.01) * h, 0.0]
        hand = np.array([grip[0], side * grip[1], grip[2]])
        pairs["hip"].append(hip)
        pairs["ankle"].append(ankle)
        pairs["knee"].append(_bend(hip, ankle, 0.245 * h, 0.246 * h, np.array([1.0, side * 0.25, 0.25])))
        pairs["shoulder"].append(shoulder)
        pairs["hand"].append(hand)
        pairs["elbow"].append(_bend(shoulder, hand, 0.186 * h, 0.17 * h, np.array([-0.4, side * 0.6, -0.7])))
    joined = {key: (points[0], points[1]) for key, points in pairs.items()}
    return Joints(
        pelvis, neck, head, joined["hip"], joined["knee"], joined["ankle"],
        joined["shoulder"], joined["elbow"], joined["hand"],
    )  # fmt: skip


def _bend(a: np.ndarray, b: np.ndarray, first: float, second: float, towards: np.ndarray) -> np.ndarray:
    """The joint between two limbs of these lengths that reach from a to b, bent to one side; straight if too far."""
    line = b - a
    distance = min(float(np.linalg.norm(line)), 0.999 * (first + second))
    line = line / np.linalg.norm(line)
    along = (distance**2 + first**2 - second**2) / (2.0 * distance)
    off = np.sqrt(max(0.0, first**2 - along**2))
    aside = towards - (towards @ line) * line
    return a + along * line + off * aside / np.linalg.norm(aside)


def _bars(builder: MeshBuilder, x: float, half: float, z: float, label: Label) -> None:
    tube(builder, ((x, -half, z), (x, half, z)), (0.018, 0.018), TRIM, label)


def _lamps(builder: MeshBuilder, front: float, rear: float, z: tuple[float, float], label: Label) -> None:
    """Head lamp and tail lamp, each between its indicators; a plate below the tail lamp. z: in front, behind."""
    face = block(builder, (front - 0.10, -0.17, z[0] - 0.08), (front, 0.17, z[0] + 0.08), TRIM, label)
    tail = block(builder, (rear, -0.14, z[1] - 0.18), (rear + 0.06, 0.14, z[1] + 0.05), TRIM, label)
    for skin, edge, looks, up in ((face, 0, HEADLAMP, (0.06, 0.94)), (tail, 2, TAILLAMP, (0.62, 0.98))):
        skin.mark(builder, 0, edge, (0.28, 0.72), up, looks, label)
        for along in ((0.0, 0.20), (0.80, 1.0)):
            skin.mark(builder, 0, edge, along, (0.62, 0.94), INDICATOR, label)
    tail.mark(builder, 0, 2, (0.2, 0.8), (0.04, 0.54), PLATE, label)


def _motorbike(builder: MeshBuilder) -> None:
    ex, label, radius = EXTENTS["motorbike"][0], Label.MOTORCYCLE, 0.31
    front, rear = ex - radius, -ex + radius
    for x, half in ((front, 0.06), (rear, 0.08)):
        wheel(builder, x, half, 2.0 * half, radius, label, both=True)
    # the engine, the tank and the tail, each a few rings along x
    block(builder, (-0.34, -0.16, 0.24), (0.34, 0.16, 0.56), STEEL, label)
    across, up = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])

    def body(rows: list[tuple[float, float, float, float]]) -> None:
        """x, z, half width, half height from the rear forwards."""
        Skin(tuple(ring((x, 0, z), across * w, up * t, 6) for x, z, w, t in rows)).draw(builder, PAINT, label)

    body([(-0.06, 0.70, 0.10, 0.09), (0.18, 0.78, 0.17, 0.13), (0.42, 0.76, 0.13, 0.12)])
    body([(-0.96, 0.80, 0.06, 0.04), (-0.60, 0.72, 0.12, 0.07), (-0.30, 0.66, 0.12, 0.06)])
    body([(0.36, 0.74, 0.14, 0.14), (0.62, 0.78, 0.17, 0.15), (0.80, 0.74, 0.08, 0.08)])
    block(builder, (-0.62, -0.11, 0.74), (-0.08, 0.11, 0.80), SADDLE, label)
    for side in (-0.09, 0.09):
        tube(builder, ((front, side, radius), (0.50, side, 0.92)), (0.025, 0.025), STEEL, label)
        tube(builder, ((rear, side, radius), (-0.30, side, 0.36)), (0.035, 0.035), STEEL, label)
    _bars(builder, 0.46, 0.36, 0.95, label)
    _lamps(builder, 0.84, -1.0, (0.78, 0.80), label)
    rider = _seated(_LEATHER, (-0.34, 0.88), (0.44, 0.33, 0.98), (-0.22, 0.19, 0.36), 0.52)
    draw_figure(builder, _LEATHER, rider, Label.RIDER, _HELMET)


def _scooter(builder: MeshBuilder) -> None:
    ex, label, radius = EXTENTS["scooter"][0], Label.MOTORCYCLE, 0.23
    front, rear = ex - radius - 0.02, -ex + radius + 0.06
    for x in (front, rear):
        wheel(builder, x, 0.06, 0.12, radius, label, sides=8, both=True)
    block(builder, (-0.30, -0.17, 0.22), (0.42, 0.17, 0.30), PAINT, label)  # the floor for the feet
    shield = Skin(
        tuple(
            np.array([(x + t, -w, z), (x + t, w, z), (x - t, w, z), (x - t, -w, z)])
            for x, t, w, z in ((0.46, 0.04, 0.20, 0.26), (0.44, 0.04, 0.22, 0.60), (0.36, 0.04, 0.12, 0.92))
        )
    )
    shield.draw(builder, PAINT, label)
    tail = Skin(
        tuple(
            np.array([(f, -w, z), (f, w, z), (r, w, z), (r, -w, z)])
            for f, r, w, z in ((-0.16, -0.70, 0.16, 0.26), (-0.14, -0.80, 0.20, 0.48), (-0.20, -0.76, 0.14, 0.70))
        )
    )
    tail.draw(builder, PAINT, label)
    block(builder, (-0.74, -0.13, 0.70), (-0.18, 0.13, 0.79), SADDLE, label)
    tube(builder, ((front, 0.0, radius), (0.36, 0.0, 1.0)), (0.035, 0.03), PAINT, label)
    _bars(builder, 0.34, 0.34, 1.02, label)
    _lamps(builder, 0.48, -0.86, (0.96, 0.60), label)
    rider = _seated(_CASUAL, (-0.36, 0.86), (0.32, 0.31, 1.05), (0.20, 0.13, 0.38), 0.10)
    draw_figure(builder, _CASUAL, rider, Label.RIDER, _HELMET)


def _bicycle(builder: MeshBuilder) -> None:
    ex, label, radius = EXTENTS["bicycle"][0], Label.BICYCLE, 0.34
    front, rear = ex - radius, -ex + radius
    for x in (front, rear):
        hoop(builder, x, radius, radius, 0.05, label)
    crank, saddle, stem = (-0.06, 0.0, 0.30), (-0.24, 0.0, 0.86), (0.34, 0.0, 0.90)
    for a, b in (
        (crank, saddle),
        (crank, (0.36, 0.0, 0.66)),
        ((-0.20, 0.0, 0.72), (0.34, 0.0, 0.74)),
        ((front, 0.0, radius), stem),
        ((rear, 0.0, radius), crank),
        ((rear, 0.0, radius), (-0.20, 0.0, 0.72)),
    ):
        tube(builder, (a, b), (0.024, 0.024), PAINT, label, sides=4)
    _bars(builder, 0.38, 0.28, 0.96, label)
    tube(builder, ((0.34, 0.0, 0.88), (0.38, 0.0, 0.97)), (0.02, 0.02), TYRE, label)
    block(builder, (-0.36, -0.07, 0.86), (-0.12, 0.07, 0.91), SADDLE, label)
    for side, x, z in ((-1.0, 0.08, 0.24), (1.0, -0.20, 0.36)):
        low, high = sorted((side * 0.07, side * 0.19))
        block(builder, (x - 0.05, low, z - 0.015), (x + 0.05, high, z + 0.015), TRIM, label)
    lamp = block(builder, (0.46, -0.03, 0.84), (0.50, 0.03, 0.90), TRIM, label)
    lamp.mark(builder, 0, 0, (0.0, 1.0), (0.0, 1.0), HEADLAMP, label)
    lamp = block(builder, (-0.34, -0.03, 0.72), (-0.30, 0.03, 0.78), TRIM, label)
    lamp.mark(builder, 0, 2, (0.0, 1.0), (0.0, 1.0), TAILLAMP, label)
    rider = _seated(_CASUAL, (-0.24, 0.97), (0.36, 0.26, 0.99), (0.06, 0.12, 0.30), 0.38)
    draw_figure(builder, _CASUAL, rider, Label.RIDER)


def draw_cycle(builder: MeshBuilder, name: str) -> None:
    {"motorbike": _motorbike, "scooter": _scooter, "bicycle": _bicycle}[name](builder)
