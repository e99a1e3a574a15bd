"""Roadside units on masts at junctions, and what lies on the straight line between one and the car."""

from __future__ import annotations

import math
from dataclasses import dataclass

import carla

from bev import Pose2D
from carla_bridge.convert import location_to_carla
from carla_bridge.process import WorldDied
from carla_bridge.truth import Body
from scheduling.types import LinkGeometry

HEIGHT_M = 6.0
SPACING_M = 130.0  # two units are at least so far apart: about every second junction of a town has one
ROOF_GAP_M = 0.2  # the car's antenna above its roof
RANGE_M = 400.0
CANDIDATES = 3
SWITCH_BELOW = 0.75  # a new unit must be this much better than the serving one
BLOCKED_FACTOR = 3.0  # metres without line of sight count as so many with it
SAME_VEHICLE_M = 6.0  # hits closer together than this belong to one vehicle
VEHICLES = ("Car", "Truck", "Bus", "Train", "Motorcycle", "Bicycle", "Rider")
OPAQUE = ("Buildings", "Walls", "Bridge", "GuardRail")


@dataclass(frozen=True)
class RoadsideUnit:
    number: int
    x: float  # [m] world frame, ISO 8855
    y: float
    z: float


class RoadsideUnits:
    """`geometry(ego)` names the serving unit: the one best heard, kept until another is clearly better."""

    def __init__(self, world: carla.World, world_map: carla.Map, spacing_m: float = SPACING_M) -> None:
        self._world = world
        self.units = place_units(world_map, spacing_m)
        self._serving = -1

    def geometry(self, ego: Body) -> LinkGeometry:
        """Casts at most CANDIDATES rays in the world; call it once a camera frame."""
        near = sorted(self.units, key=lambda unit: (_distance(unit, ego.pose), unit.number))[:CANDIDATES]
        seen = [self._look(ego, unit) for unit in near if _distance(unit, ego.pose) <= RANGE_M]
        if not seen:
            self._serving = -1
            return LinkGeometry(rsu=-1, distance_m=math.inf, line_of_sight=False, blocking_vehicles=0)
        best = min(seen, key=_cost)
        serving = next((geometry for geometry in seen if geometry.rsu == self._serving), None)
        if serving is not None and _cost(best) > SWITCH_BELOW * _cost(serving):
            best = serving
        self._serving = best.rsu
        return best

    def _look(self, ego: Body, unit: RoadsideUnit) -> LinkGeometry:
        antenna = (ego.pose.x, ego.pose.y, ego.height_m + ROOF_GAP_M)
        try:
            hits = self._world.cast_ray(location_to_carla(*antenna), location_to_carla(unit.x, unit.y, unit.z))
        except RuntimeError as error:
            raise WorldDied(f"the world stopped answering: {error}") from error
        distance = math.dist(antenna, (unit.x, unit.y, unit.z))
        vehicles = [hit.location for hit in hits if str(hit.label) in VEHICLES]
        count, last = 0, None
        for place in vehicles:
            if last is None or place.distance(last) > SAME_VEHICLE_M:
                count += 1
            last = place
        return LinkGeometry(unit.number, distance, not any(str(hit.label) in OPAQUE for hit in hits), count)


def place_units(world_map: carla.Map, spacing_m: float) -> tuple[RoadsideUnit, ...]:
    """Junction by junction, in a fixed order, wherever no unit stands within the spacing."""
    centres = {}
    for start, _ in world_map.get_topology():
        if start.is_junction:
            junction = start.get_junction()
            centres[junction.id] = junction.bounding_box.location
    units: list[RoadsideUnit] = []
    for number in sorted(centres):
        x, y = centres[number].x, -centres[number].y
        if all(math.hypot(unit.x - x, unit.y - y) >= spacing_m for unit in units):
            units.append(RoadsideUnit(len(units), x, y, centres[number].z + HEIGHT_M))
    return tuple(units)


def _distance(unit: RoadsideUnit, pose: Pose2D) -> float:
    return math.hypot(unit.x - pose.x, unit.y - pose.y)


def _cost(geometry: LinkGeometry) -> float:
    return geometry.distance_m * (1.0 if geometry.line_of_sight else BLOCKED_FACTOR)
