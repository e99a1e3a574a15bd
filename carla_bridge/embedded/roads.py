"""What the road network says about a place: the speed limit, and what the ground is."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

from carla_bridge.embedded.types import Label, Town

DEFAULT_SPEED_LIMIT_KMH = 50.0
CELL_M = 2.0


class Roads:
    """The town's OpenDRIVE text, read with carla.Map (which needs no server)."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._limits = dict(town.speed_limits)
        self._known: dict[tuple[int, int], float | None] = {}  # limits by cell

    @cached_property
    def map(self) -> Any:
        """carla.Map; None for a town without OpenDRIVE text."""
        if not self._town.opendrive:
            return None
        import carla

        return carla.Map(self._town.name, self._town.opendrive)

    def speed_limit_kmh(self, x: float, y: float, otherwise: float) -> float:
        """The limit of the nearest road; `otherwise` where it has none (inside junctions: what held before).

        Asked for the middles of CELL_M squares and remembered: the map's answer takes 20 us.
        """
        if self.map is None or not self._limits:
            return otherwise
        cell = (math.floor(x / CELL_M), math.floor(y / CELL_M))
        if cell not in self._known:
            import carla

            middle = carla.Location((cell[0] + 0.5) * CELL_M, (cell[1] + 0.5) * CELL_M, 0.0)
            waypoint = self.map.get_waypoint(middle)
            self._known[cell] = None if waypoint is None else self._limits.get(waypoint.road_id)
        limit = self._known[cell]
        return otherwise if limit is None else limit

    def surface(self, x: float, y: float) -> Label:
        """What the ground is."""
        if self.map is None:
            return Label.GROUND
        import carla

        at, kinds = carla.Location(x, y, 0.0), carla.LaneType
        if self.map.get_waypoint(at, project_to_road=False, lane_type=kinds.Driving) is not None:
            return Label.ROADS
        if self.map.get_waypoint(at, project_to_road=False, lane_type=kinds.Sidewalk) is not None:
            return Label.SIDEWALKS
        return Label.TERRAIN
