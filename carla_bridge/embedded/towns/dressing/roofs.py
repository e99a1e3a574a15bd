"""Roofs with eaves: saddles, hips, pyramids and spires over rectangular walls."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from carla_bridge.embedded.towns.dressing.palette import TRIM
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage
from carla_bridge.embedded.towns.meshes import Colour
from carla_bridge.embedded.types import Label

THICK_M = 0.2


def along_ridge(spot: Spot, eu: float, ev: float) -> tuple[Spot, float, float]:
    """The same rectangle with its longer side along u."""
    return (spot, eu, ev) if eu >= ev else (replace(spot, heading=spot.heading + math.pi / 2.0), ev, eu)


def add_saddle(
    stage: Stage,
    spot: Spot,
    eu: float,
    ev: float,
    z: float,
    rise: float,
    wall: Colour,
    tiles: Colour,
    *,
    turn: bool = True,
) -> None:
    """Two slabs that overhang walls which end at z, and the gables under them. turn: the ridge follows the longer
    side (else u)."""
    if turn:
        spot, eu, ev = along_ridge(spot, eu, ev)
    over_u, over_v = 0.35, 0.45
    slope = rise / ev
    low = z - over_v * slope
    reach = ev + over_v
    for side in (-1.0, 1.0):
        # u backwards on the far side keeps the corners counter-clockwise seen from above
        u0, u1 = (-eu - over_u, eu + over_u) if side < 0 else (eu + over_u, -eu - over_u)
        plan = spot.points([(u0, side * reach), (u1, side * reach), (u1, 0.0), (u0, 0.0)])
        under = np.column_stack([plan, [low, low, z + rise, z + rise]])
        over = under + np.array([0.0, 0.0, THICK_M])
        stage.builder.quad(over, tiles, Label.BUILDINGS)
        stage.builder.quad(under[::-1], TRIM, Label.BUILDINGS)
        stage.builder.quad([under[0], under[1], over[1], over[0]], TRIM, Label.BUILDINGS)
        stage.builder.quad([under[1], under[2], over[2], over[1]], TRIM, Label.BUILDINGS)
        stage.builder.quad([under[3], under[0], over[0], over[3]], TRIM, Label.BUILDINGS)
    for side in (-1.0, 1.0):
        feet = spot.points([(side * eu, -side * ev), (side * eu, side * ev), (side * eu, 0.0)])
        gable = np.column_stack([feet, [z, z, z + rise]])
        stage.builder.add(gable, ((0, 1, 2),), wall, Label.BUILDINGS)


def add_hip(stage: Stage, spot: Spot, eu: float, ev: float, z: float, rise: float, tiles: Colour) -> None:
    """Four slopes; a pyramid over a square."""
    spot, eu, ev = along_ridge(spot, eu, ev)
    over = 0.5
    outline = spot.outline(eu + over, ev + over)
    half_ridge = max(0.0, eu - ev)
    ridge = spot.points([(half_ridge, 0.0), (-half_ridge, 0.0)])
    z0 = z - 0.15
    vertices = np.concatenate(
        [np.column_stack([outline, np.full(4, z0)]), np.column_stack([ridge, np.full(2, z0 + rise)])]
    )  # 0 +u +v, 1 -u +v, 2 -u -v, 3 +u -v, ridge 4 at +u, 5 at -u
    faces = [(3, 0, 4), (1, 2, 5)]
    faces += [(0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5)] if half_ridge > 0.0 else [(0, 1, 4), (2, 3, 4)]
    stage.builder.add(vertices, faces, tiles, Label.BUILDINGS)
    stage.builder.add(vertices, ((0, 3, 2), (0, 2, 1)), TRIM, Label.BUILDINGS)


def add_spire(stage: Stage, spot: Spot, radius: float, z: float, rise: float, colour: Colour, sides: int = 4) -> None:
    """A pointed roof; four sides: over a square of half width `radius`."""
    if sides != 4:
        stage.builder.prism((spot.x, spot.y), z, z + rise, radius, 0.0, sides, colour, Label.BUILDINGS, bottom=True)
        return
    outline = np.column_stack([spot.outline(radius, radius), np.full(4, z)])
    vertices = np.concatenate([outline, [[spot.x, spot.y, z + rise]]])
    stage.builder.add(
        vertices, ((0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (0, 3, 2), (0, 2, 1)), colour, Label.BUILDINGS
    )
