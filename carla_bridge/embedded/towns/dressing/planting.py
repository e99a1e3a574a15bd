"""Which tree stands where: gardens, avenues, groves. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import math

import numpy as np
import shapely

from carla_bridge.embedded.towns.dressing.blocks import solid_box
from carla_bridge.embedded.towns.dressing.palette import (
    BIRCH,
    BLOSSOM,
    HEDGES,
    LEAVES,
    PALE_LEAVES,
    POPLAR_LEAVES,
    TRUNK,
)
from carla_bridge.embedded.towns.dressing.stage import Stage
from carla_bridge.embedded.towns.dressing.trees import add_conifer, add_crown
from carla_bridge.embedded.types import Label

# species: weight by place
MIXES: dict[str, tuple[tuple[str, float], ...]] = {
    "street": (("round", 0.75), ("linden", 0.25)),
    "garden": (("round", 0.35), ("blossom", 0.2), ("birch", 0.2), ("conifer", 0.25)),
    "field": (("round", 0.35), ("oak", 0.35), ("birch", 0.1), ("poplar", 0.2)),
    "wood": (("round", 0.4), ("conifer", 0.4), ("birch", 0.2)),
}
TRUNK_SIDES = 4  # and no top: leaves hide it
CROWN_SIDES = 7
WOOD_CROWN_SIDES = 6


def _species(stage: Stage, kind: str) -> str:
    draw = float(stage.rng.random())
    for name, weight in MIXES[kind]:
        draw -= weight
        if draw < 0.0:
            return name
    return MIXES[kind][-1][0]


def plant_tree(
    stage: Stage, place: tuple[float, float], crown: float, kind: str, *, species: str | None = None
) -> bool:
    """A tree of the mix that suits the kind of place, if there is room; crown: radius [m]."""
    outline = shapely.Point(place).buffer(crown * 1.05, quad_segs=2)
    if not stage.lots.free(outline):
        return False
    stage.lots.take(outline)
    grow(stage, place, crown, species or _species(stage, kind), WOOD_CROWN_SIDES if kind == "wood" else CROWN_SIDES)
    return True


def grow(stage: Stage, place: tuple[float, float], crown: float, species: str, sides: int = CROWN_SIDES) -> None:
    """Draws one tree and what a car can hit of it."""
    builder, rng = stage.builder, stage.rng
    z = float(stage.z([place])[0]) - 0.1
    radius = 0.09 * crown + 0.04
    trunk, width, tall = stage.uniform(1.9, 2.6), crown, stage.uniform(1.8, 2.5) * crown
    bark, leaves = TRUNK, stage.pick(LEAVES)
    if species == "conifer":
        add_conifer(builder, place, crown * 1.15, radius, z, 3 if sides > WOOD_CROWN_SIDES else 2, sides)
        trunk = 1.0
    else:
        if species == "birch":
            bark, leaves, width, tall, trunk = BIRCH, stage.pick(PALE_LEAVES), 0.75 * crown, 2.9 * crown, trunk + 0.8
            radius *= 0.7
        elif species == "poplar":
            leaves, width, tall, trunk = stage.pick(POPLAR_LEAVES), 0.55 * crown, 5.2 * crown, 1.3
        elif species == "blossom":
            leaves = stage.pick(BLOSSOM) if stage.chance(0.3) else stage.pick(PALE_LEAVES)
            width, tall, trunk, radius = 0.8 * crown, 1.4 * crown, 1.4, 0.7 * radius
        elif species == "linden":
            width, tall, trunk = 0.8 * crown, 2.6 * crown, trunk + 0.3
        around = np.arange(TRUNK_SIDES) * (2.0 * math.pi / TRUNK_SIDES)
        ring = radius * np.column_stack([np.cos(around), np.sin(around)])
        foot, neck = ring + np.array(place), 0.8 * ring + np.array(place)
        builder.loft(foot, z, neck, z + trunk + 0.5, bark, Label.VEGETATION, bottom=False, top=False)
        if species == "oak":
            for turn in range(2):
                angle = stage.uniform(0.0, math.pi) + turn * math.pi
                x, y = place[0] + 0.55 * crown * math.cos(angle), place[1] + 0.55 * crown * math.sin(angle)
                add_crown(builder, rng, (x, y, z + trunk - 0.2), 0.72 * crown, 1.3 * crown, leaves, 6)
            width, tall = 0.9 * crown, 1.9 * crown
            trunk += 0.5
        add_crown(builder, rng, (*place, z + trunk), width, tall, leaves, sides)
    stage.solids.append(solid_box(place, z, z + trunk, 0.0, radius, radius, Label.VEGETATION))


def plant_shrub(stage: Stage, place: tuple[float, float]) -> None:
    """A knee-high ball of leaves."""
    reach = stage.uniform(0.45, 0.85)
    outline = shapely.Point(place).buffer(reach, quad_segs=1)
    if not stage.claim(outline):
        return
    z = float(stage.z([place])[0])
    add_crown(stage.builder, stage.rng, (*place, z - 0.15), reach, stage.uniform(0.8, 1.4), stage.pick(HEDGES), 5)


def plant_avenues(stage: Stage, spacing: float, kind: str) -> None:
    """Rows of trees behind the verges; the species is the same along one road."""
    share = stage.thin * (0.35 + 0.75 * stage.style.tree_density)
    for walk in stage.town_walks():
        row = stage.chance(0.35 + 0.5 * stage.style.tree_density)
        species = _species(stage, kind) if row else None
        every = spacing if row else 2.2 * spacing
        for s in np.arange(0.5 * every, walk.length, every):
            if not stage.chance(share):
                continue
            spot = walk.spot(float(s) + stage.uniform(-0.12, 0.12) * every)
            off = stage.uniform(2.0, 2.8) if row else stage.uniform(2.2, 6.0)
            plant_tree(stage, spot.at(0.0, off), stage.uniform(1.4, 2.3), kind, species=species)


def plant_backs(stage: Stage, spacing: float) -> None:
    """Trees and shrubs here and there behind the first row of buildings."""
    share = stage.thin * (0.2 + 0.9 * stage.style.tree_density)
    for walk in stage.town_walks():
        for s in np.arange(0.3 * spacing, walk.length, spacing):
            if not stage.chance(share):
                continue
            place = walk.spot(float(s)).at(stage.uniform(-4.0, 4.0), stage.uniform(9.0, 42.0))
            if stage.chance(0.2):
                plant_shrub(stage, place)
            else:
                plant_tree(stage, place, stage.uniform(1.6, 2.8), "garden" if stage.chance(0.5) else "wood")


def plant_groves(stage: Stage, count: int) -> None:
    """Clusters of trees on the land that is left."""
    x0, y0, x1, y1 = stage.site.bounds
    margin = 12.0
    for _ in range(count):
        middle = (stage.uniform(x0 + margin, x1 - margin), stage.uniform(y0 + margin, y1 - margin))
        spread = stage.uniform(3.0, 11.0)
        members = int(stage.rng.integers(1, 7))
        for _ in range(members):
            x, y = middle[0] + spread * float(stage.rng.normal()), middle[1] + spread * float(stage.rng.normal())
            if x0 + margin < x < x1 - margin and y0 + margin < y < y1 - margin:
                plant_tree(stage, (x, y), stage.uniform(1.6, 3.2), "wood" if members > 2 else "field")
