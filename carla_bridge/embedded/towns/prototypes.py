"""Bodies of everything that moves or changes colour: vehicles, the pedestrian, traffic light heads.

Built with x forward and y left and mirrored by the builder, like the towns. Vehicles and the pedestrian stand on
z = 0 with their bounding box centred over the origin; a light's housing is centred on the origin and shines along x.
Dimensions are typical of each class of vehicle, not of a make.
"""

from __future__ import annotations

import itertools

import numpy as np

from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, colour_of, icosphere, rectangle
from carla_bridge.embedded.types import Label, Material, Mesh

LIGHT_STATES: tuple[str, ...] = ("red", "yellow", "green", "off")
PROTOTYPES: tuple[str, ...] = (
    "car_sedan",
    "car_hatch",
    "suv",
    "van",
    "truck",
    "pedestrian",
    "light_red",
    "light_yellow",
    "light_green",
    "light_off",
    "box",
)
# half length, width, height [m]
_EXTENTS: dict[str, tuple[float, float, float]] = {
    "car_sedan": (2.40, 0.95, 0.74),
    "car_hatch": (2.00, 0.90, 0.75),
    "suv": (2.30, 0.98, 0.87),
    "van": (2.70, 1.00, 1.15),
    "truck": (3.60, 1.20, 1.55),
    "pedestrian": (0.20, 0.30, 0.90),
    "box": (0.5, 0.5, 0.5),
}
# Side view of a body above the sills: (x, z) as shares of half length and height, from the bonnet's tip backwards.
# Each row: x of front and rear end at the height z.
_PROFILES: dict[str, tuple[tuple[float, float, float], ...]] = {
    # z share, front x share, rear x share
    "car_sedan": ((0.16, 0.97, -0.97), (0.36, 1.0, -1.0), (0.58, 0.93, -0.97)),
    "car_hatch": ((0.16, 0.97, -0.97), (0.36, 1.0, -1.0), (0.58, 0.92, -0.99)),
    "suv": ((0.19, 0.98, -0.98), (0.40, 1.0, -1.0), (0.60, 0.95, -0.99)),
    "van": ((0.14, 0.98, -0.99), (0.32, 1.0, -1.0), (0.50, 0.96, -1.0)),
    "truck": ((0.16, 1.0, -1.0), (0.22, 1.0, -1.0), (0.30, 1.0, -1.0)),
}
# cabin: front and rear x share at the waist, front and rear x share at the roof
_CABINS: dict[str, tuple[float, float, float, float]] = {
    "car_sedan": (0.42, -0.80, 0.08, -0.48),
    "car_hatch": (0.48, -0.96, 0.12, -0.76),
    "suv": (0.46, -0.97, 0.20, -0.84),
    "van": (0.80, -1.0, 0.52, -0.98),
}
_WHEELS: dict[str, tuple[float, tuple[float, ...]]] = {  # radius [m], x shares of the axles
    "car_sedan": (0.33, (0.60, -0.58)),
    "car_hatch": (0.31, (0.62, -0.62)),
    "suv": (0.37, (0.60, -0.58)),
    "van": (0.35, (0.64, -0.58)),
    "truck": (0.48, (0.66, -0.46, -0.74)),
}
PAINT: Colour = (0.92, 0.92, 0.92)  # multiplied by the instance's tint
GLASS = colour_of("#1d2a33")
TYRE = colour_of("#18181a")
RIM = colour_of("#8f9296")
TRIM = colour_of("#26272a")
HEADLAMP = colour_of("#e9eef0")
TAILLAMP = colour_of("#b0141b")
PLATE = colour_of("#d8d8d0")
HOUSING = colour_of("#0c0d0e")
LAMPS: dict[str, tuple[float, Colour, Colour]] = {  # z [m], lit, dark
    "red": (0.5, colour_of("#ff2a1f"), colour_of("#2a0b0a")),
    "yellow": (0.0, colour_of("#ffc21a"), colour_of("#2a220a")),
    "green": (-0.5, colour_of("#20f08a"), colour_of("#08261a")),
}
WHEEL_SIDES = 12
BODY_WIDTH_SHARE = 0.965  # the wheels stand out a little
LAMP_RADIUS_M = 0.23
HOUSING_EXTENT_M = (0.14, 0.29, 0.78)
BACKPLATE_EXTENT_M = (0.02, 0.48, 0.98)


def prototype_extent(name: str) -> tuple[float, float, float]:
    """Half sizes along x, y, z [m]."""
    if name.startswith("light_") and name in PROTOTYPES:
        return HOUSING_EXTENT_M[0], BACKPLATE_EXTENT_M[1], BACKPLATE_EXTENT_M[2]
    if name not in _EXTENTS:
        raise ValueError(f"unknown prototype {name!r}; there are {', '.join(PROTOTYPES)}")
    return _EXTENTS[name]


def _outline(front: float, rear: float, half_width: float) -> np.ndarray:
    return rectangle(((front + rear) / 2.0, 0.0), 0.0, (front - rear) / 2.0, half_width)


def _disc(
    builder: MeshBuilder,
    x: float,
    y: float,
    z: float,
    radius: float,
    side: float,
    sides: int,
    colour: Colour,
    label: Label,
    share: float = 1.0,
) -> None:
    """A disc (or its upper part) in a plane of constant y that faces outwards on that side."""
    angle = np.arange(sides) * (2.0 * np.pi * share / (sides if share == 1.0 else sides - 1))
    ring = np.column_stack([x + radius * np.cos(angle), np.full(sides, y), z + radius * np.sin(angle)])
    i = np.arange(1, sides - 1)
    fan = np.stack([np.zeros(sides - 2, dtype=int), i, i + 1], axis=1)
    # counter-clockwise in (x, z) faces -y
    builder.add(ring, fan if side < 0 else fan[:, ::-1], colour, label)


def _wheel(builder: MeshBuilder, x: float, side: float, radius: float, half_width: float, label: Label) -> None:
    """Rubber with a rim, its outer face at the bounding box, under a dark arch on the body's side."""
    outer, inner = side * half_width, side * (half_width - 0.22)
    _disc(
        builder, x, side * half_width * BODY_WIDTH_SHARE + side * 0.004, radius, radius * 1.2, side, 8, TRIM, label, 0.5
    )
    _disc(builder, x, outer - side * 0.004, radius, radius, side, WHEEL_SIDES, TYRE, label)
    _disc(builder, x, outer, radius, radius * 0.6, side, WHEEL_SIDES, RIM, label)
    _disc(builder, x, inner, radius, radius, -side, WHEEL_SIDES, TYRE, label)
    angle = np.arange(WHEEL_SIDES + 1) * (2.0 * np.pi / WHEEL_SIDES)
    right, left = (
        np.column_stack([x + radius * np.cos(angle), np.full(len(angle), y), radius + radius * np.sin(angle)])
        for y in sorted((inner, outer - side * 0.004))
    )
    builder.ribbon(left, right, TYRE, label)


def _lamps_and_plates(builder: MeshBuilder, name: str, label: Label) -> None:
    """Slabs that stand a few centimetres out of the body's front and rear."""
    ex, ey, ez = _EXTENTS[name]
    z = 2.0 * ez * (0.43 if name != "truck" else 0.25)
    slabs = [
        (ex * 0.97, 0.0, 2.0 * ez * 0.30, 0.45, 0.06, TRIM),
        (-ex * 0.98, 0.0, 2.0 * ez * 0.36, 0.24, 0.06, PLATE),
    ]
    for side in (-1.0, 1.0):
        slabs.append((ex * 0.96, side * ey * 0.72, z, 0.17, 0.07, HEADLAMP))
        slabs.append((-ex * 0.975, side * ey * 0.74, z + 0.05, 0.16, 0.10, TAILLAMP))
    for x, y, height, half_width, half_height, colour in slabs:
        depth = ex * 1.006 - abs(x)
        builder.box((x, y), height, 0.0, (depth, half_width, half_height), colour, label)


def _vehicle(builder: MeshBuilder, name: str) -> None:
    ex, ey, ez = _EXTENTS[name]
    label = Label.TRUCK if name == "truck" else Label.CAR
    height = 2.0 * ez
    rows = _PROFILES[name]
    for i, (lower, upper) in enumerate(itertools.pairwise(rows)):
        widths = [ey * w for w in (0.92, BODY_WIDTH_SHARE, 0.945)]
        builder.loft(
            _outline(lower[1] * ex, lower[2] * ex, widths[i]),
            lower[0] * height,
            _outline(upper[1] * ex, upper[2] * ex, widths[i + 1]),
            upper[0] * height,
            PAINT,
            label,
            Material.BODY,
            bottom=i == 0,
            top=i == len(rows) - 2,
        )
    waist = rows[-1][0] * height
    if name == "truck":
        cab = _outline(ex, 0.52 * ex, ey * 0.92)
        builder.loft(
            cab,
            waist,
            _outline(0.97 * ex, 0.52 * ex, ey * 0.92),
            0.84 * height,
            PAINT,
            label,
            Material.BODY,
            bottom=False,
        )
        slope = np.array([[0.992, -0.8, 0.52], [0.992, 0.8, 0.52], [0.975, 0.8, 0.78], [0.975, -0.8, 0.78]])
        builder.quad(slope * [ex, ey, height] + [0.012, 0.0, 0.0], GLASS, label, Material.GLASS)
        for side in (-1.0, 1.0):
            door = np.array([[0.62, 0.927, 0.55], [0.62, 0.927, 0.77], [0.92, 0.927, 0.77], [0.92, 0.927, 0.55]])
            corners = door * [ex, side * ey, height]
            builder.quad(corners if side > 0 else corners[::-1], GLASS, label, Material.GLASS)
        cargo = _outline(0.47 * ex, -ex, ey)
        builder.loft(cargo, waist, cargo, height, (0.86, 0.86, 0.84), label, bottom=False)
    else:
        front, rear, roof_front, roof_rear = (share * ex for share in _CABINS[name])
        sill = 0.93 * height
        taper = ey * (0.80 if name != "van" else 0.88)
        pane = _outline(front, rear, ey * 0.92)
        builder.loft(
            pane,
            waist,
            _outline(roof_front, roof_rear, taper),
            sill,
            GLASS,
            label,
            Material.GLASS,
            bottom=False,
            top=False,
        )
        roof = _outline(roof_front, roof_rear, taper)
        builder.loft(
            roof,
            sill,
            _outline(roof_front - 0.1, roof_rear + 0.1, taper - 0.06),
            height,
            PAINT,
            label,
            Material.BODY,
            bottom=False,
        )
        # pillars: the doors' edge, in paint, just proud of the glass
        for x_low, x_high in ((0.12 * (front + rear), 0.25 * (roof_front + roof_rear)),):
            for side in (-1.0, 1.0):
                pillar = np.array(
                    [
                        [x_low - 0.06, ey * 0.925, waist],
                        [x_high - 0.06, taper + 0.006, sill],
                        [x_high + 0.06, taper + 0.006, sill],
                        [x_low + 0.06, ey * 0.925, waist],
                    ]
                ) * [1.0, side, 1.0]
                builder.quad(pillar if side > 0 else pillar[::-1], PAINT, label, Material.BODY)
    radius, axles = _WHEELS[name]
    for axle in axles:
        for side in (-1.0, 1.0):
            _wheel(builder, axle * ex, side, radius, ey, label)
    _lamps_and_plates(builder, name, label)


def _pedestrian(builder: MeshBuilder) -> None:
    label = Label.PEDESTRIANS
    trousers, skin, hair = colour_of("#2b3347"), colour_of("#c99a7c"), colour_of("#33241b")
    for side in (-1.0, 1.0):
        builder.box((side * 0.05, side * 0.10), 0.42, 0.0, (0.09, 0.08, 0.42), trousers, label)
        builder.box((0.0, side * 0.255), 1.12, 0.0, (0.07, 0.045, 0.32), (0.85, 0.85, 0.85), label, Material.BODY)
    builder.loft(
        rectangle((0.0, 0.0), 0.0, 0.12, 0.19),
        0.82,
        rectangle((0.0, 0.0), 0.0, 0.13, 0.21),
        1.47,
        (0.92, 0.92, 0.92),
        label,
        Material.BODY,
    )
    vertices, triangles = icosphere()
    builder.add(vertices * [0.11, 0.10, 0.13] + [0.0, 0.0, 1.62], triangles, skin, label)
    builder.add(vertices * [0.115, 0.105, 0.11] + [-0.02, 0.0, 1.685], triangles, hair, label)


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
    if name == "pedestrian":
        _pedestrian(builder)
    elif name == "box":
        builder.box((0.0, 0.0), 0.0, 0.0, _EXTENTS["box"], PAINT, Label.DYNAMIC, Material.BODY)
    elif name.startswith("light_"):
        _light(builder, name.removeprefix("light_"))
    else:
        _vehicle(builder, name)
    return builder.build()


def prototype_meshes() -> tuple[Mesh, ...]:
    """One mesh for each name in PROTOTYPES, in that order."""
    return tuple(_prototype(name) for name in PROTOTYPES)
