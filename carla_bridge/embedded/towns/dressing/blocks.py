"""Town houses and office blocks: plain volumes with windows from the shader. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import math

import numpy as np

from carla_bridge.embedded.towns.dressing.palette import FLAT_ROOF, OFFICE_WALLS, TILES, WALLS
from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, rectangle
from carla_bridge.embedded.types import Box, Label, Material, Pose

OFFICE_FROM_M = 15.0  # heights from which a building is an office
GABLED_BELOW_M = 9.5
FOUNDATION_M = 0.4  # how far walls reach below the lowest ground that they stand on


def solid_box(
    centre: tuple[float, float], z0: float, z1: float, heading: float, ex: float, ey: float, label: Label
) -> Box:
    """A solid in CARLA's axes."""
    pose = Pose(x=centre[0], y=-centre[1], z=(z0 + z1) / 2.0, yaw=-math.degrees(heading))
    return Box(pose, (ex, ey, (z1 - z0) / 2.0), label)


def add_gable(
    builder: MeshBuilder,
    centre: tuple[float, float],
    heading: float,
    ex: float,
    ey: float,
    z: float,
    rise: float,
    wall: Colour,
    tiles: Colour,
) -> None:
    """A saddle roof whose ridge runs along the longer side."""
    if ey > ex:
        heading, ex, ey = heading + math.pi / 2.0, ey, ex
    eaves = 0.35
    corners = rectangle(centre, heading, ex + eaves, ey + eaves)
    lower = np.column_stack([corners, np.full(4, z)])
    along = np.array([math.cos(heading), math.sin(heading)]) * (ex + eaves)
    ridge = np.array([[*(np.array(centre) + along), z + rise], [*(np.array(centre) - along), z + rise]])
    vertices = np.concatenate([lower, ridge])  # 0 front left, 1 back left, 2 back right, 3 front right, 4, 5 ridge
    builder.add(vertices, ((0, 1, 5), (0, 5, 4), (2, 3, 4), (2, 4, 5)), tiles, Label.BUILDINGS)
    builder.add(vertices, ((0, 4, 3), (1, 2, 5)), wall, Label.BUILDINGS)
    builder.add(vertices, ((0, 3, 2), (0, 2, 1)), wall, Label.BUILDINGS)


def add_block(
    builder: MeshBuilder,
    rng: np.random.Generator,
    centre: tuple[float, float],
    heading: float,
    ex: float,
    ey: float,
    height: float,
    ground: float = 0.0,
    foot: float = 0.0,
) -> Box:
    """A gabled town house, or a flat-roofed block from 9.5 m up. ground: level of its ground floor; foot: where its
    walls begin (lower than the ground floor on a slope)."""
    wall = WALLS[rng.integers(len(WALLS))] if height < OFFICE_FROM_M else OFFICE_WALLS[rng.integers(len(OFFICE_WALLS))]
    outline = rectangle(centre, heading, ex, ey)
    gabled = height < GABLED_BELOW_M
    top = ground + height
    if foot < ground:
        plinth = rectangle(centre, heading, ex + 0.03, ey + 0.03)
        dark = (0.7 * wall[0], 0.7 * wall[1], 0.7 * wall[2])
        builder.loft(plinth, foot, plinth, ground + 0.15, dark, Label.BUILDINGS, bottom=False)
    builder.loft(
        outline,
        ground,
        outline,
        top,
        wall,
        Label.BUILDINGS,
        Material.FACADE,
        bottom=False,
        top=not gabled,
        roof=(FLAT_ROOF, Material.PLAIN),
    )
    if gabled:
        tiles = TILES[rng.integers(len(TILES))]
        add_gable(builder, centre, heading, ex, ey, top, min(ex, ey) * 0.7, wall, tiles)
    else:
        trim = (0.8 * wall[0], 0.8 * wall[1], 0.8 * wall[2])
        cornice = rectangle(centre, heading, ex + 0.25, ey + 0.25)
        builder.loft(cornice, top - 0.2, cornice, top + 0.5, trim, Label.BUILDINGS, roof=(FLAT_ROOF, Material.PLAIN))
        if height > 14.0:
            builder.box(centre, top + 1.6, heading, (ex * 0.3, ey * 0.3, 1.2), FLAT_ROOF, Label.BUILDINGS, bottom=False)
    return solid_box(centre, foot, top, heading, ex, ey, Label.BUILDINGS)
