"""Roadside units on masts at junctions, and what lies on the straight line between one and the car."""

from __future__ import annotations

import math
from dataclasses import dataclass

import carla

from bev import Pose2D
from carla_bridge.convert import location_to_carla
from carla_bridge.process import WorldDied
from carla_bridge.truth import Body, TruthReader
from scheduling.types import LinkGeometry

HEIGHT_M = 6.0
SPACING_M = 130.0  # two units are at least so far apart: about every second junction of a town has one
ROOF_GAP_M = 0.2  # the car's antenna above its roof
RANGE_M = 400.0
CANDIDATES = 3
SWITCH_BELOW = 0.75  # a new unit must be this much better than the serving one
BLOCKED_FACTOR = 3.0  # metres without line of sight count as so many with it
SAME_VEHICLE_M = 6.0  # hits closer together than this belong to one vehicle
CAR_M, TRUCK_M = 1.6, 3.0  # heights of blockers, TR 37.885
TALL = ("Truck", "Bus", "Train")
VEHICLES = ("Car", "Motorcycle", "Bicycle", "Rider", *TALL)
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
        self._world, self._map = world, world_map
        self.units = place_units(world_map, spacing_m)
        self._serving = -1

    def geometry(self, ego: Body) -> LinkGeometry:
        """Casts at most CANDIDATES rays in the world; call it once a camera frame."""
        ground_m = self._map.get_waypoint(location_to_carla(ego.pose.x, ego.pose.y)).transform.location.z
        near = sorted(self.units, key=lambda unit: (_distance(unit, ego.pose), unit.number))[:CANDIDATES]
        seen = [self._look(ego, ground_m, unit) for unit in near if _distance(unit, ego.pose) <= RANGE_M]
        if not seen:
            self._serving = -1
            return LinkGeometry(-1, math.inf, False, 0, speed_mps=abs(ego.speed_mps))
        best = min(seen, key=_cost)
        serving = next((geometry for geometry in seen if geometry.rsu == self._serving), None)
        if serving is not None and _cost(best) > SWITCH_BELOW * _cost(serving):
            best = serving
        self._serving = best.rsu
        return best

    def _look(self, ego: Body, ground_m: float, unit: RoadsideUnit) -> LinkGeometry:
        antenna = (ego.pose.x, ego.pose.y, ground_m + ego.height_m + ROOF_GAP_M)
        try:
            hits = self._world.cast_ray(location_to_carla(*antenna), location_to_carla(unit.x, unit.y, unit.z))
        except RuntimeError as error:
            raise WorldDied(f"the world stopped answering: {error}") from error
        count, last, height_m = 0, None, CAR_M
        for hit in hits:
            if str(hit.label) not in VEHICLES:
                continue
            if last is None or hit.location.distance(last) > SAME_VEHICLE_M:
                count += 1
            last = hit.location
            # it reaches at least as high as the ray that it stops
            height_m = max(height_m, hit.location.z - ground_m, TRUCK_M if str(hit.label) in TALL else 0.0)
        return LinkGeometry(
            unit.number,
            math.dist(antenna, (unit.x, unit.y, unit.z)),
            not any(str(hit.label) in OPAQUE for hit in hits),
            count,
            height_m,
            abs(ego.speed_mps),
        )


class RadioEye:
    """The radio's view of a car that somebody else drives: looks on over a connection of its own, and drives nothing.
    role: the car's `role_name`."""

    def __init__(self, client: carla.Client, role: str = "hero") -> None:
        self._client, self._world, self._role = client, client.get_world(), role
        self._units = RoadsideUnits(self._world, self._world.get_map())
        self._reader = TruthReader(self._world)
        self._car: carla.Actor | None = None

    @classmethod
    def connected(cls, host: str, port: int, timeout_s: float = 5.0) -> RadioEye:
        """RuntimeError where no world answers."""
        client = carla.Client(host, port)
        client.set_timeout(timeout_s)
        return cls(client)

    @property
    def units(self) -> tuple[RoadsideUnit, ...]:
        return self._units.units

    def geometry(self) -> LinkGeometry:
        """As `RoadsideUnits.geometry`; nothing in reach as long as there is no such car."""
        if self._car is None:
            vehicles = self._world.get_actors().filter("vehicle.*")
            self._car = next((car for car in vehicles if car.attributes.get("role_name") == self._role), None)
        if self._car is None:
            return LinkGeometry(-1, math.inf, False, 0)
        return self._units.geometry(self._reader.body(self._car))


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
