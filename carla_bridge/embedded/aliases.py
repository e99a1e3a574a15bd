"""CARLA's own town names: which of ours takes the place of each, and where it is put.

Scripts written for CARLA name places by coordinates: a long free stretch of Town05, a wall in Town03. The town that
takes the place of one of these is moved so that such a stretch, or such a wall, is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from carla_bridge.embedded.types import Box, Mesh, Pose, Town

_VALUE = r"(\s*=\s*[\"'])([^\"']*)([\"'])"
_GEOMETRY = re.compile(rf"(<geometry\b[^>]*?\b)(x|y){_VALUE}([^>]*?\b)(x|y){_VALUE}")


@dataclass(frozen=True)
class Alias:
    town: str
    east_m: float = 0.0  # how far the town is moved
    south_m: float = 0.0

    @property
    def moves(self) -> bool:
        return bool(self.east_m or self.south_m)


ALIASES: dict[str, Alias] = {
    "Town01": Alias("Gridley"),
    "Town02": Alias("Gridley"),
    "Town03": Alias("Gridley", 0.5, 21.3),  # a wall 11 m ahead of (30, -6), facing north
    "Town04": Alias("Ringwood"),  # a motorway
    "Town05": Alias("Gridley", -185.0, 0.0),  # flat and free at x 26..38, y -210..220
    "Town06": Alias("Ringwood"),  # long dual carriageways
    "Town07": Alias("Thornby"),  # narrow country roads
    "Town10HD": Alias("Gridley"),  # down-town blocks
    "Town11": Alias("Ringwood"),
    "Town12": Alias("Ringwood"),
    "Town13": Alias("Ringwood"),
    "Town15": Alias("Larkhill"),  # winding streets
}


def alias_of(name: str) -> Alias | None:
    """`name` without its folder; "_Opt" marks CARLA's layered maps."""
    return ALIASES.get(name.removesuffix("_Opt"))


def moved(town: Town, east_m: float, south_m: float) -> Town:
    """The same town somewhere else."""

    def pose(old: Pose) -> Pose:
        return replace(old, x=old.x + east_m, y=old.y + south_m)

    def box(old: Box) -> Box:
        return replace(old, centre=pose(old.centre))

    def mesh(old: Mesh) -> Mesh:
        return replace(old, vertices=(old.vertices + np.array([east_m, south_m, 0.0])).astype(np.float32))

    def text(found: re.Match[str]) -> str:
        before, first, a, x, b, between, second, c, y, d = found.groups()
        step = {"x": east_m, "y": -south_m}  # OpenDRIVE's y points north
        x, y = repr(float(x) + step[first]), repr(float(y) + step[second])
        return f"{before}{first}{a}{x}{b}{between}{second}{c}{y}{d}"

    return replace(
        town,
        opendrive=_GEOMETRY.sub(text, town.opendrive),
        spawn_points=tuple(pose(point) for point in town.spawn_points),
        mesh=mesh(town.mesh),
        lights=tuple(
            replace(light, pole=pose(light.pole), head=pose(light.head), trigger=box(light.trigger))
            for light in town.lights
        ),
        solids=tuple(box(solid) for solid in town.solids),
        signs=tuple(replace(sign, pole=pose(sign.pole), trigger=box(sign.trigger)) for sign in town.signs),
        lamps=tuple(
            replace(lamp, position=(lamp.position[0] + east_m, lamp.position[1] + south_m, lamp.position[2]))
            for lamp in town.lamps
        ),
        walkways=tuple(replace(way, outline=way.outline + np.array([east_m, south_m, 0.0])) for way in town.walkways),
        ground=None if town.ground is None else mesh(town.ground),
    )
