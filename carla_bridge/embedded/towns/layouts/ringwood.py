"""Ringwood: a dual carriageway between two roundabouts, with an interchange half-way whose bridge carries the town's
road over it, signalised ramp ends, and a third roundabout in the town."""

from __future__ import annotations

import math
from collections.abc import Callable

from carla_bridge.embedded.towns.curves import Curve, Point, biarc, join, line
from carla_bridge.embedded.towns.layouts.cubics import Cubics
from carla_bridge.embedded.towns.layouts.furniture import Control
from carla_bridge.embedded.towns.layouts.network import Network
from carla_bridge.embedded.towns.layouts.plan import End, Plan, Street, Way, grade, level
from carla_bridge.embedded.towns.layouts.profile import MIDDLE, MIDDLE_SOLID, SIDEWALK, Profile, lane, one_way, street
from carla_bridge.embedded.towns.layouts.rings import Ring, roundabout, serve
from carla_bridge.embedded.towns.layouts.shapes import cut, reverse, shifted, winding

LANE_M, RAMP_LANE_M, SHOULDER_M, HALF_MEDIAN_M = 3.5, 4.0, 2.0, 1.5
BRIDGE_M = 40.0
DECK_M = 6.2  # height of the bridge's road over the carriageways
TURN_RADIUS_M = 11.0
RAMP_GAP_M, RAMP_SLANT_DEG = 20.0, 17.0
GORE_BEND = math.radians(7.0)
RAMP_END_M = 74.0  # from the carriageways' axis to the ramps' junctions
TRUNK_KMH, SLOW_KMH, RAMP_KMH, TOWN_KMH = 80.0, 50.0, 50.0, 40.0
STATIONS = (0.0, 30.0, 76.0, 136.0, 198.0, 268.0, 314.0)  # of the pieces of a carriageway, from either end
EAST, WEST = (530.0, 34.0), (-530.0, -24.0)  # centres of the roundabouts at its ends
END_RING, MARKET_RING = Ring(), Ring(radius=13.0, reach=30.0)


def ground(x: float, y: float) -> float:
    return 0.0


def _up(length: float) -> Cubics:
    """From the ground to the bridge's level; level for a while before the junction up there."""
    return grade(length, 0.0, DECK_M, 40.0)


def _down(length: float) -> Cubics:
    return grade(length, DECK_M, 0.0, 40.0)


def _trunk(lanes: int) -> Callable[[float], Profile]:
    return lambda length: one_way(lanes, LANE_M, shoulder=SHOULDER_M, median=HALF_MEDIAN_M)


def _ramp(length: float) -> Profile:
    return one_way(1, RAMP_LANE_M, shoulder=1.2)


def _town_road(length: float) -> Profile:
    return street(3.3, walk_right=1.8, walk_left=1.8, middle=MIDDLE)


def _bridge_street(length: float) -> Profile:
    return street(3.5, walk_right=2.0, walk_left=2.0, middle=MIDDLE_SOLID)


def _axis() -> Curve:
    """Middle of the dual carriageway, from the western to the eastern roundabout's edge."""
    start, out = (WEST[0] + END_RING.reach, WEST[1]), math.radians(0.0)
    end, inn = (EAST[0] - END_RING.reach, EAST[1]), math.radians(0.0)
    a, b = (-210.0, 0.0), (210.0, 0.0)
    first = join(line(start, out, 60.0), biarc((start[0] + 60.0, start[1]), out, a, 0.0))
    last = join(biarc(b, 0.0, (end[0] - 60.0, end[1]), inn), line((end[0] - 60.0, end[1]), inn, 60.0))
    return join(first, line(a, 0.0, b[0] - a[0]), last)


def _carriageway(plan: Plan, name: str, axis: Curve, begin: str, end: str) -> None:
    """One direction: leaves a ring with one lane, has two, gives up a third one to the exit, gets one back from the
    entrance and ends with one lane at the other ring. Lanes begin and end inside junctions, never in the open."""
    edge = shifted(axis, -HALF_MEDIAN_M)
    total = edge.length
    stations = [*STATIONS, *(total - s for s in reversed(STATIONS))]
    # pieces of road (from station, to station, lanes, speed); the gaps between them are junctions
    pieces = (
        (0, 1, 1, SLOW_KMH),
        (2, 3, 2, TRUNK_KMH),
        (4, 5, 3, TRUNK_KMH),
        (6, 7, 2, TRUNK_KMH),
        (8, 9, 3, TRUNK_KMH),
        (10, 11, 2, TRUNK_KMH),
        (12, 13, 1, SLOW_KMH),
    )
    spots = [begin, *(f"{name}_{what}" for what in ("widen", "diverge", "exit", "entry", "merge", "narrow")), end]
    for spot, station in zip(spots[1:-1], (1, 3, 5, 7, 9, 11), strict=True):
        x, y, _ = edge.at(stations[station])
        plan.spot(spot, x, y, z=0.0, gap=0.0)
    for k, (first, last, lanes, kmh) in enumerate(pieces):
        control = Control.YIELD if k == len(pieces) - 1 else Control.NONE
        plan.street(
            Street(
                f"{name}{k}",
                End(spots[k], 0.0),
                End(spots[k + 1], 0.0, control),
                _trunk(lanes),
                kmh,
                curve=cut(edge, stations[first], stations[last]),
                height=level(0.0),
                kind="motorway",
                speed_signs=k in (1, 3, 5),
            )
        )

    def ahead(k: int, lanes: int, *, kerb: bool) -> Way:
        """The lanes that simply go on between piece k and the next."""
        curve = cut(edge, stations[2 * k + 1], stations[2 * k + 2])
        pairs = tuple((i, i) for i in range(1, lanes + 1))
        return Way(
            spots[k + 1], f"{name}{k}", f"{name}{k + 1}", pairs, kerb=kerb, median=True, painted=True, curve=curve
        )

    plan.way(
        ahead(0, 1, kerb=False),
        Way(spots[1], f"{name}0", f"{name}1", ((1, 2),), kerb=True, painted=True),
        ahead(1, 2, kerb=False),
        Way(spots[2], f"{name}1", f"{name}2", ((2, 3),), kerb=True, painted=True),
        ahead(2, 2, kerb=True),
        Way(spots[3], f"{name}2", f"{name}_off", ((3, 1),), kerb=True, painted=True),
        ahead(3, 2, kerb=True),
        Way(spots[4], f"{name}_on", f"{name}4", ((1, 3),), kerb=True, painted=True),
        ahead(4, 2, kerb=False),
        Way(spots[5], f"{name}4", f"{name}5", ((3, 2),), kerb=True, painted=True),
        ahead(5, 1, kerb=False),
        Way(spots[6], f"{name}5", f"{name}6", ((2, 1),), kerb=True, painted=True),
    )


def _ramps(plan: Plan, name: str, axis: Curve, junction: str) -> None:
    """Up from the exit to the ramps' junction, and down from there to the entrance (the exit's mirror image).

    A ramp leaves from the left edge of the third lane, bent away by 7 degrees over the exit's length."""
    edge = shifted(axis, -HALF_MEDIAN_M)
    x, y = plan.spots[junction].point
    _, _, ahead = edge.at(edge.length / 2.0)
    aside = 2.0 * LANE_M + 2.8

    def gore(station: float) -> Point:
        px, py, heading = edge.at(station)
        return px + aside * math.sin(heading), py - aside * math.cos(heading)

    for up in (True, False):
        # the ramps meet the junction's road at a slant
        slant = ahead + math.radians(-RAMP_SLANT_DEG if up else RAMP_SLANT_DEG)
        near = -RAMP_GAP_M if up else RAMP_GAP_M
        at_junction = ((x + near * math.cos(slant), y + near * math.sin(slant)), slant)
        if up:
            curve = winding((gore(STATIONS[-1]), ahead - GORE_BEND), (), at_junction, 14.0)
        else:
            curve = winding(at_junction, (), (gore(edge.length - STATIONS[-1]), ahead + GORE_BEND), 14.0)
        outwards = math.degrees(slant) + (180.0 if up else 0.0)
        top = End(junction, outwards, Control.LIGHT if up else Control.NONE)
        bottom = End(f"{name}_{'exit' if up else 'entry'}", 0.0)
        plan.street(
            Street(
                f"{name}_{'off' if up else 'on'}",
                *((bottom, top) if up else (top, bottom)),
                _ramp,
                RAMP_KMH,
                curve=curve,
                height=_up if up else _down,
                speed_signs=False,
            )
        )


def ringwood() -> Network:
    plan = Plan("Ringwood", ground)
    walk = lane(SIDEWALK, 1.8)
    roundabout(plan, "west", WEST, (0.0, 96.0, 262.0), z=0.0, measures=END_RING)
    roundabout(plan, "east", EAST, (180.0, 84.0, 278.0), z=0.0, measures=END_RING)
    roundabout(plan, "market", (10.0, 262.0), (270.0, 180.0, 4.0), z=0.0, measures=MARKET_RING, outside=walk)
    axis = _axis()
    plan.spot("north_ramps", 0.0, RAMP_END_M, z=DECK_M, radius=TURN_RADIUS_M)
    plan.spot("south_ramps", 0.0, -RAMP_END_M, z=DECK_M, radius=TURN_RADIUS_M)
    plan.spot("station", -6.0, -252.0, z=0.0, radius=TURN_RADIUS_M)
    _carriageway(plan, "eastbound", axis, "west.0", "east.0")
    _carriageway(plan, "westbound", reverse(axis), "east.0", "west.0")
    _ramps(plan, "eastbound", axis, "south_ramps")
    _ramps(plan, "westbound", reverse(axis), "north_ramps")

    light = Control.LIGHT
    for name, start, end, via, profile, kmh, height, crosswalks in (
        (
            "bridge",
            End("south_ramps", 90.0, light),
            End("north_ramps", 270.0, light),
            (),
            _bridge_street,
            50.0,
            level(DECK_M),
            (),
        ),
        (
            "bridge_street_north",
            End("north_ramps", 90.0, light),
            End("market.0", 270.0, Control.YIELD, True),
            ((2.0, 160.0),),
            _bridge_street,
            50.0,
            _down,
            (),
        ),
        (
            "bridge_street_south",
            End("south_ramps", 270.0, light),
            End("station", 90.0, light, True),
            ((-4.0, -170.0),),
            _bridge_street,
            50.0,
            _down,
            (),
        ),
        (
            "forest_road",
            End("market.1", 180.0, Control.YIELD, True),
            End("west.1", 96.0, Control.YIELD),
            ((-110.0, 256.0), (-240.0, 300.0), (-390.0, 270.0), (-500.0, 160.0)),
            _town_road,
            TOWN_KMH,
            None,
            (0.2,),
        ),
        (
            "market_road",
            End("market.2", 4.0, Control.YIELD, True),
            End("east.1", 84.0, Control.YIELD),
            ((130.0, 290.0), (260.0, 262.0), (400.0, 276.0), (520.0, 170.0)),
            _town_road,
            TOWN_KMH,
            None,
            (0.25,),
        ),
        (
            "station_road_west",
            End("station", 184.0, light, True),
            End("west.2", 262.0, Control.YIELD),
            ((-130.0, -240.0), (-270.0, -290.0), (-420.0, -262.0), (-530.0, -150.0)),
            _town_road,
            TOWN_KMH,
            None,
            (0.2,),
        ),
        (
            "station_road_east",
            End("station", -6.0, light, True),
            End("east.2", 278.0, Control.YIELD),
            ((120.0, -276.0), (250.0, -240.0), (400.0, -270.0), (520.0, -140.0)),
            _town_road,
            TOWN_KMH,
            None,
            (0.22,),
        ),
    ):
        plan.street(
            Street(
                name,
                start,
                end,
                profile,
                kmh,
                via=via,
                height=height,
                crosswalks=crosswalks,
                bridge_m=BRIDGE_M if name == "bridge" else 0.0,
            )
        )
    for ring_name, k, into, out in (
        ("west", 0, "westbound6", "eastbound0"),
        ("west", 1, "forest_road", "forest_road"),
        ("west", 2, "station_road_west", "station_road_west"),
        ("east", 0, "eastbound6", "westbound0"),
        ("east", 1, "market_road", "market_road"),
        ("east", 2, "station_road_east", "station_road_east"),
        ("market", 0, "bridge_street_north", "bridge_street_north"),
        ("market", 1, "forest_road", "forest_road"),
        ("market", 2, "market_road", "market_road"),
    ):
        serve(plan, ring_name, k, into=into, out=out)
    return plan.build()
