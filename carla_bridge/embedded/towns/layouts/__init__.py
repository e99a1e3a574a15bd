"""Generated towns, each as an OpenDRIVE text with the style of what stands beside its roads."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from carla_bridge.embedded.towns.layouts.larkhill import larkhill
from carla_bridge.embedded.towns.layouts.network import Network
from carla_bridge.embedded.towns.layouts.ringwood import ringwood
from carla_bridge.embedded.towns.layouts.thornby import thornby
from carla_bridge.embedded.towns.layouts.writer import write
from carla_bridge.embedded.towns.site import BuildingKind, Style


@dataclass(frozen=True)
class Layout:
    """A town before it is built."""

    name: str
    network: Callable[[], Network]
    style: Style
    seed: int

    def opendrive(self) -> str:
        """The same text every time."""
        return write(self.network())


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "Larkhill",
            larkhill,
            Style(buildings=BuildingKind.HOUSES, building_density=0.75, tree_density=0.7, lamp_spacing_m=34.0),
            seed=11,
        ),
        Layout(
            "Ringwood",
            ringwood,
            Style(buildings=BuildingKind.INDUSTRIAL, building_density=0.4, tree_density=0.45, lamp_spacing_m=40.0),
            seed=12,
        ),
        Layout(
            "Thornby",
            thornby,
            Style(
                buildings=BuildingKind.VILLAGE,
                building_density=0.7,
                tree_density=0.5,
                lamp_spacing_m=45.0,
                parked_share=0.65,
                sidewalk_colour=(0.55, 0.53, 0.49),
            ),
            seed=13,
        ),
    )
}


RANDOM = re.compile(r"Random(0|[1-9]\d{0,4})")


def is_random(name: str) -> bool:
    """Whether it names a town that is drawn from a number: "Random<N>", N from 0 to 99999 without leading zeros."""
    return RANDOM.fullmatch(name) is not None


def layout_of(name: str) -> Layout | None:
    """The layout of a town of this name, random ones included; None where there is none."""
    if not is_random(name):
        return LAYOUTS.get(name)
    # here, because it brings geometry libraries with it that the other towns' names do without
    from carla_bridge.embedded.towns.layouts.procedural import random_town

    town = random_town(int(name.removeprefix("Random")))
    return Layout(name, lambda: town.network, town.style, town.seed)
