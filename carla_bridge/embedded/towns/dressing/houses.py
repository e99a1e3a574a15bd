"""Detached houses with their gardens, and the terraces of a village. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import shapely

from carla_bridge.embedded.towns.dressing.barriers import boundary, enclose
from carla_bridge.embedded.towns.dressing.palette import (
    BRICK,
    DOORS,
    DRIVE,
    HEDGES,
    HOUSE_TILES,
    HOUSE_WALLS,
    PANE,
    PATH,
    SLATES,
    TRIM,
    VILLAGE_WALLS,
    shaded,
)
from carla_bridge.embedded.towns.dressing.planting import plant_shrub, plant_tree
from carla_bridge.embedded.towns.dressing.roofs import add_hip, add_saddle
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage
from carla_bridge.embedded.towns.meshes import Colour
from carla_bridge.embedded.types import Label, Material

STOREY_M = 2.8
BAY_M = 2.9  # the shader's: doors go between its windows
# Walls with windows reach one storey into the ground: the shader gives the lowest storey the wide panes of shops.
BURIED_M = STOREY_M
FLOOR_M = 0.2  # ground floor above the highest ground at the walls
STEEPEST_M = 2.2  # difference of ground level under one house
STREET_STRIP_M = 1.6  # between verge and plot: lamps, benches, the garden's front boundary
DOORSTEP_M = 0.95  # how far steps and canopies stand out
GARAGE_M = (1.7, 3.0, 2.5)  # half width, half depth, height


@dataclass(frozen=True)
class Look:
    """The materials of one house."""

    wall: Colour
    tiles: Colour
    door: Colour
    hipped: bool
    storeys: int


def suburban(stage: Stage) -> Look:
    return Look(
        stage.pick(HOUSE_WALLS),
        stage.pick(HOUSE_TILES),
        stage.pick(DOORS),
        stage.chance(0.35),
        2 if stage.chance(0.45) else 1,
    )


def rustic(stage: Stage) -> Look:
    return Look(stage.pick(VILLAGE_WALLS), stage.pick(SLATES), stage.pick(DOORS), False, 2 if stage.chance(0.35) else 1)


def floor_of(stage: Stage, spot: Spot, eu: float, ev: float) -> float | None:
    """Level of the ground floor, None where the land is too steep."""
    low, high = stage.levels(spot.outline(eu, ev))
    return high + FLOOR_M if high - low < STEEPEST_M else None


def add_house(
    stage: Stage, spot: Spot, eu: float, ev: float, floor: float, look: Look, *, ridge_across: bool = False
) -> None:
    """Walls with windows, roof, door (towards the road), chimney. ridge_across: its gable faces the road."""
    top = floor + look.storeys * STOREY_M + 0.4
    stage.block(spot, eu, ev, floor - BURIED_M, top, look.wall, Label.BUILDINGS, Material.FACADE, top=False)
    rise = min(eu, ev) * stage.uniform(0.75, 1.0)
    turned = spot.moved(0.0, 0.0, 1.5707963267948966) if ridge_across else spot
    along, across = (ev, eu) if ridge_across else (eu, ev)
    if look.hipped:
        add_hip(stage, spot, eu, ev, top, rise * 0.85, look.tiles)
    else:
        add_saddle(stage, turned, along, across, top, across * rise / min(eu, ev), look.wall, look.tiles, turn=False)
        _add_skylights(stage, turned, along, across, top, across * rise / min(eu, ev))
    bays = max(1, round(2.0 * eu / BAY_M))
    door_u = 2.0 * eu / bays * (bays // 2) - eu if bays > 1 else 0.0
    door = spot.moved(door_u, -ev)
    stage.block(door.moved(0.0, -0.02), 0.55, 0.05, floor - 0.4, floor + 2.15, look.door)
    stage.block(door.moved(0.0, -0.4), 0.8, 0.4, floor - 0.9, floor - 0.02, DRIVE)
    if stage.chance(0.6):
        stage.block(
            door.moved(0.0, -0.45),
            0.9,
            0.45,
            floor + 2.35,
            floor + 2.5,
            TRIM,
            bottom=True,
            roof=shaded(look.tiles, 1.1),
        )
    if stage.chance(0.75):
        chimney = turned.moved(stage.uniform(-0.6, 0.6) * along, stage.uniform(0.1, 0.3) * across)
        stage.block(chimney, 0.35, 0.3, top, top + rise + 0.9, BRICK, roof=shaded(BRICK, 0.5))
    low = stage.levels(spot.outline(eu, ev))[0]
    stage.solid(spot, eu, ev, low, top, Label.BUILDINGS)


def _add_skylights(stage: Stage, spot: Spot, eu: float, ev: float, z: float, rise: float) -> None:
    """Dark panes just above the slope that faces -v: roof windows or a solar array."""
    kind = int(stage.rng.integers(9))
    if kind < 5 or eu < 3.0:
        return
    slope = rise / ev
    solar = kind == 8
    spans = [(-0.75 * eu, 0.35 * eu)] if solar else [(-0.55 * eu, -0.55 * eu + 0.8), (0.4 * eu, 0.4 * eu + 0.8)]
    v0, v1 = (-0.82 * ev, -0.2 * ev) if solar else (-0.6 * ev, -0.6 * ev + 0.9)
    lift = 0.26
    for u0, u1 in spans:
        corners = [(*spot.at(u, v), z + (v + ev) * slope + lift) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))]
        stage.builder.quad(corners, shaded(PANE, 0.55 if solar else 0.9), Label.BUILDINGS, Material.GLASS)


def _add_garage(stage: Stage, spot: Spot, look: Look) -> None:
    eu, ev, height = GARAGE_M
    low, high = stage.levels(spot.outline(eu, ev))
    top = high + height
    stage.block(spot, eu, ev, low - 0.3, top, look.wall, roof=shaded(look.tiles, 0.8))
    stage.block(spot, eu + 0.12, ev + 0.12, top - 0.25, top + 0.08, TRIM, bottom=True, roof=shaded(look.tiles, 0.8))
    stage.panel(spot, -1.3, 1.3, high + 0.02, high + 2.15, -ev - 0.02, shaded(TRIM, 0.85))
    for z in (0.72, 1.44):
        stage.panel(spot, -1.3, 1.3, high + z, high + z + 0.03, -ev - 0.03, shaded(TRIM, 0.55))
    stage.solid(spot, eu, ev, low, top, Label.BUILDINGS)


def _drive(front: Spot, side: float, width: float) -> shapely.Polygon:
    """The strip in front of a plot that its drive crosses."""
    return front.moved(side * (width / 2.0 - 2.1), STREET_STRIP_M / 2.0 + 0.15).polygon(1.6, STREET_STRIP_M / 2.0)


def build_plot(stage: Stage, front: Spot, width: float, depth: float, look: Look) -> bool:
    """A house in its garden. front: the middle of the plot's side at the verge; False where there is no room."""
    plot = front.moved(0.0, depth / 2.0 + STREET_STRIP_M / 2.0)
    half_depth = (depth - STREET_STRIP_M) / 2.0
    land = plot.polygon(width / 2.0, half_depth)
    if not stage.lots.free(land, flat=True) or stage.on_island(land):
        return False
    with_garage = width > 15.5 and depth > 17.0 and stage.chance(0.8)
    sides = (1.0, -1.0) if stage.chance(0.5) else (-1.0, 1.0)
    drives = [side for side in sides if stage.lots.free(_drive(front, side, width), flat=True)]
    with_garage = with_garage and bool(drives)
    side = drives[0] if drives else sides[0]
    eu = min(stage.uniform(4.4, 6.4), (width - (5.6 if with_garage else 2.6)) / 2.0)
    ev = min(stage.uniform(4.0, 5.2), (depth - 7.0) / 2.0)
    setback = min(stage.uniform(4.5, 7.0), depth - 2.0 * ev - 1.5)
    u_house = -side * (width / 2.0 - eu - 1.3) if with_garage else stage.uniform(-0.1, 0.1) * width
    spot = front.moved(u_house, setback + ev)
    floor = floor_of(stage, spot, eu, ev)
    if floor is None or not stage.lots.free(spot.polygon(eu + 0.9, ev + 0.9)):
        return False
    add_house(stage, spot, eu, ev, floor, look)
    u_gap, half_gap = u_house, 0.8
    path_reach = (setback - 1.1) / 2.0
    if with_garage:
        u_gap, half_gap = side * (width / 2.0 - 2.1), 1.7
        garage = front.moved(u_gap, setback + 1.5 + GARAGE_M[1])
        if stage.lots.free(garage.polygon(GARAGE_M[0], GARAGE_M[1])):
            _add_garage(stage, garage, look)
        drive = front.moved(u_gap, (setback + 1.65) / 2.0)
        stage.carpet(drive, 1.5, (setback + 1.35) / 2.0, DRIVE, Label.GROUND, Material.PAVING)
        stage.carpet(front.moved((u_gap + u_house) / 2.0, setback - 0.5), abs(u_gap - u_house) / 2.0, 0.45, PATH)
    else:
        path = front.moved(u_house, path_reach + 0.2)
        if stage.lots.free(path.polygon(0.55, path_reach), flat=True):
            stage.carpet(path, 0.55, path_reach, PATH)
    if stage.thin > 0.45:
        _add_garden(stage, front, width, depth, (u_gap - half_gap, u_gap + half_gap), setback + 2.0 * ev)
    stage.lots.take(plot.polygon(width / 2.0, half_depth))
    return True


def _add_garden(stage: Stage, front: Spot, width: float, depth: float, gap: tuple[float, float], back: float) -> None:
    """Boundaries with a gap for the drive, trees and shrubs. back: v of the house's rear wall."""
    kind, colour = boundary(stage)
    half, near = width / 2.0 - 0.45, 0.95
    if kind != "none":
        enclose(stage, front.at(-half, near), front.at(max(-half, gap[0]), near), kind, colour)
        enclose(stage, front.at(min(half, gap[1]), near), front.at(half, near), kind, colour)
        for u in (-half, half) if stage.chance(0.7) else (half,):
            enclose(
                stage,
                front.at(u, near + 0.3),
                front.at(u, depth - 0.4),
                "hedge" if kind == "hedge" else "fence",
                colour,
            )
        if stage.chance(0.5):
            enclose(stage, front.at(-half, depth - 0.4), front.at(half, depth - 0.4), "hedge", stage.pick(HEDGES))
    trees = stage.style.tree_density * 2.2 * stage.thin
    for _ in range(int(trees) + int(stage.chance(trees % 1.0))):
        behind = depth - back > 3.5 and stage.chance(0.7)
        v = stage.uniform(back + 2.2, depth - 0.8) if behind else stage.uniform(2.2, 3.6)
        u = stage.uniform(-half + 1.6, half - 1.6)
        if gap[0] - 1.5 < u < gap[1] + 1.5 and not behind:
            continue
        plant_tree(stage, front.at(u, v), stage.uniform(1.3, 2.5), kind="garden")
    for _ in range(int(stage.rng.integers(0, 3))):
        u = stage.uniform(-half + 0.8, half - 0.8)
        if not gap[0] - 0.8 < u < gap[1] + 0.8:
            plant_shrub(stage, front.at(u, stage.uniform(1.6, 3.0)))


def add_suburb(stage: Stage, density: float, allowed: float, depths: tuple[float, ...] = (27.0, 22.0, 17.0)) -> None:
    """Plot after plot along every street."""
    for walk, pace in stage.paced_walks(allowed):
        s = stage.uniform(0.5, 3.0)
        while s < walk.length - 12.0:
            width = stage.uniform(15.0, 21.0)
            if s + width > walk.length + 2.0:
                width = walk.length + 2.0 - s
            if width < 12.5:
                break
            if not stage.chance(density * pace):
                s += width
                continue
            front = walk.spot(s + width / 2.0)
            look = suburban(stage)
            built = any(
                build_plot(stage, front.moved(0.0, push), width, depth, look)
                for depth in depths
                for push in (0.05, 1.2)
            )
            s += width + 0.3 if built else 5.0


def add_village_street(stage: Stage, density: float, allowed: float) -> None:
    """Low houses close to the road, some wall to wall, with stone walls and gates in between."""
    for walk, pace in stage.paced_walks(allowed):
        s = stage.uniform(0.5, 4.0)
        while s < walk.length - 8.0:
            gap = 0.0 if stage.chance(0.3) else stage.uniform(2.5, 8.0)
            eu, ev = stage.uniform(4.2, 6.8), stage.uniform(3.6, 4.8)
            middle = walk.spot(s + eu)
            if stage.chance(density * pace) and _add_cottage(stage, middle, eu, ev):
                if gap > 2.0:
                    _close_gap(
                        stage, walk.spot(s + 2.0 * eu + 0.4), walk.spot(min(walk.length, s + 2.0 * eu + gap - 0.4))
                    )
                s += 2.0 * eu + gap
            else:
                s += 5.0


def _add_cottage(stage: Stage, middle: Spot, eu: float, ev: float) -> bool:
    for setback in (stage.uniform(1.2, 2.6), 4.0, 6.5):
        spot = middle.moved(0.0, setback + ev)
        area = spot.polygon(eu + 0.02, ev + DOORSTEP_M)
        floor = floor_of(stage, spot, eu, ev)
        if floor is None or not stage.lots.free(area) or stage.on_island(area):
            continue
        stage.lots.take(spot.polygon(eu - 0.05, ev + 0.5))
        add_house(stage, spot, eu, ev, floor, rustic(stage), ridge_across=eu < 5.0 and stage.chance(0.5))
        yard = spot.moved(0.0, ev + 5.0)
        if stage.thin > 0.45 and stage.lots.free(yard.polygon(eu, 4.0)):
            if stage.chance(0.6 * stage.style.tree_density + 0.2):
                plant_tree(
                    stage,
                    yard.at(stage.uniform(-2.0, 2.0), stage.uniform(-1.0, 2.0)),
                    stage.uniform(1.3, 2.2),
                    kind="garden",
                )
            if stage.chance(0.35):
                enclose(stage, yard.at(-eu, 4.2), yard.at(eu, 4.2), "hedge", (0.26, 0.38, 0.19))
        return True
    return False


def _close_gap(stage: Stage, start: Spot, end: Spot) -> None:
    """A stone wall between two houses, along the road."""
    enclose(stage, start.at(0.0, 0.75), end.at(0.0, 0.75), "wall", (0.56, 0.53, 0.48))


def free_ground(stage: Stage, spot: Spot, eu: float, ev: float) -> bool:
    """Whether a rectangle is free and not too steep."""
    low, high = stage.levels(spot.outline(eu, ev))
    area: shapely.Polygon = spot.polygon(eu, ev)
    return high - low < STEEPEST_M and stage.lots.free(area)
