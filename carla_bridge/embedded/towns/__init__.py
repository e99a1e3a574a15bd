"""Towns that the embedded world can load."""

from __future__ import annotations

from carla_bridge.embedded.towns import gridley
from carla_bridge.embedded.towns.layouts import LAYOUTS, is_random, layout_of
from carla_bridge.embedded.towns.site import Style, TownError
from carla_bridge.embedded.types import Town

TOWN_NAMES: tuple[str, ...] = ("Gridley", *LAYOUTS)

KNOWN = f"{', '.join(TOWN_NAMES)}, Random0..Random99999"  # for messages

__all__ = ["KNOWN", "TOWN_NAMES", "TownError", "is_town", "load_opendrive", "load_town"]


def is_town(name: str) -> bool:
    """Whether load_town knows it."""
    return name in TOWN_NAMES or is_random(name)


def load_opendrive(name: str, text: str, *, style: Style | None = None, seed: int = 0) -> Town:
    """A town on any road network; the same arguments give the same bytes. Raises TownError on a hopeless text."""
    # here, because it brings half of the geometry libraries with it and Gridley does without
    from carla_bridge.embedded.towns.assemble import build_town

    return build_town(name, text, style or Style(), seed)


def load_town(name: str = "Gridley") -> Town:
    """Generate one of our own towns; the same name gives the same bytes."""
    layout = layout_of(name)
    if layout is not None:
        return load_opendrive(name, layout.opendrive(), style=layout.style, seed=layout.seed)
    if name in TOWN_NAMES:
        return gridley.load_town(name)
    raise ValueError(f"unknown town {name!r}; there is {KNOWN}")
