"""Generated towns, each as an OpenDRIVE text with the style of what stands beside its roads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from carla_bridge.embedded.towns.layouts.larkhill import larkhill
from carla_bridge.embedded.towns.layouts.network import Network
from carla_bridge.embedded.towns.layouts.procedural import number_of, random_town
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


def layout_of(name: str) -> Layout | None:
    """The layout of a town of this name, random ones included; None where there is none."""
    number = number_of(name)
    if number is None:
        return LAYOUTS.get(name)
    town = random_town(number)
    return Layout(name, lambda: town.network, town.style, town.seed)
