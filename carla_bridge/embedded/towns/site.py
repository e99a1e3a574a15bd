"""What the rooms of a town know of one another: the style that is wanted, and the site that the roads leave.

Right-handed OpenDRIVE coordinates: x east, y north, metres, headings in radians counter-clockwise from x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.types import Material

Array = npt.NDArray[np.float64]
Colour = tuple[float, float, float]  # sRGB in 0..1, as MeshBuilder takes it


class TownError(ValueError):
    """A road network that no town can be built from; the message is one line."""


class BuildingKind(Enum):
    """What stands along the roads."""

    TOWN = "town"  # blocks, as in Gridley
    HOUSES = "houses"  # detached houses, gardens, hedges
    VILLAGE = "village"  # low gabled houses close to the road, barns, stone walls
    RURAL = "rural"  # few farms, trees, fields
    INDUSTRIAL = "industrial"  # halls


@dataclass(frozen=True)
class Style:
    """The character of a town."""

    buildings: BuildingKind = BuildingKind.TOWN
    building_density: float = 0.7  # 0..1
    tree_density: float = 0.5  # 0..1
    lamp_spacing_m: float = 26.0  # 0: none
    parked_share: float = 0.5  # of the parking spaces that are taken, 0..1
    terrain_colour: Colour = (0.357, 0.478, 0.235)
    sidewalk_colour: Colour = (0.608, 0.596, 0.569)
    sidewalk_material: Material = Material.PAVING
    lights_across: bool = False  # lights hang on masts beyond the junction, as in Gridley, not where the file has them


@dataclass(frozen=True)
class Verge:
    """The outer edge of what a road occupies (its sidewalk or shoulder included), on one side."""

    road_id: int
    points: Array  # (N, 3) every 2 m or so
    outward: Array  # (N, 2) unit vectors away from the road
    in_junction: bool
    has_sidewalk: bool
    speed_kmh: float


@dataclass(frozen=True)
class ParkingSpace:
    """Room for one parked car."""

    centre: tuple[float, float, float]
    heading: float
    length: float  # along the heading
    width: float


@dataclass(frozen=True)
class Site:
    """The land around the roads, for whoever builds on it."""

    footprint: shapely.Geometry  # union of all lanes, shoulders, sidewalks, junction interiors, parking
    keep_clear: shapely.Geometry  # sight corridors towards lights and signs, crosswalk approaches: nothing tall here
    verges: tuple[Verge, ...]
    parking: tuple[ParkingSpace, ...]
    height: Callable[[Array], Array]  # (N, 2) points -> (N,) z of the terrain
    bounds: tuple[float, float, float, float]  # x0, y0, x1, y1 of the terrain
