"""What a village or a farm is recognised by: church, barns, silos, a market square. Right-handed coordinates."""

from __future__ import annotations

import math

from carla_bridge.embedded.towns.dressing.barriers import enclose
from carla_bridge.embedded.towns.dressing.houses import add_house, floor_of, free_ground, rustic
from carla_bridge.embedded.towns.dressing.palette import (
    BARN_BOARDS,
    DARK_STEEL,
    FENCE_WOOD,
    GRAVEL,
    PANE,
    PATH,
    SLATES,
    STEEL,
    STONES,
    VILLAGE_WALLS,
    shaded,
)
from carla_bridge.embedded.towns.dressing.planting import grow, plant_tree
from carla_bridge.embedded.towns.dressing.roofs import add_saddle, add_spire
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage
from carla_bridge.embedded.towns.dressing.streets import add_bench
from carla_bridge.embedded.types import Label, Material

SQUARE_HALF_M = 11.0


def sites_by_centre(stage: Stage, every: float) -> list[Spot]:
    """Places along the verges, those nearest to the middle of the place first."""
    spots = [
        walk.spot(float(s))
        for walk in stage.town_walks()
        for s in [every / 2.0 + i * every for i in range(int(walk.length // every))]
    ]
    return sorted(spots, key=lambda p: (round(math.dist((p.x, p.y), stage.centre), 3), p.x, p.y))


def add_church(stage: Stage) -> bool:
    """Nave, tower and spire in a walled churchyard."""
    for front in sites_by_centre(stage, 6.0):
        yard = front.moved(0.0, 17.5)
        if not free_ground(stage, yard, 11.5, 16.5):
            continue
        nave, tower = front.moved(0.0, 20.0, math.pi / 2.0), front.moved(0.0, 9.0)
        floor = floor_of(stage, nave, 8.5, 4.2)
        if floor is None:
            continue
        wall, slate = stage.pick(VILLAGE_WALLS), stage.pick(SLATES)
        low = floor - 3.0
        stage.block(nave, 8.5, 4.2, low, floor + 6.5, wall, top=False)
        add_saddle(stage, nave, 8.5, 4.2, floor + 6.5, 4.2, wall, slate)
        for u in (-5.6, -1.9, 1.9, 5.6):  # tall windows on both long sides
            for turn in (0.0, math.pi):
                side = nave.moved(0.0, 0.0, turn)
                stage.panel(side, u - 0.45, u + 0.45, floor + 1.6, floor + 5.0, -4.24, PANE, material=Material.GLASS)
        stage.block(tower, 2.6, 2.6, low, floor + 15.0, shaded(wall, 0.97), top=False)
        stage.block(tower, 2.8, 2.8, floor + 14.7, floor + 15.2, shaded(wall, 1.1), bottom=True)
        add_spire(stage, tower, 2.8, floor + 15.2, 8.5, shaded(slate, 0.9))
        for quarter in range(4):
            face = tower.moved(0.0, 0.0, quarter * math.pi / 2.0)
            stage.panel(face, -0.5, 0.5, floor + 11.6, floor + 13.8, -2.63, DARK_STEEL)
            stage.panel(face, -0.75, 0.75, floor + 9.2, floor + 10.7, -2.64, (0.92, 0.91, 0.86))
            stage.panel(face, -0.05, 0.05, floor + 9.95, floor + 10.6, -2.66, DARK_STEEL)
            stage.panel(face, -0.05, 0.4, floor + 9.9, floor + 10.0, -2.66, DARK_STEEL)
        stage.block(tower.moved(0.0, -2.6), 1.0, 0.08, floor - 0.5, floor + 2.8, (0.27, 0.19, 0.13))
        stage.carpet(front.moved(0.0, 3.2), 1.1, 3.1, PATH, Label.GROUND, Material.PAVING)
        for end in (-11.0, 11.0):
            enclose(stage, front.at(end, 1.4), front.at(math.copysign(1.6, end), 1.4), "wall", STONES[1])
            enclose(stage, front.at(end, 1.9), front.at(end, 33.5), "wall", STONES[1])
        for u, v in ((-8.0, 5.5), (8.0, 6.5), (-8.5, 26.0), (8.2, 28.0)):
            plant_tree(stage, front.at(u, v), stage.uniform(1.7, 2.4), "street", species="linden")
        stage.solid(nave, 8.5, 4.2, low + 2.0, floor + 6.5, Label.BUILDINGS)
        stage.solid(tower, 2.6, 2.6, low + 2.0, floor + 15.0, Label.BUILDINGS)
        stage.lots.take(yard.polygon(11.5, 16.5))
        return True
    return False


def add_square(stage: Stage) -> bool:
    """A paved market square with a fountain, lindens and benches."""
    half = SQUARE_HALF_M
    for front in sites_by_centre(stage, 6.0):
        middle = front.moved(0.0, half + 0.3)
        if not free_ground(stage, middle, half, half):
            continue
        stage.carpet(middle, half, half, GRAVEL, Label.SIDEWALKS, Material.PAVING, lift=0.06)
        z = stage.grounded(middle).z
        at = (middle.x, middle.y)
        stage.builder.prism(at, z - 0.3, z + 0.55, 1.9, 1.9, 10, STONES[3], Label.STATIC)
        stage.builder.prism(at, z + 0.55, z + 0.58, 1.65, 1.65, 10, (0.30, 0.42, 0.46), Label.WATER, Material.GLASS)
        stage.builder.prism(at, z + 0.5, z + 1.9, 0.22, 0.15, 6, STONES[3], Label.STATIC)
        stage.builder.prism(at, z + 1.7, z + 1.95, 0.25, 0.7, 8, STONES[0], Label.STATIC, bottom=True)
        stage.solid(middle, 1.7, 1.7, z, z + 0.6, Label.STATIC)
        for u in (-7.5, 7.5):
            for v in (-6.0, 7.5):
                grow(stage, middle.at(u, v), stage.uniform(1.6, 2.0), "linden")
            add_bench(stage, middle.moved(u * 0.55, 1.0, math.copysign(math.pi / 2.0, -u)))
        stage.lots.take(middle.polygon(half, half))
        return True
    return False


def add_barn(stage: Stage, spot: Spot, eu: float, ev: float) -> bool:
    """Boards, a big door towards -v, a wide roof."""
    low, high = stage.levels(spot.outline(eu, ev))
    if not free_ground(stage, spot, eu + 0.6, ev + 0.6):
        return False
    boards, top = stage.pick(BARN_BOARDS), high + stage.uniform(3.6, 4.8)
    stage.block(spot, eu + 0.05, ev + 0.05, low - 0.3, high + 0.6, STONES[2], top=True)
    stage.block(spot, eu, ev, high, top, boards, top=False)
    add_saddle(stage, spot, eu, ev, top, min(eu, ev) * 0.75, boards, stage.pick(SLATES))
    stage.block(spot.moved(0.0, -ev - 0.04), 1.9, 0.05, high - 0.3, high + 3.3, shaded(boards, 0.7))
    stage.panel(spot, -0.04, 0.04, high, high + 3.3, -ev - 0.1, shaded(boards, 1.4))
    stage.solid(spot, eu, ev, low, top, Label.BUILDINGS)
    stage.lots.take(spot.polygon(eu + 0.6, ev + 0.6))
    return True


def _add_silo(stage: Stage, place: tuple[float, float]) -> None:
    z = float(stage.z([place])[0])
    tall = stage.uniform(7.0, 10.0)
    stage.builder.prism(place, z - 0.4, z + tall, 1.7, 1.7, 10, STEEL, Label.BUILDINGS)
    stage.builder.prism(place, z + tall, z + tall + 1.1, 1.85, 0.0, 10, shaded(STEEL, 0.85), Label.BUILDINGS)
    stage.solid(Spot(*place, z, 0.0), 1.5, 1.5, z, z + tall, Label.BUILDINGS)


def add_farm(stage: Stage, front: Spot) -> bool:
    """House, one or two barns and perhaps a silo around a gravel yard, a paddock rail along the road."""
    middle = front.moved(0.0, 23.0)
    if not free_ground(stage, middle, 19.0, 19.0):
        return False
    side = 1.0 if stage.chance(0.5) else -1.0
    house = front.moved(-side * 11.0, 12.5)
    floor = floor_of(stage, house, 6.0, 4.6)
    if floor is None:
        return False
    stage.carpet(front.moved(0.0, 4.9), 2.0, 4.6, GRAVEL)
    stage.carpet(front.moved(0.0, 21.0), 8.0 if stage.flat else 4.0, 12.0, GRAVEL)
    add_house(stage, house, 6.0, 4.6, floor, rustic(stage))
    add_barn(stage, front.moved(side * 1.5, 36.5), stage.uniform(8.0, 11.0), 5.5)
    if stage.chance(0.7):
        add_barn(stage, front.moved(side * 13.5, 20.0, side * math.pi / 2.0), stage.uniform(6.5, 8.5), 4.6)
    if stage.chance(0.6):
        _add_silo(stage, front.at(-side * 13.0, 35.0))
    for u, v in ((-side * 16.0, 5.5), (-side * 16.5, 22.0), (side * 15.0, 5.0)):
        plant_tree(stage, front.at(u, v), stage.uniform(1.8, 2.4), "field")
    for end in (-18.0, 18.0):
        enclose(stage, front.at(end, 1.6), front.at(math.copysign(2.8, end), 1.6), "rail", FENCE_WOOD[1])
    stage.lots.take(middle.polygon(19.0, 19.0))
    return True


def add_farms(stage: Stage, spacing: float, share: float, allowed: float) -> None:
    """A farm here and there along the roads."""
    for walk, pace in stage.paced_walks(allowed):
        s = stage.uniform(0.1, 0.6) * spacing
        while s < walk.length - 10.0:
            if stage.chance(share * pace) and add_farm(stage, walk.spot(s)):
                s += spacing
            else:
                s += 0.45 * spacing
