"""Puts the town of Gridley together."""

from __future__ import annotations

import math

import numpy as np

from carla_bridge.embedded.towns.layout import LANE_WIDTH_M, Network, build_network
from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.towns.opendrive import write_opendrive
from carla_bridge.embedded.towns.scenery import add_scenery
from carla_bridge.embedded.towns.signals import add_pole, place_lights, placement, pole_solid
from carla_bridge.embedded.towns.surface import add_surfaces
from carla_bridge.embedded.towns.xodr.walks import network_walkways
from carla_bridge.embedded.types import Pose, Town

TOWN_NAMES: tuple[str, ...] = ("Gridley",)
SCENERY_SEED = 7
SPAWN_SPACING_M = 14.0
SPAWN_FROM_JUNCTION_M = 6.0  # behind a car that has just left the junction
SPAWN_TO_JUNCTION_M = 18.0  # clear of the stop line's queue
SPAWN_HEIGHT_M = 0.4


def _spawn_points(network: Network) -> tuple[Pose, ...]:
    """Lane centres of all roads, in order of road, lane (outermost right lane first) and driving direction."""
    found = []
    for road in network.roads:
        length = road.curve.length
        for lane in [*range(-road.lanes, 0), *range(1, road.lanes + 1)]:
            # neighbouring lanes are staggered: cars spawned side by side could not change lanes
            first = SPAWN_FROM_JUNCTION_M + (SPAWN_SPACING_M / 2.0 if abs(lane) % 2 == 0 else 0.0)
            for driven in np.arange(first, length - SPAWN_TO_JUNCTION_M, SPAWN_SPACING_M):
                s = float(driven) if lane < 0 else length - float(driven)
                x, y = road.curve.offset([s], math.copysign((abs(lane) - 0.5) * LANE_WIDTH_M, lane))[0]
                heading = road.curve.at(s)[2] + (math.pi if lane > 0 else 0.0)
                yaw = -math.degrees(math.remainder(heading, 2.0 * math.pi))
                found.append(Pose(x=float(x), y=-float(y), z=SPAWN_HEIGHT_M, yaw=yaw))
    return tuple(found)


def load_town(name: str = "Gridley") -> Town:
    """Generate a town; the same name gives the same bytes."""
    if name not in TOWN_NAMES:
        raise ValueError(f"unknown town {name!r}; there is {', '.join(TOWN_NAMES)}")
    network = build_network()
    approaches = place_lights(network)
    builder = MeshBuilder()
    footprint = add_surfaces(builder, network)
    solids = [pole_solid(approach) for approach in approaches]
    for approach in approaches:
        add_pole(builder, approach)
    scenery = add_scenery(builder, network, approaches, footprint, np.random.default_rng(SCENERY_SEED))
    opendrive = write_opendrive(name, network, approaches)
    return Town(
        name=name,
        opendrive=opendrive,
        spawn_points=_spawn_points(network),
        mesh=builder.build(),
        lights=tuple(placement(approach) for approach in approaches),
        solids=(*solids, *scenery.solids),
        lamps=scenery.lamps,
        speed_limits=(
            *((road.id, road.speed_kmh) for road in network.roads),
            *((connector.id, connector.speed_kmh) for connector in network.connectors),
        ),
        walkways=network_walkways(opendrive),
    )
