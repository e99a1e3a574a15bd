"""Industrial estates: halls, their offices and yards, tanks and containers. Right-handed coordinates."""

from __future__ import annotations

from carla_bridge.embedded.towns.dressing.houses import free_ground
from carla_bridge.embedded.towns.dressing.palette import (
    BRANDS,
    CONCRETE,
    FLAT_ROOF,
    HALL_WALLS,
    METAL_ROOF,
    OFFICE_WALLS,
    PANE,
    STEEL,
    YARD,
    shaded,
)
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage
from carla_bridge.embedded.types import Label, Material

CONTAINER_HALF_M = (3.05, 1.22)  # 20 foot: 6.1 x 2.44 x 2.59 m (ISO 668)
CONTAINER_HEIGHT_M = 2.59


def _add_hall(stage: Stage, spot: Spot, eu: float, ev: float, height: float) -> None:
    """Sheet metal with a coloured band, a strip of windows, gates and roof lights."""
    low, high = stage.levels(spot.outline(eu, ev))
    wall, brand = stage.pick(HALL_WALLS), stage.pick(BRANDS)
    top = high + height
    stage.block(spot, eu + 0.04, ev + 0.04, low - 0.4, high + 0.5, CONCRETE, top=False)
    stage.block(spot, eu, ev, high + 0.2, top, wall, roof=stage.pick(METAL_ROOF))
    stage.block(spot, eu + 0.12, ev + 0.12, top - 0.9, top + 0.25, brand, top=False, bottom=True)
    stage.block(spot, eu - 0.25, ev - 0.25, top - 0.2, top + 0.05, FLAT_ROOF)
    if stage.chance(0.6):
        stage.panel(spot, -0.85 * eu, 0.85 * eu, top - 2.6, top - 1.5, -ev - 0.03, PANE, material=Material.GLASS)
    gates = max(1, int(eu // 5.0))
    for i in range(gates):
        u = -eu + (i + 0.5) * 2.0 * eu / gates
        tone = shaded(STEEL, 0.9) if stage.chance(0.7) else shaded(brand, 0.9)
        stage.panel(spot, u - 1.7, u + 1.7, high + 0.1, high + 3.8, -ev - 0.06, tone)
        for z in (1.2, 2.4):
            stage.panel(spot, u - 1.7, u + 1.7, high + z, high + z + 0.05, -ev - 0.07, shaded(tone, 0.6))
    for i in range(max(1, int(eu // 6.0))):
        light = spot.moved(-0.8 * eu + i * 12.0, 0.0)
        stage.block(light, 1.1, 0.7 * ev, top + 0.05, top + 0.55, shaded(PANE, 1.8), material=Material.GLASS)
    stage.panel(spot, -0.2 * eu, 0.2 * eu, top - 0.75, top + 0.1, -ev - 0.16, (0.93, 0.93, 0.91))
    stage.solid(spot, eu, ev, low, top, Label.BUILDINGS)


def _add_office(stage: Stage, spot: Spot, eu: float, ev: float) -> None:
    low, high = stage.levels(spot.outline(eu, ev))
    wall = stage.pick(OFFICE_WALLS)
    top = high + 3.3 * int(stage.rng.integers(2, 4)) + 0.4
    stage.block(spot, eu + 0.04, ev + 0.04, low - 0.4, high + 0.2, CONCRETE, top=False)
    stage.block(spot, eu, ev, high, top, wall, material=Material.FACADE, roof=FLAT_ROOF)
    stage.block(spot, eu + 0.15, ev + 0.15, top - 0.15, top + 0.35, shaded(wall, 0.75), top=False, bottom=True)
    stage.solid(spot, eu, ev, low, top, Label.BUILDINGS)


def _add_containers(stage: Stage, spot: Spot) -> None:
    """A stack or two beside one another."""
    eu, ev = CONTAINER_HALF_M
    for row in range(int(stage.rng.integers(1, 4))):
        at = stage.grounded(spot.moved(0.0, row * 2.7))
        levels = int(stage.rng.integers(1, 3))
        for level in range(levels):
            z = at.z + level * CONTAINER_HEIGHT_M
            stage.block(
                at,
                eu,
                ev,
                z - (0.2 if level == 0 else 0.0),
                z + CONTAINER_HEIGHT_M - 0.03,
                stage.pick(BRANDS),
                Label.STATIC,
            )
        stage.solid(at, eu, ev, at.z, at.z + levels * CONTAINER_HEIGHT_M, Label.STATIC)


def _add_tank(stage: Stage, place: tuple[float, float], radius: float) -> None:
    z = float(stage.z([place])[0])
    tall = stage.uniform(5.0, 8.5)
    stage.builder.prism(place, z - 0.5, z + tall, radius, radius, 14, (0.84, 0.85, 0.85), Label.BUILDINGS)
    stage.builder.prism(place, z + tall, z + tall + 0.8, radius, 0.0, 14, (0.72, 0.74, 0.75), Label.BUILDINGS)
    stage.solid(Spot(*place, z, 0.0), 0.88 * radius, 0.88 * radius, z, z + tall, Label.BUILDINGS)


def _add_stack(stage: Stage, place: tuple[float, float]) -> None:
    """A chimney with a red top, to find one's way by."""
    z = float(stage.z([place])[0])
    stage.builder.prism(place, z - 0.5, z + 22.0, 1.1, 0.75, 10, CONCRETE, Label.BUILDINGS)
    stage.builder.prism(place, z + 22.0, z + 25.0, 0.78, 0.7, 10, (0.66, 0.20, 0.16), Label.BUILDINGS)
    stage.solid(Spot(*place, z, 0.0), 0.95, 0.95, z, z + 25.0, Label.BUILDINGS)


def add_estate(stage: Stage, front: Spot, eu: float, ev: float, setback: float) -> bool:
    """One company's ground: hall behind a yard, office in front, goods beside it."""
    depth = setback + 2.0 * ev + 3.0
    ground = front.moved(0.0, depth / 2.0 + 0.6)
    low, high = stage.levels(ground.outline(eu, depth / 2.0))
    if high - low > 2.5 or not free_ground(stage, front.moved(0.0, setback + ev), eu, ev + 1.0):
        return False
    if not stage.lots.free(ground.polygon(eu + 1.0, depth / 2.0), flat=True):
        return False
    hall_eu = eu - stage.uniform(1.0, 4.0)
    if stage.flat:
        stage.carpet(
            front.moved(0.0, setback / 2.0 + 0.9), eu, setback / 2.0 + 0.4, YARD, Label.GROUND, Material.ASPHALT
        )
    else:
        stage.carpet(front.moved(0.0, setback / 2.0), 4.0, setback / 2.0 - 0.2, YARD, Label.GROUND, Material.ASPHALT)
    _add_hall(stage, front.moved(0.0, setback + ev), hall_eu, ev, stage.uniform(6.5, 10.5))
    side = 1.0 if stage.chance(0.5) else -1.0
    office = front.moved(side * (eu - 6.0), setback - 4.2)
    if setback > 12.0 and stage.lots.free(office.polygon(5.2, 4.0)):
        _add_office(stage, office, 5.0, 3.8)
    if setback > 11.0 and stage.chance(0.7):
        goods = front.moved(-side * (eu - 4.0), setback - 8.6)
        if stage.lots.free(goods.moved(0.0, 2.7).polygon(3.2, 4.1)):
            _add_containers(stage, goods)
    stage.lots.take(ground.polygon(eu + 1.0, depth / 2.0))
    behind = front.moved(0.0, depth + 6.0)
    if stage.chance(0.35) and free_ground(stage, behind, 9.0, 4.5):
        for u in (-5.0, 4.5):
            _add_tank(stage, behind.at(u, 0.0), stage.uniform(2.8, 3.8))
        stage.lots.take(behind.polygon(9.0, 4.5))
    elif stage.chance(0.15) and free_ground(stage, behind, 2.0, 2.0):
        _add_stack(stage, behind.at(0.0, 0.0))
        stage.lots.take(behind.polygon(2.0, 2.0))
    return True


def add_estates(stage: Stage, density: float, allowed: float) -> None:
    """Company after company along the roads."""
    for walk, pace in stage.paced_walks(allowed):
        s = stage.uniform(1.0, 5.0)
        while s < walk.length - 10.0:
            eu = stage.uniform(11.0, 22.0)
            front = walk.spot(min(s + eu, walk.length))
            built = stage.chance(density * pace) and any(
                add_estate(stage, front, width, ev, setback)
                for width, ev, setback in ((eu, 13.0, 16.0), (eu, 9.5, 12.5), (9.0, 8.0, 9.0))
            )
            s += 2.0 * eu + stage.uniform(3.0, 8.0) if built else 9.0
