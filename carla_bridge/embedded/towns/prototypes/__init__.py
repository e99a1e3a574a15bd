"""Bodies of everything that moves or changes colour: vehicles, people, props, traffic light heads.

Built with x forward and y left and mirrored by the builder, like the towns. All but two stand on z = 0 with their
bounding box centred over the origin: a light's housing is centred on the origin and shines along x, and so is `box`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from carla_bridge.embedded.gait import PHASES
from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, colour_of
from carla_bridge.embedded.towns.prototypes import cars, cycles, heavy, people, props
from carla_bridge.embedded.towns.prototypes.parts import PAINT
from carla_bridge.embedded.types import Label, Material, Mesh

LIGHT_STATES: tuple[str, ...] = ("red", "yellow", "green", "off")
PROTOTYPES: tuple[str, ...] = (
    "car_sedan",
    "car_hatch",
    "suv",
    "van",
    "truck",
    "pedestrian",
    *(f"light_{state}" for state in LIGHT_STATES),
    "box",
    "sports",
    "police",
    "taxi",
    "microlino",
    *(name for name in heavy.EXTENTS if name != "truck"),
    *cycles.EXTENTS,
    *(name for name in people.EXTENTS if name != "pedestrian"),
    *(f"{name}_walk_{phase}" for name in people.EXTENTS for phase in range(PHASES)),
    *props.EXTENTS,
)
HOUSING = colour_of("#0c0d0e")
LAMPS: dict[str, tuple[float, Colour, Colour]] = {  # z [m], lit, dark
    "red": (0.5, colour_of("#ff2a1f"), colour_of("#2a0b0a")),
    "yellow": (0.0, colour_of("#ffc21a"), colour_of("#2a220a")),
    "green": (-0.5, colour_of("#20f08a"), colour_of("#08261a")),
}
LAMP_RADIUS_M = 0.23
HOUSING_EXTENT_M = (0.14, 0.29, 0.78)
BACKPLATE_EXTENT_M = (0.02, 0.48, 0.98)
_LIGHT_EXTENT = (HOUSING_EXTENT_M[0], BACKPLATE_EXTENT_M[1], BACKPLATE_EXTENT_M[2])
_EXTENTS: dict[str, tuple[float, float, float]] = {
    **{name: car.extent for name, car in cars.SHAPES.items()},
    **heavy.EXTENTS,
    **cycles.EXTENTS,
    **people.EXTENTS,
    **{f"{name}_walk_{phase}": size for name, size in people.EXTENTS.items() for phase in range(PHASES)},
    **props.EXTENTS,
    **{f"light_{state}": _LIGHT_EXTENT for state in LIGHT_STATES},
    "box": (0.5, 0.5, 0.5),
}


def prototype_extent(name: str) -> tuple[float, float, float]:
    """Half sizes along x, y, z [m]; of a person standing with the feet together, whatever the phase of the gait."""
    if name not in _EXTENTS:
        raise ValueError(f"unknown prototype {name!r}; there are {', '.join(PROTOTYPES)}")
    return _EXTENTS[name]


def _light(builder: MeshBuilder, state: str) -> None:
    label = Label.TRAFFIC_LIGHT
    ex = HOUSING_EXTENT_M[0]
    builder.box((0.0, 0.0), 0.0, 0.0, HOUSING_EXTENT_M, HOUSING, label)
    builder.box((-0.05, 0.0), 0.0, 0.0, BACKPLATE_EXTENT_M, HOUSING, label)
    angle = np.arange(12) * (2.0 * np.pi / 12)
    fan = np.stack([np.zeros(10, dtype=int), np.arange(1, 11), np.arange(2, 12)], axis=1)
    for name, (z, lit, dark) in LAMPS.items():
        disc = np.column_stack(
            [np.full(12, ex + 0.015), LAMP_RADIUS_M * np.cos(angle), z + LAMP_RADIUS_M * np.sin(angle)]
        )
        on = name == state
        builder.add(disc, fan, lit if on else dark, label, Material.EMISSIVE if on else Material.PLAIN)
        # a visor above each lamp
        builder.box((ex + 0.1, 0.0), z + 0.245, 0.0, (0.1, 0.24, 0.006), HOUSING, label)


def _prototype(name: str) -> Mesh:
    builder = MeshBuilder()
    if name == "box":
        builder.box((0.0, 0.0), 0.0, 0.0, _EXTENTS["box"], PAINT[0], Label.DYNAMIC, PAINT[1])
    elif name.startswith("light_"):
        _light(builder, name.removeprefix("light_"))
    elif name in cars.SHAPES:
        cars.draw_car(builder, name)
    elif name in heavy.EXTENTS:
        heavy.draw_heavy(builder, name)
    elif name in cycles.EXTENTS:
        cycles.draw_cycle(builder, name)
    elif name in props.EXTENTS:
        props.draw_prop(builder, name)
    else:
        people.draw_person(builder, name)
    return builder.build()


@lru_cache(maxsize=1)
def prototype_meshes() -> tuple[Mesh, ...]:
    """One mesh for each name in PROTOTYPES, in that order."""
    return tuple(_prototype(name) for name in PROTOTYPES)
