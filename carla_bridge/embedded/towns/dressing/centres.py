"""Blocks along the streets of a town, taller towards its middle. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import math

from carla_bridge.embedded.towns.dressing.blocks import FOUNDATION_M, GABLED_BELOW_M, add_block
from carla_bridge.embedded.towns.dressing.houses import build_plot, suburban
from carla_bridge.embedded.towns.dressing.palette import BRANDS, shaded
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage
from carla_bridge.embedded.types import Label

OUTSKIRTS = 1.15  # of the town's radius: beyond it stand houses
STEEPEST_M = 3.0
LEVEL_ENOUGH_M = 0.08


def _height(stage: Stage, spot: Spot, fast: bool) -> float:
    """Taller towards the middle of the town and along its wide roads."""
    far = math.dist((spot.x, spot.y), stage.centre) / (0.45 * stage.radius)
    if stage.chance(math.exp(-far * far) + (0.2 if fast else 0.0)):
        return stage.uniform(12.0, 24.0)
    return stage.uniform(5.8, 9.0) if stage.chance(0.6) else stage.uniform(GABLED_BELOW_M, 13.5)


def _add_awning(stage: Stage, spot: Spot, eu: float, ev: float, floor: float) -> None:
    """A shop's sloping blind or its sign, over the ground floor's windows."""
    colour = stage.pick(BRANDS)
    half = stage.uniform(0.35, 0.8) * eu
    u = stage.uniform(-1.0, 1.0) * (eu - half)
    a, b = spot.at(u - half, -ev - 0.02), spot.at(u + half, -ev - 0.02)
    c, d = spot.at(u + half, -ev - 1.1), spot.at(u - half, -ev - 1.1)
    low, high = floor + 2.55, floor + 3.05
    sheet = [(*d, low), (*c, low), (*b, high), (*a, high)]
    stage.builder.quad(sheet, colour, Label.BUILDINGS)
    below = [(x, y, z - 0.02) for x, y, z in sheet[::-1]]
    stage.builder.quad(below, shaded(colour, 0.75), Label.BUILDINGS)
    stage.panel(spot, u - half, u + half, low - 0.22, low, -ev - 1.1, shaded(colour, 1.2), both=True)


def add_blocks(stage: Stage, density: float, allowed: float) -> None:
    """Town houses and offices behind the sidewalks; detached houses at the outskirts."""
    for walk, pace in stage.paced_walks(allowed):
        s = stage.uniform(0.5, 3.0)
        while s < walk.length - 6.0:
            width, depth = stage.uniform(10.0, 22.0), stage.uniform(9.0, 14.0)
            setback = stage.uniform(1.5, 5.0)
            if not stage.chance(density * pace):
                s += 0.6 * width
                continue
            front = walk.spot(s + width / 2.0)
            if math.dist((front.x, front.y), stage.centre) > OUTSKIRTS * stage.radius and stage.chance(0.7):
                built = build_plot(stage, front.moved(0.0, 0.1), 17.0, 22.0, suburban(stage))
                s += 17.3 if built else 4.0
                continue
            for push in (0.0, 3.0, 6.0):
                spot = front.moved(0.0, setback + push + depth / 2.0)
                lot = spot.polygon(width / 2.0 + 0.8, depth / 2.0 + 0.8)
                low, high = stage.levels(spot.outline(width / 2.0, depth / 2.0))
                if high - low > STEEPEST_M or stage.on_island(lot) or not stage.claim(lot):
                    continue
                height = _height(stage, spot, walk.verge.speed_kmh > 45.0)
                ground = high + LEVEL_ENOUGH_M if high - low > LEVEL_ENOUGH_M else low
                foot = low - FOUNDATION_M if high - low > LEVEL_ENOUGH_M else low
                centre, eu, ev = (spot.x, spot.y), width / 2.0, depth / 2.0
                stage.solids.append(
                    add_block(stage.builder, stage.rng, centre, spot.heading, eu, ev, height, ground, foot)
                )
                if height > GABLED_BELOW_M and setback + push > 1.6 and stage.chance(0.45):
                    _add_awning(stage, spot, eu, ev, ground)
                s += width + stage.uniform(1.5, 5.0)
                break
            else:
                s += 4.0
