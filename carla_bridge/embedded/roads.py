"""What the road network says about a place: the speed limit, and what the ground is."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from carla_bridge.embedded.types import Label, Town

DEFAULT_SPEED_LIMIT_KMH = 50.0


class Roads:
    """The town's OpenDRIVE text, read with carla.Map (which needs no server)."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._limits = dict(town.speed_limits)

    @cached_property
    def map(self) -> Any:
        """carla.Map; None for a town without OpenDRIVE text."""
        if not self._town.opendrive:
            return None
        import carla

        return carla.Map(self._town.name, self._town.opendrive)

    def speed_limit_kmh(self, x: float, y: float, otherwise: float) -> float:
        """The limit of the nearest road; `otherwise` where it has none (inside junctions: what held before)."""
        if self.map is None or not self._limits:
            return otherwise
        import carla

        waypoint = self.map.get_waypoint(carla.Location(x, y, 0.0))
        return otherwise if waypoint is None else self._limits.get(waypoint.road_id, otherwise)

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
