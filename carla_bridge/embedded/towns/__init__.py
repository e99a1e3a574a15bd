"""Towns that the embedded world can load."""

from __future__ import annotations

from carla_bridge.embedded.towns import gridley
from carla_bridge.embedded.towns.layouts import LAYOUTS
from carla_bridge.embedded.towns.site import Style, TownError
from carla_bridge.embedded.types import Town

TOWN_NAMES: tuple[str, ...] = ("Gridley", *LAYOUTS)

__all__ = ["TOWN_NAMES", "TownError", "load_opendrive", "load_town"]


def load_opendrive(name: str, text: str, *, style: Style | None = None, seed: int = 0) -> Town:
    """A town on any road network; the same arguments give the same bytes. Raises TownError on a hopeless text."""
    # here, because it brings half of the geometry libraries with it and Gridley does without
    from carla_bridge.embedded.towns.assemble import build_town

    return build_town(name, text, style or Style(), seed)


def load_town(name: str = "Gridley") -> Town:
    """Generate one of our own towns; the same name gives the same bytes."""
    if name in LAYOUTS:
        layout = LAYOUTS[name]
        return load_opendrive(name, layout.opendrive(), style=layout.style, seed=layout.seed)
    if name in TOWN_NAMES:
        return gridley.load_town(name)
    raise ValueError(f"unknown town {name!r}; there is {', '.join(TOWN_NAMES)}")
