"""Trees of several kinds. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.towns.dressing.blocks import solid_box
from carla_bridge.embedded.towns.dressing.palette import LEAVES, NEEDLES, TRUNK
from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder
from carla_bridge.embedded.types import Box, Label, Material

Array = npt.NDArray[np.float64]

CROWN_SIDES = 8
CONIFER_SHARE = 0.2


def lumpy_ball(rng: np.random.Generator, sides: int) -> tuple[Array, npt.NDArray[np.int64]]:
    """A lumpy ball between z = 0 and 1, at most 1 wide: two rings of corners and two tips."""
    angle = np.arange(sides) * (2.0 * math.pi / sides)
    rings = []
    for z, width, turned in ((0.28, 0.9, 0.0), (0.70, 0.78, math.pi / sides)):
        reach = width * rng.uniform(0.82, 1.1, sides)
        rings.append(
            np.column_stack(
                [reach * np.cos(angle + turned), reach * np.sin(angle + turned), z + rng.uniform(-0.06, 0.06, sides)]
            )
        )
    vertices = np.concatenate([*rings, [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    i = np.arange(sides)
    j = (i + 1) % sides
    low, high = np.full(sides, 2 * sides), np.full(sides, 2 * sides + 1)
    triangles = np.concatenate(
        [
            np.stack([low, j, i], axis=1),
            np.stack([i, j, sides + i], axis=1),
            np.stack([j, sides + j, sides + i], axis=1),
            np.stack([sides + i, sides + j, high], axis=1),
        ]
    )
    return vertices, triangles


def add_conifer(
    builder: MeshBuilder,
    centre: tuple[float, float],
    crown: float,
    radius: float,
    z: float = 0.0,
    tiers: int = 3,
    sides: int = 8,
) -> None:
    """Cones one above the other on a short trunk."""
    builder.prism(centre, z, z + 1.0, radius, radius, 5, TRUNK, Label.VEGETATION)
    level = z + 0.8
    for shrink in (1.0, 0.78, 0.52)[:tiers]:
        height = 1.5 * crown * (0.6 + 0.4 * shrink)
        builder.prism(
            centre,
            level,
            level + height,
            crown * shrink * 0.9,
            0.0,
            sides,
            NEEDLES,
            Label.VEGETATION,
            Material.FOLIAGE,
            bottom=True,
        )
        level += 0.55 * height


def add_crown(
    builder: MeshBuilder,
    rng: np.random.Generator,
    middle: tuple[float, float, float],
    reach: float,
    height: float,
    colour: Colour,
    sides: int = CROWN_SIDES,
) -> None:
    """A ball of leaves that begins at middle's z."""
    vertices, triangles = lumpy_ball(rng, sides)
    builder.add(vertices * [reach, reach, height] + list(middle), triangles, colour, Label.VEGETATION, Material.FOLIAGE)


def add_tree(
    builder: MeshBuilder, rng: np.random.Generator, centre: tuple[float, float], crown: float, ground: float = 0.0
) -> Box:
    """A broadleaf tree or, one in five, a conifer; crown: radius [m]."""
    trunk = float(rng.uniform(1.8, 2.6))
    radius = 0.09 * crown + 0.04
    if rng.random() < CONIFER_SHARE:
        add_conifer(builder, centre, crown, radius, ground)
    else:
        tall = float(rng.uniform(1.8, 2.6)) * crown
        shape = lumpy_ball(rng, CROWN_SIDES)
        blob = shape[0] * [crown, crown, tall] + [*centre, trunk + ground]
        builder.prism(centre, ground, ground + trunk + 0.4, radius, radius * 0.8, 5, TRUNK, Label.VEGETATION)
        leaves = LEAVES[rng.integers(len(LEAVES))]
        builder.add(blob, shape[1], leaves, Label.VEGETATION, Material.FOLIAGE)
    return solid_box(centre, ground, ground + trunk, 0.0, radius, radius, Label.VEGETATION)
