"""Towns that the embedded world can load."""

from carla_bridge.embedded.towns.gridley import TOWN_NAMES, load_town

__all__ = ["TOWN_NAMES", "load_town"]
