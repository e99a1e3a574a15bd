"""Street furniture: lamps, benches, bins, bus shelters, and the cars that are parked. Right-handed coordinates."""

from __future__ import annotations

import math

import numpy as np
import shapely

from carla_bridge.embedded.towns.dressing.lamps import add_lamp
from carla_bridge.embedded.towns.dressing.palette import (
    BENCH_WOOD,
    BIN_GREEN,
    BRANDS,
    CAR_PAINTS,
    DARK_STEEL,
    PANE,
    STEEL,
    shaded,
)
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage, Walk
from carla_bridge.embedded.towns.prototypes import PROTOTYPES, prototype_extent, prototype_meshes
from carla_bridge.embedded.types import Label, Material, Mesh

LAMP_OFF_M = 0.3  # behind the verge
LAMP_ROOM_M = 0.15
FAST_KMH = 65.0
PARKED_KINDS = (("car_hatch", 0.4), ("car_sedan", 0.35), ("suv", 0.2), ("van", 0.05))
SHELTER_EVERY_M = 320.0


def _right_hand(walk: Walk) -> bool:
    """Whether the verge lies to the right of its own points' direction."""
    ahead, out = walk.verge.points[1, :2] - walk.verge.points[0, :2], walk.verge.outward[0]
    return bool(ahead[0] * out[1] - ahead[1] * out[0] < 0.0)


def _lamp_side(stage: Stage) -> dict[int, Walk]:
    """The longest verge of each road: the side that gets the lamps."""
    best: dict[int, Walk] = {}
    for walk in stage.town_walks():
        other = best.get(walk.verge.road_id)
        if other is None or walk.length > other.length + 0.5:
            best[walk.verge.road_id] = walk
    return best


def add_street_lamps(stage: Stage, most: int) -> None:
    """On one side of every road, evenly; wider apart where the triangle budget allows no more than `most`."""
    spacing = stage.style.lamp_spacing_m
    if spacing <= 0.0:
        return
    one_side = sum(walk.length for walk in stage.town_walks()) / 2.0
    spacing = max(spacing, one_side / max(1, most))
    chosen = _lamp_side(stage)
    for walk in stage.town_walks():
        best = chosen[walk.verge.road_id]
        if walk is not best and _right_hand(walk) != _right_hand(best):
            continue
        fast = walk.verge.speed_kmh > FAST_KMH
        wanted = walk.length / (spacing * (1.3 if fast else 1.0))
        count = round(wanted) if wanted >= 1.0 else int(stage.chance(wanted))
        for i in range(count):
            spot = walk.spot((i + 0.5) * walk.length / count)
            at = spot.at(0.0, LAMP_OFF_M if not fast else 0.9)
            around = shapely.Point(at).buffer(LAMP_ROOM_M, quad_segs=1)
            if not stage.claim(around):
                continue
            ground = float(stage.z([at])[0])
            reach = 1.35 if walk.verge.has_sidewalk else 0.9
            solid, lamp = add_lamp(
                stage.builder,
                at,
                spot.heading - math.pi / 2.0,
                ground=max(spot.z, ground),
                foot=min(spot.z, ground) - 0.1,
                arm=reach + (0.4 if fast else 0.0),
                post=8.5 if fast else 6.4,
            )
            stage.solids.append(solid)
            stage.lamps.append(lamp)


def add_bench(stage: Stage, spot: Spot) -> None:
    """Faces -v."""
    spot = stage.grounded(spot)
    z = spot.z
    stage.block(spot, 0.85, 0.22, z + 0.40, z + 0.46, BENCH_WOOD, Label.STATIC, bottom=True)
    stage.block(spot.moved(0.0, 0.24), 0.85, 0.03, z + 0.55, z + 0.88, BENCH_WOOD, Label.STATIC, bottom=True)
    for u in (-0.65, 0.65):
        stage.block(spot.moved(u, 0.1), 0.04, 0.2, z - 0.1, z + 0.6, DARK_STEEL, Label.STATIC)
    stage.solid(spot, 0.85, 0.28, z, z + 0.88, Label.STATIC)


def _add_bin(stage: Stage, spot: Spot) -> None:
    spot = stage.grounded(spot)
    stage.builder.prism((spot.x, spot.y), spot.z - 0.1, spot.z + 0.85, 0.2, 0.24, 7, BIN_GREEN, Label.STATIC)
    stage.builder.prism(
        (spot.x, spot.y), spot.z + 0.85, spot.z + 0.95, 0.26, 0.2, 7, DARK_STEEL, Label.STATIC, bottom=True
    )
    stage.solid(spot, 0.22, 0.22, spot.z, spot.z + 0.95, Label.STATIC)


def _add_shelter(stage: Stage, spot: Spot) -> None:
    """Glass on three sides, a flat roof, a bench, a lit poster and the stop's flag. Open towards -v."""
    spot = stage.grounded(spot)
    z, brand = spot.z, stage.pick(BRANDS)
    stage.block(spot, 2.3, 0.95, z - 0.3, z + 0.08, (0.62, 0.61, 0.59), Label.SIDEWALKS)
    stage.block(spot, 2.2, 0.9, z + 2.45, z + 2.58, DARK_STEEL, Label.STATIC, bottom=True)
    stage.panel(spot, -2.0, 2.0, z + 0.25, z + 2.3, 0.75, PANE, Label.STATIC, Material.GLASS, both=True)
    for side in (-1.0, 1.0):
        end = spot.moved(2.0 * side, 0.0, math.pi / 2.0)
        colour, material = (brand, Material.PLAIN) if side > 0 else (PANE, Material.GLASS)
        stage.panel(end, -0.35, 0.75, z + 0.25, z + 2.3, 0.0, colour, Label.STATIC, material, both=True)
        for v in (-0.75, 0.75):
            stage.block(spot.moved(2.0 * side, v), 0.04, 0.04, z, z + 2.45, STEEL, Label.STATIC, top=False)
        stage.solid(spot.moved(2.0 * side, 0.0), 0.05, 0.75, z, z + 2.45, Label.STATIC)
    stage.block(spot.moved(0.0, 0.5), 1.4, 0.18, z + 0.45, z + 0.52, BENCH_WOOD, Label.STATIC, bottom=True)
    stage.solid(spot.moved(0.0, 0.7), 2.0, 0.1, z, z + 2.45, Label.STATIC)
    flag = spot.moved(2.9, -0.6)
    stage.builder.prism((flag.x, flag.y), z - 0.2, z + 3.0, 0.045, 0.045, 5, STEEL, Label.POLES)
    stage.block(flag.moved(0.0, 0.0), 0.03, 0.28, z + 2.4, z + 2.95, shaded(brand, 1.2), Label.STATIC, bottom=True)
    stage.solid(flag, 0.05, 0.05, z, z + 3.0, Label.POLES)


def add_furniture(stage: Stage, bench_every: float) -> None:
    """Bus shelters, benches and bins behind the sidewalks."""
    until_stop, until_bench = stage.uniform(40.0, 150.0), stage.uniform(10.0, 40.0)
    stop_every, bench_every = SHELTER_EVERY_M / stage.thin, bench_every / stage.thin
    for walk in stage.town_walks():
        if not walk.verge.has_sidewalk or walk.verge.speed_kmh > FAST_KMH:
            continue
        s = 3.0
        while s < walk.length - 3.0:
            if until_stop <= 0.0 and 20.0 < s < walk.length - 20.0:
                spot = walk.spot(s).moved(0.0, 1.35)
                if stage.claim(spot.moved(0.3, 0.0).polygon(2.9, 1.1)):
                    _add_shelter(stage, spot)
                    until_stop = stop_every
            elif until_bench <= 0.0:
                spot = walk.spot(s).moved(0.0, 0.75)
                if stage.claim(spot.moved(0.3, 0.0).polygon(1.5, 0.4)):
                    add_bench(stage, spot)
                    _add_bin(stage, spot.moved(1.5, 0.0))
                    until_bench = bench_every * stage.uniform(0.6, 1.4)
            s, until_stop, until_bench = s + 4.0, until_stop - 4.0, until_bench - 4.0


def _worth_drawing(mesh: Mesh, extent: tuple[float, float, float]) -> np.ndarray:
    """Triangles of a vehicle that can be seen from a street: not its belly, not the inner faces of its wheels."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    middle = corners.mean(axis=1)
    belly = (normal[:, 2] < -0.7) & (middle[:, 2] < 0.9 * extent[2])
    inner = (normal[:, 1] * np.sign(middle[:, 1]) < -0.7) & (middle[:, 2] < 0.9 * extent[2])
    return np.asarray(~(belly | inner))


def add_parked_cars(stage: Stage, most: int) -> None:
    """Cars in a share of the parking spaces; most: how many the triangle budget allows."""
    taken = [space for space in stage.site.parking if stage.chance(stage.style.parked_share)]
    share = min(1.0, most / max(1, len(taken)))
    meshes = dict(zip(PROTOTYPES, prototype_meshes(), strict=True)) if taken else {}
    for space in taken:
        kind = str(stage.rng.choice([k for k, _ in PARKED_KINDS], p=[w for _, w in PARKED_KINDS]))
        backwards, paint = stage.chance(0.2), stage.pick(CAR_PAINTS)
        along, askew = stage.uniform(-0.25, 0.25), stage.uniform(-0.03, 0.03)
        extent = prototype_extent(kind)
        if share < 1.0 and not stage.chance(share):
            continue
        if 2.0 * extent[0] > space.length - 0.3 or 2.0 * extent[1] > space.width + 0.1:
            kind, extent = "car_hatch", prototype_extent("car_hatch")
        room = max(0.0, space.length / 2.0 - extent[0])
        heading = space.heading + askew + (math.pi if backwards else 0.0)
        spot = Spot(*space.centre, space.heading).moved(max(-room, min(room, along)), 0.0)
        mesh = meshes[kind]
        c, s = math.cos(heading), math.sin(heading)
        local = mesh.vertices.astype(np.float64) * [1.0, -1.0, 1.0]
        placed = np.column_stack(
            [
                local[:, 0] * c - local[:, 1] * s + spot.x,
                local[:, 0] * s + local[:, 1] * c + spot.y,
                local[:, 2] + spot.z,
            ]
        )
        stage.builder.graft(placed, mesh, _worth_drawing(mesh, extent), paint)
        parked = Spot(spot.x, spot.y, spot.z, heading)
        stage.solid(parked, extent[0], extent[1], spot.z, spot.z + 2.0 * extent[2], Label.CAR)
