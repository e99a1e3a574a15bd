"""What stands beside the roads of any town: buildings, gardens, trees, lamps, parked cars, the horizon.

Right-handed OpenDRIVE coordinates inside; what `dress` returns is in CARLA's. Nothing stands on the roads, nothing
tall where a driver must see a light or a sign; both are kept free as polygons in plan, so the rule holds for every
height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carla_bridge.embedded.towns.dressing.barriers import add_guard_rails, add_noise_barriers, add_parapets
from carla_bridge.embedded.towns.dressing.centres import add_blocks
from carla_bridge.embedded.towns.dressing.fields import add_fields
from carla_bridge.embedded.towns.dressing.halls import add_estates
from carla_bridge.embedded.towns.dressing.horizon import add_backdrop
from carla_bridge.embedded.towns.dressing.houses import add_suburb, add_village_street
from carla_bridge.embedded.towns.dressing.landmarks import add_church, add_farms, add_square
from carla_bridge.embedded.towns.dressing.lots import Lots
from carla_bridge.embedded.towns.dressing.planting import plant_avenues, plant_backs, plant_groves
from carla_bridge.embedded.towns.dressing.stage import Stage, Walk, is_flat, islands, walks
from carla_bridge.embedded.towns.dressing.streets import add_furniture, add_parked_cars, add_street_lamps
from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.towns.site import BuildingKind, Site, Style
from carla_bridge.embedded.types import Box, StreetLamp

__all__ = ["Dressing", "dress"]

CLEARANCE_M = 0.1  # between the roads and whatever stands beside them
# Triangles of a whole town: small places may be detailed, a large file has as many as a renderer can bear.
SMALL_BUDGET, LARGE_BUDGET = 58_000, 112_000
SMALL_VERGES_M, LARGE_VERGES_M = 9_000.0, 40_000.0
BACKDROP_TRIANGLES = 1_000
GROVE_TRIANGLES = 130
LAMP_TRIANGLES = 40
LEAST_SMALL, LEAST_LARGE = 30_000, 14_000  # for scenery, however many the roads took
PARKED_TRIANGLES = 270
RATES = {  # triangles a metre of verge at full density: buildings with their gardens, measured
    BuildingKind.TOWN: 3.0,
    BuildingKind.HOUSES: 7.5,
    BuildingKind.VILLAGE: 8.0,
    BuildingKind.RURAL: 2.5,
    BuildingKind.INDUSTRIAL: 4.0,
}
BENCH_EVERY_M = {
    BuildingKind.TOWN: 70.0,
    BuildingKind.HOUSES: 180.0,
    BuildingKind.VILLAGE: 110.0,
    BuildingKind.RURAL: 400.0,
    BuildingKind.INDUSTRIAL: 300.0,
}
LAND_USE = {  # shares of the parcels that are sown and wooded
    BuildingKind.TOWN: (0.0, 0.12),
    BuildingKind.HOUSES: (0.3, 0.16),
    BuildingKind.VILLAGE: (0.6, 0.12),
    BuildingKind.RURAL: (0.62, 0.16),
    BuildingKind.INDUSTRIAL: (0.35, 0.2),
}
PARCEL_M = 75.0
FIELD_SHARE = 0.45  # of the triangles that are left after the buildings
BUILDING_SHARE = 0.72  # of the triangles that are left after the street's furniture
TREE_RATE = 4.0  # triangles a metre of verge at full tree density
STREET_RATE = 1.6  # lamps, rails and benches


@dataclass(frozen=True)
class Dressing:
    """What the rest of the world must know about the scenery, in CARLA's axes."""

    solids: tuple[Box, ...]
    lamps: tuple[StreetLamp, ...]


def _built_up(found: tuple[Walk, ...]) -> tuple[tuple[float, float], float]:
    """Middle and radius of the place: where most verges are."""
    points = np.concatenate([walk.verge.points[:, :2] for walk in found])
    centre = np.median(points, axis=0)
    radius = float(np.percentile(np.hypot(*(points - centre).T), 85.0))
    return (float(centre[0]), float(centre[1])), max(radius, 60.0)


def _street_length(found: tuple[Walk, ...]) -> float:
    return sum(walk.length for walk in found if not walk.verge.in_junction)


def _stage(builder: MeshBuilder, site: Site, style: Style, rng: np.random.Generator) -> tuple[Stage, int]:
    """The empty stage, and how many triangles may still be spent on it."""
    found = walks(site.verges)
    length = _street_length(found)
    share = float(np.interp(length, [SMALL_VERGES_M, LARGE_VERGES_M], [0.0, 1.0]))
    budget = SMALL_BUDGET + share * (LARGE_BUDGET - SMALL_BUDGET)
    least = LEAST_SMALL + share * (LEAST_LARGE - LEAST_SMALL)
    room = int(max(least, budget - builder.triangle_count))
    wanted = length * (RATES[style.buildings] * style.building_density + TREE_RATE * style.tree_density + STREET_RATE)
    wanted += PARKED_TRIANGLES * len(site.parking) * style.parked_share + BACKDROP_TRIANGLES
    centre, radius = _built_up(found) if found else ((0.0, 0.0), 100.0)
    stage = Stage(
        builder=builder,
        site=site,
        style=style,
        rng=rng,
        lots=Lots(site.footprint, site.bounds, clearance=CLEARANCE_M, sight=site.keep_clear),
        walks=found,
        islands=islands(site.footprint),
        flat=is_flat(site.height, site.bounds),
        centre=centre,
        radius=radius,
        thin=min(1.0, room / max(wanted, 1.0)),
    )
    return stage, room


def _plant(stage: Stage, left: int) -> None:
    """Fields and trees on what is left of the land, for at most about `left` triangles."""
    kind, style = stage.style.buildings, stage.style
    rural = kind in (BuildingKind.RURAL, BuildingKind.VILLAGE)
    sown, wooded = LAND_USE[kind]
    before = stage.builder.triangle_count
    add_fields(stage, PARCEL_M, sown, wooded, int(FIELD_SHARE * left))
    left -= stage.builder.triangle_count - before
    x0, y0, x1, y1 = stage.site.bounds
    groves = min(160.0, (x1 - x0) * (y1 - y0) / 2_500.0) * style.tree_density
    wanted = groves * GROVE_TRIANGLES + _street_length(stage.walks) * TREE_RATE * style.tree_density
    stage.thin = min(1.0, max(0.0, left / max(wanted, 1.0)))
    plant_avenues(stage, 13.0 if rural else 9.0, "field" if kind is BuildingKind.RURAL else "street")
    plant_backs(stage, 9.0)
    plant_groves(stage, int(groves * stage.thin))


def _add_buildings(stage: Stage, allowed: float) -> None:
    kind, density = stage.style.buildings, min(1.0, 1.25 * stage.style.building_density)
    if kind is BuildingKind.TOWN:
        add_blocks(stage, density, allowed)
    elif kind is BuildingKind.HOUSES:
        add_square(stage)
        add_suburb(stage, density, allowed)
    elif kind is BuildingKind.VILLAGE:
        add_square(stage)
        add_church(stage)
        add_village_street(stage, density, 0.9 * allowed)
        add_farms(stage, 120.0, 0.35 * density, 0.1 * allowed)
    elif kind is BuildingKind.RURAL:
        add_farms(stage, 260.0, 0.3 + 0.7 * density, 0.7 * allowed)
        add_suburb(stage, 0.12 * density, 0.3 * allowed, depths=(24.0,))
    else:
        add_estates(stage, density, allowed)


def dress(builder: MeshBuilder, site: Site, style: Style, rng: np.random.Generator) -> Dressing:
    """Add everything that stands beside the roads of `site` to the builder, which already holds the roads."""
    stage, room = _stage(builder, site, style, rng)
    kind, end = style.buildings, builder.triangle_count + room - BACKDROP_TRIANGLES
    if stage.walks:
        add_parked_cars(stage, int(0.15 * room / PARKED_TRIANGLES))
        add_street_lamps(stage, room // (5 * LAMP_TRIANGLES))
        add_parapets(stage)
        add_guard_rails(stage)
        if kind in (BuildingKind.HOUSES, BuildingKind.TOWN):
            add_noise_barriers(stage, 0.6)
        add_furniture(stage, BENCH_EVERY_M[kind])
        _add_buildings(stage, BUILDING_SHARE * (end - builder.triangle_count))
    _plant(stage, end - builder.triangle_count)
    add_backdrop(builder, rng, site.bounds, site.height, not stage.flat)
    return Dressing(tuple(stage.solids), tuple(stage.lamps))
