"""Larkhill: a suburb of winding streets on rolling ground, with stop signs, zebra crosswalks and two cul-de-sacs."""

from __future__ import annotations

import math

from carla_bridge.embedded.towns.layouts.furniture import Control
from carla_bridge.embedded.towns.layouts.network import Network
from carla_bridge.embedded.towns.layouts.plan import End, Plan, Street
from carla_bridge.embedded.towns.layouts.profile import MIDDLE, MIDDLE_SOLID, SIDEWALK, Profile, lane, street
from carla_bridge.embedded.towns.layouts.rings import turning_loop

LANE_M, SIDE_LANE_M = 3.4, 3.2
TURN_RADIUS_M = 10.0
COLLECTOR_KMH, SIDE_KMH = 40.0, 30.0
STOP = Control.STOP


def ground(x: float, y: float) -> float:
    """Height of the land [m]: a hill in the north-west, a hollow in the south-east, a long swell across."""
    hill = 4.4 * math.exp(-((x + 90.0) ** 2 + (y - 120.0) ** 2) / 2.0 / 120.0**2)
    hollow = -3.2 * math.exp(-((x - 130.0) ** 2 + (y + 80.0) ** 2) / 2.0 / 110.0**2)
    return hill + hollow + 0.5 * math.sin(x / 62.0 + y / 95.0)


def _collector(length: float) -> Profile:
    return street(LANE_M, walk_right=2.0, walk_left=2.0, middle=MIDDLE_SOLID)


def _side_street(length: float) -> Profile:
    return street(SIDE_LANE_M, walk_right=1.8, walk_left=1.8, middle=MIDDLE)


def _crescent(length: float) -> Profile:
    """Houses on one side only have a sidewalk."""
    return street(SIDE_LANE_M, walk_right=1.8, verge=0.8, middle=MIDDLE)


def larkhill() -> Network:
    plan = Plan("Larkhill", ground)
    for name, x, y in (
        ("west", -215.0, -25.0),
        ("mill", -78.0, 26.0),
        ("green", 66.0, -6.0),
        ("east", 222.0, 38.0),
        ("hill", -150.0, 142.0),
        ("orchard", 0.0, 168.0),
        ("ridge", 150.0, 156.0),
        ("brook", -126.0, -150.0),
        ("meadow", 22.0, -142.0),
        ("hollow", 172.0, -118.0),
    ):
        plan.spot(name, x, y, radius=TURN_RADIUS_M)
    for name, start, end, via, profile, kmh, crosswalks in (
        # the collector road, west to east
        (
            "lark_hill_1",
            End("west", 10.0, STOP),
            End("mill", 190.0, STOP, True),
            ((-150.0, 8.0),),
            _collector,
            COLLECTOR_KMH,
            (),
        ),
        (
            "lark_hill_2",
            End("mill", 5.0, STOP, True),
            End("green", 172.0, STOP, True),
            ((-4.0, 18.0),),
            _collector,
            COLLECTOR_KMH,
            (),
        ),
        (
            "lark_hill_3",
            End("green", -10.0, STOP, True),
            End("east", 205.0),
            ((128.0, -8.0), (178.0, 14.0)),
            _collector,
            COLLECTOR_KMH,
            (0.5,),
        ),
        # the northern crescents
        (
            "hill_rise",
            End("west", 95.0),
            End("hill", 265.0, STOP),
            ((-205.0, 40.0), (-168.0, 84.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
        (
            "mill_lane",
            End("mill", 98.0, STOP),
            End("hill", 322.0, STOP),
            ((-86.0, 74.0), (-116.0, 110.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
        (
            "orchard_road",
            End("hill", 60.0, STOP),
            End("orchard", 170.0, STOP),
            ((-118.0, 190.0), (-62.0, 192.0)),
            _crescent,
            SIDE_KMH,
            (0.5,),
        ),
        (
            "orchard_view",
            End("orchard", -10.0, STOP),
            End("ridge", 150.0, STOP),
            ((54.0, 176.0), (100.0, 190.0)),
            _crescent,
            SIDE_KMH,
            (),
        ),
        (
            "chapel_hill",
            End("orchard", 270.0, STOP, True),
            End("green", 82.0, STOP, True),
            ((6.0, 118.0), (36.0, 78.0), (60.0, 40.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
        (
            "ridge_way",
            End("ridge", 330.0, STOP),
            End("east", 100.0, STOP),
            ((196.0, 122.0), (222.0, 88.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
        # the southern crescents
        (
            "brook_street",
            End("west", 260.0),
            End("brook", 120.0),
            ((-212.0, -82.0), (-172.0, -112.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
        (
            "mill_brook",
            End("mill", 280.0, STOP, True),
            End("brook", 50.0, STOP),
            ((-74.0, -36.0), (-96.0, -92.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
        (
            "meadow_road",
            End("brook", -60.0),
            End("meadow", 185.0),
            ((-88.0, -184.0), (-30.0, -158.0)),
            _crescent,
            SIDE_KMH,
            (),
        ),
        (
            "meadow_rise",
            End("meadow", 90.0, STOP),
            End("green", 262.0, STOP, True),
            ((30.0, -98.0), (58.0, -58.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
        (
            "hollow_road",
            End("meadow", 0.0),
            End("hollow", 192.0, STOP),
            ((72.0, -150.0), (120.0, -132.0)),
            _side_street,
            SIDE_KMH,
            (0.4,),
        ),
        (
            "hollow_rise",
            End("hollow", 70.0),
            End("east", 285.0, STOP),
            ((200.0, -74.0), (216.0, -20.0)),
            _side_street,
            SIDE_KMH,
            (),
        ),
    ):
        plan.street(
            Street(name, start, end, profile, kmh, via=via, crosswalks=crosswalks, speed_signs=profile is _collector)
        )
    for stem, spot, out, close, heading, bend in (
        ("ridge_close", "ridge", 60.0, (214.0, 206.0), 20.0, ((176.0, 186.0),)),
        ("hollow_close", "hollow", 310.0, (222.0, -190.0), -50.0, ((192.0, -150.0),)),
    ):
        turning_loop(
            plan,
            f"{stem}_end",
            stem,
            close,
            heading,
            radius=10.0,
            width=4.2,
            speed_kmh=20.0,
            outside=lane(SIDEWALK, 1.8),
        )
        plan.street(
            Street(
                stem,
                End(spot, out, STOP),
                End(f"{stem}_end", heading + 180.0),
                _side_street,
                SIDE_KMH,
                via=bend,
                speed_signs=False,
            )
        )
    return plan.build()
