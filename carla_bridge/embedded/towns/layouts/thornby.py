"""Thornby: a village of narrow, irregular streets round one small signalised crossing, with cars parked at the
roadside, sidewalks only in places, and two lanes that lead out into the fields and back."""

from __future__ import annotations

import math
from collections.abc import Callable

from carla_bridge.embedded.towns.layouts.cubics import bays
from carla_bridge.embedded.towns.layouts.furniture import Control
from carla_bridge.embedded.towns.layouts.network import Network
from carla_bridge.embedded.towns.layouts.plan import End, Plan, Street
from carla_bridge.embedded.towns.layouts.profile import MIDDLE, NO_MARK, PARKING, Lane, Profile, street
from carla_bridge.embedded.towns.layouts.rings import turning_loop

BAY_WIDTH_M, BAY_TAPER_M = 2.2, 2.0
VILLAGE_KMH = 30.0
LIGHT, STOP, YIELD = Control.LIGHT, Control.STOP, Control.YIELD

Bays = tuple[tuple[float, float], ...]  # shares of the street's length
Section = Callable[[float], Profile]


def ground(x: float, y: float) -> float:
    """Height of the land [m]: the church stands a little higher, the mill lower."""
    church = 2.2 * math.exp(-((x - 15.0) ** 2 + (y - 110.0) ** 2) / 2.0 / 75.0**2)
    mill = -1.8 * math.exp(-((x - 10.0) ** 2 + (y + 110.0) ** 2) / 2.0 / 80.0**2)
    return church + mill + 0.8 * math.sin(x / 90.0)


def _section(
    lane_width: float, right: float = 0.0, left: float = 0.0, bays_right: Bays = (), bays_left: Bays = ()
) -> Section:
    """A street with sidewalks of these widths (0: a grassy edge) and parking bays."""

    def profile(length: float) -> Profile:
        found = street(lane_width, walk_right=right, walk_left=left, verge=0.7, middle=MIDDLE if right else NO_MARK)
        for sign, shares in ((-1, bays_right), (1, bays_left)):
            if shares:
                spans = [(a * length, b * length) for a, b in shares]
                parking = Lane(PARKING, bays(spans, BAY_WIDTH_M, BAY_TAPER_M, length), NO_MARK)
                found = found.with_lane(sign, 1, parking)
        return found

    return profile


def thornby() -> Network:
    plan = Plan("Thornby", ground)
    for name, x, y, radius in (
        ("cross", 0.0, 0.0, 9.0),
        ("forge", -122.0, 10.0, 9.0),
        ("inn", 118.0, -16.0, 9.0),
        ("church", 22.0, 112.0, 9.0),
        ("tithe", -104.0, 122.0, 9.0),
        ("school", 108.0, 92.0, 9.0),
        ("mill", 6.0, -112.0, 9.0),
        ("pond", -110.0, -96.0, 9.0),
        ("ford", 124.0, -118.0, 9.0),
    ):
        plan.spot(name, x, y, radius=radius)
    high = _section(3.2, 2.0, 1.6, ((0.18, 0.48), (0.58, 0.84)), ((0.24, 0.62),))
    high_east = _section(3.2, 1.6, 2.0, ((0.22, 0.52),), ((0.16, 0.44), (0.54, 0.82)))
    lane_one_walk = _section(3.1, 1.5, 0.0, (), ((0.3, 0.6),))
    narrow = _section(3.0)
    narrow_parked = _section(3.0, 0.0, 0.0, ((0.35, 0.7),), ())
    field = _section(3.0)
    for name, start, end, via, profile, kmh, crosswalks in (
        (
            "high_street_west",
            End("forge", -8.0),
            End("cross", 172.0, LIGHT, True),
            ((-80.0, 6.0), (-42.0, -1.0)),
            high,
            VILLAGE_KMH,
            (0.53,),
        ),
        (
            "high_street_east",
            End("cross", -2.0, LIGHT, True),
            End("inn", 166.0, STOP, True),
            ((42.0, 2.0), (82.0, -4.0)),
            high_east,
            VILLAGE_KMH,
            (),
        ),
        (
            "church_lane",
            End("cross", 82.0, LIGHT, True),
            End("church", 258.0, STOP),
            ((0.0, 44.0), (16.0, 78.0)),
            lane_one_walk,
            VILLAGE_KMH,
            (),
        ),
        (
            "mill_lane",
            End("cross", 276.0, LIGHT, True),
            End("mill", 84.0, STOP),
            ((9.0, -58.0),),
            _section(3.1, 0.0, 1.5, ((0.34, 0.66),), ()),
            VILLAGE_KMH,
            (),
        ),
        (
            "smithy_row",
            End("forge", 98.0, STOP),
            End("tithe", 268.0, STOP),
            ((-131.0, 66.0),),
            narrow_parked,
            VILLAGE_KMH,
            (),
        ),
        ("tithe_row", End("tithe", 15.0), End("church", 170.0), ((-42.0, 124.0),), narrow, VILLAGE_KMH, ()),
        (
            "school_lane",
            End("church", -4.0),
            End("school", 150.0, STOP),
            ((66.0, 114.0),),
            _section(3.1, 0.0, 1.5, (), ()),
            VILLAGE_KMH,
            (0.5,),
        ),
        (
            "back_lane",
            End("school", 275.0),
            End("inn", 72.0, STOP),
            ((116.0, 58.0), (126.0, 22.0)),
            narrow_parked,
            VILLAGE_KMH,
            (),
        ),
        ("pond_lane", End("forge", 245.0, STOP), End("pond", 90.0, STOP), ((-128.0, -42.0),), narrow, VILLAGE_KMH, ()),
        ("duck_walk", End("pond", -20.0), End("mill", 190.0), ((-54.0, -110.0),), narrow, VILLAGE_KMH, ()),
        ("miller_road", End("mill", -4.0), End("ford", 170.0, STOP), ((62.0, -124.0),), narrow_parked, VILLAGE_KMH, ()),
        ("ford_lane", End("ford", 100.0, STOP), End("inn", 268.0, STOP), ((112.0, -66.0),), narrow, VILLAGE_KMH, ()),
        (
            "west_fields",
            End("tithe", 165.0),
            End("pond", 200.0),
            ((-150.0, 148.0), (-204.0, 138.0), (-232.0, 84.0), (-206.0, 26.0), (-226.0, -44.0), (-186.0, -104.0)),
            field,
            VILLAGE_KMH,
            (),
        ),
        (
            "east_fields",
            End("school", 20.0),
            End("ford", 340.0, STOP),
            ((156.0, 122.0), (204.0, 108.0), (236.0, 52.0), (216.0, -10.0), (246.0, -78.0), (198.0, -136.0)),
            field,
            VILLAGE_KMH,
            (),
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
                crosswalks=crosswalks,
                speed_signs=name.startswith(("high", "west", "east")),
            )
        )
    turning_loop(plan, "farm_end", "farm_track", (-18.0, -200.0), 252.0, radius=9.5, width=4.0, speed_kmh=20.0)
    plan.street(
        Street(
            "farm_track",
            End("mill", 265.0, YIELD),
            End("farm_end", 72.0),
            narrow,
            VILLAGE_KMH,
            via=((-3.0, -152.0),),
            speed_signs=False,
        )
    )
    return plan.build()
