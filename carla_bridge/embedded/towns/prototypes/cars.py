"""Passenger cars and what is built on one: hulls with a glass cabin, lamps, mirrors and door lines.

Dimensions are typical of each class of vehicle, not of a make.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from carla_bridge.embedded.towns.meshes import MeshBuilder, colour_of
from carla_bridge.embedded.towns.prototypes.parts import (
    GLASS,
    HEADLAMP,
    INDICATOR,
    PAINT,
    PLATE,
    TAILLAMP,
    TRIM,
    WHITE,
    YELLOW,
    Looks,
    Skin,
    arch,
    block,
    outline,
    wheel,
)
from carla_bridge.embedded.types import Label, Material

BODY_WIDTH_SHARE = 0.965  # the wheels stand out a little
LEFT, REAR_CORNER, REAR, FRONT_CORNER, FRONT = 1, 2, 3, 0, 7  # edges of `outline`
BLUE_LAMP: Looks = (colour_of("#2346d8"), Material.PLAIN)
RED_LAMP: Looks = (colour_of("#d42a24"), Material.PLAIN)


@dataclass(frozen=True)
class Car:
    """All lengths but the wheel's as shares of half the length (x) or of the height (z)."""

    extent: tuple[float, float, float]  # half length, width, height [m]
    rows: tuple[tuple[float, float, float], ...]  # z, front x, rear x of the body above the sills
    cabin: tuple[float, float, float, float]  # front and rear x at the waist, front and rear x at the roof
    wheel_m: float  # radius
    axles: tuple[float, float]
    doors: tuple[float, ...]  # x of the lines between and behind the doors
    roof_width: float = 0.80  # share of half the width
    chamfer: tuple[float, float] = (0.30, 0.16)  # [m] cut off the corners


SEDAN = Car(
    (2.40, 0.95, 0.74),
    ((0.16, 0.97, -0.97), (0.36, 1.0, -1.0), (0.58, 0.93, -0.97)),
    (0.42, -0.80, 0.08, -0.48),
    0.33,
    (0.60, -0.58),
    (0.36, -0.06, -0.42),
)
HATCH = Car(
    (2.00, 0.90, 0.75),
    ((0.16, 0.97, -0.97), (0.36, 1.0, -1.0), (0.58, 0.92, -0.99)),
    (0.48, -0.96, 0.12, -0.76),
    0.31,
    (0.62, -0.62),
    (0.40, -0.10, -0.46),
)
SUV = Car(
    (2.30, 0.98, 0.87),
    ((0.19, 0.98, -0.98), (0.40, 1.0, -1.0), (0.60, 0.95, -0.99)),
    (0.46, -0.97, 0.20, -0.84),
    0.37,
    (0.60, -0.58),
    (0.40, -0.04, -0.42),
)
VAN = Car(
    (2.70, 1.00, 1.15),
    ((0.14, 0.98, -0.99), (0.32, 1.0, -1.0), (0.50, 0.96, -1.0)),
    (0.80, -1.0, 0.52, -0.98),
    0.35,
    (0.64, -0.58),
    (0.64, 0.26, -0.28),
    roof_width=0.88,
    chamfer=(0.22, 0.14),
)
SPORTS = Car(
    (2.36, 0.95, 0.65),
    ((0.16, 0.97, -0.97), (0.38, 1.0, -1.0), (0.62, 0.90, -0.98)),
    (0.22, -0.78, -0.08, -0.52),
    0.34,
    (0.62, -0.58),
    (0.18, -0.34),
    roof_width=0.76,
    chamfer=(0.38, 0.20),
)
MICROLINO = Car(
    (1.10, 0.74, 0.69),
    ((0.20, 0.93, -0.94), (0.40, 1.0, -1.0), (0.58, 0.96, -0.97)),
    (0.90, -0.86, 0.34, -0.52),
    0.27,
    (0.50, -0.52),
    (0.42, -0.40),
    roof_width=0.82,
    chamfer=(0.14, 0.18),
)
SHAPES: dict[str, Car] = {
    "car_sedan": SEDAN,
    "car_hatch": HATCH,
    "suv": SUV,
    "van": VAN,
    "sports": SPORTS,
    "microlino": MICROLINO,
    # a bar or a sign on the roof is part of the box
    "police": replace(SEDAN, extent=(2.50, 0.98, 0.77)),
    "taxi": replace(SEDAN, extent=(2.60, 0.92, 0.79)),
}
_ON_ROOF_M = {"police": 0.12, "taxi": 0.15}


def draw_car(builder: MeshBuilder, name: str) -> None:
    car = SHAPES[name]
    length, width, height = car.extent[0], car.extent[1], 2.0 * car.extent[2] - _ON_ROOF_M.get(name, 0.0)
    hull = Skin(
        tuple(
            outline(front * length, rear * length, share * width, z * height, car.chamfer)
            for (z, front, rear), share in zip(car.rows, (0.92, BODY_WIDTH_SHARE, 0.945), strict=True)
        )
    )
    label = Label.CAR
    hull.draw(builder, PAINT, label)
    waist = car.rows[-1][0] * height
    _cabin(builder, car, waist, height)
    for axle in car.axles:
        for side in (-1.0, 1.0):
            wheel(builder, axle * length, side * width, 0.22, car.wheel_m, label)
            arch(
                builder, axle * length, side * (width * BODY_WIDTH_SHARE + 0.004), car.wheel_m, 1.2 * car.wheel_m, label
            )
    _lamps(builder, hull)
    _doors(builder, hull, car)
    _mirrors(builder, car, waist)
    roof_x = 0.5 * (car.cabin[2] + car.cabin[3]) * length
    if name == "police":
        bar(builder, roof_x, height - 0.01, 0.55, 0.13, label)
        hull.mark_both(builder, 1, LEFT, (0.32, 0.60), (0.02, 0.98), WHITE, label)
    elif name == "taxi":
        block(builder, (roof_x - 0.09, -0.24, height - 0.01), (roof_x + 0.09, 0.24, height + 0.15), YELLOW, label)


def _cabin(builder: MeshBuilder, car: Car, waist: float, height: float) -> None:
    """Glass all around between painted pillars, under a painted roof."""
    length, width = car.extent[0], car.extent[1]
    front, rear, roof_front, roof_rear = (share * length for share in car.cabin)
    sill, taper = 0.93 * height, car.roof_width * width
    glass = Skin((outline(front, rear, 0.92 * width, waist), outline(roof_front, roof_rear, taper, sill)))
    glass.draw(builder, GLASS, Label.CAR, bottom=False, top=False)
    side = 0  # of the four edges of a plain rectangle
    for along in ((0.0, 0.04), (0.47, 0.52), (0.93, 1.0)):
        glass.mark_both(builder, 0, side, along, (0.0, 1.0), PAINT, Label.CAR)
    crown = outline(roof_front - 0.1, roof_rear + 0.1, taper - 0.06, height)
    Skin((glass.rings[1], crown)).draw(builder, PAINT, Label.CAR, bottom=False)


def _lamps(builder: MeshBuilder, hull: Skin) -> None:
    """Lamps around the corners, the outermost part of each an indicator; plates, grille and sills."""
    for edge, along, up, looks in (
        (FRONT, (0.0, 0.24), (0.14, 0.52), HEADLAMP),
        (FRONT_CORNER, (0.0, 0.66), (0.14, 0.52), HEADLAMP),
        (FRONT_CORNER, (0.66, 1.0), (0.14, 0.52), INDICATOR),
        (REAR, (0.0, 0.20), (0.30, 0.74), TAILLAMP),
        (REAR_CORNER, (0.34, 1.0), (0.30, 0.74), TAILLAMP),
        (REAR_CORNER, (0.0, 0.34), (0.30, 0.74), INDICATOR),
    ):
        hull.mark_both(builder, 1, edge, along, up, looks, Label.CAR)
    hull.mark(builder, 0, FRONT, (0.18, 0.82), (0.42, 0.92), TRIM, Label.CAR)
    hull.mark(builder, 0, FRONT, (0.36, 0.64), (0.48, 0.80), PLATE, Label.CAR, proud_m=0.012)
    hull.mark(builder, 0, REAR, (0.36, 0.64), (0.50, 0.90), PLATE, Label.CAR)
    hull.mark_both(builder, 0, LEFT, (0.22, 0.78), (0.0, 0.22), TRIM, Label.CAR)


def _doors(builder: MeshBuilder, hull: Skin, car: Car) -> None:
    """Dark lines down the sides."""
    for row, up in ((0, (0.22, 1.0)), (1, (0.0, 0.98))):
        start, end = hull.rings[row][1, 0], hull.rings[row][2, 0]
        for share in car.doors:
            u, half = (start - share * car.extent[0]) / (start - end), 0.007 / (start - end)
            hull.mark_both(builder, row, LEFT, (u - half, u + half), up, TRIM, Label.CAR)


def _mirrors(builder: MeshBuilder, car: Car, waist: float) -> None:
    x, width = car.cabin[0] * car.extent[0] - 0.14, car.extent[1]
    for side in (-1.0, 1.0):
        low, high = sorted((side * 0.91 * width, side * width))
        block(builder, (x - 0.10, low, waist + 0.02), (x, high, waist + 0.15), PAINT, Label.CAR)


def bar(builder: MeshBuilder, x: float, z: float, half_width: float, height: float, label: Label) -> None:
    """A bar of blue and red lamps across the roof."""
    for side, looks in ((-1.0, RED_LAMP), (1.0, BLUE_LAMP)):
        low, high = sorted((0.0, side * half_width))
        block(builder, (x - 0.14, low, z), (x + 0.14, high, z + height), looks, label)
