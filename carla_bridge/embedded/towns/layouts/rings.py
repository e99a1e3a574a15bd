"""Roundabouts and turning loops: rings of one-way pieces between small junctions, driven counter-clockwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from carla_bridge.embedded.towns.curves import Point
from carla_bridge.embedded.towns.layouts.plan import End, Plan, Street, Way, level
from carla_bridge.embedded.towns.layouts.profile import BORDER, EDGE, NO_MARK, Lane, Profile, lane
from carla_bridge.embedded.towns.layouts.shapes import arc

APRON_M = 0.8  # kerbed strip round the island


@dataclass(frozen=True)
class Ring:
    """Measures of a roundabout with one lane."""

    radius: float = 15.0  # of the island, which is the lane's left edge [m]
    width: float = 4.6  # of the lane [m]
    reach: float = 33.0  # from the centre to where the arms end [m]
    opening: float = 34.0  # [deg] from an arm's axis to where the ring goes on beyond its junction
    speed_kmh: float = 30.0


def _ring_profile(width: float, outside: Lane | None) -> Profile:
    right = (lane("driving", width, NO_MARK if outside and outside.kind == "sidewalk" else EDGE),)
    return Profile(right + ((outside,) if outside else ()), (lane(BORDER, APRON_M),), EDGE)


def roundabout(
    plan: Plan,
    name: str,
    centre: Point,
    arms: Sequence[float],
    *,
    z: float,
    measures: Ring,
    outside: Lane | None = None,
) -> None:
    """A ring with one junction for each arm, named name.0, name.1 and so on in the order of `arms` (headings [deg]).

    Streets may end at these junctions; `serve` then adds the ways in and out. outside: a lane beyond the ring's."""
    order = sorted(range(len(arms)), key=lambda k: arms[k] % 360.0)
    for k, heading in enumerate(arms):
        plan.spot(f"{name}.{k}", *centre, z=z, gap=measures.reach)
        following = order[(order.index(k) + 1) % len(order)]
        start = math.radians(heading + measures.opening)
        sweep = math.radians((arms[following] - heading) % 360.0 - 2.0 * measures.opening)
        if sweep <= 0.0:
            raise ValueError(f"the arms {heading} and {arms[following]} of {name} are too close for {measures}")
        plan.street(
            Street(
                ring(name, k),
                End(f"{name}.{k}", 0.0),
                End(f"{name}.{following}", 0.0),
                lambda length: _ring_profile(measures.width, outside),
                measures.speed_kmh,
                curve=arc(centre, measures.radius, start, sweep),
                height=level(z),
                speed_signs=False,
            )
        )
        plan.way(Way(f"{name}.{following}", ring(name, k), ring(name, following), median=True, painted=True))


def ring(name: str, k: int) -> str:
    """The name of the piece of ring that follows arm k."""
    return f"{name}_ring_{k}"


def serve(plan: Plan, name: str, k: int, *, into: str | None = None, out: str | None = None) -> None:
    """Leads a street into the ring at arm k and the ring out into a street (the same one, if it is two-way)."""
    spot = f"{name}.{k}"
    before = next(s.name for s in plan.streets.values() if s.end.at == spot and s.name.startswith(f"{name}_ring_"))
    if into is not None:
        plan.way(Way(spot, into, ring(name, k), kerb=True))
    if out is not None:
        plan.way(Way(spot, before, out, kerb=True))


def turning_loop(
    plan: Plan,
    name: str,
    stem: str,
    end: Point,
    heading: float,
    *,
    radius: float,
    width: float,
    speed_kmh: float,
    outside: Lane | None = None,
) -> None:
    """The end of a cul-de-sac: a ring that the stem enters on its right and comes back from on its left.

    end, heading [deg]: where the stem ends and which way it goes there. The stem must end at the junction `name`,
    which this adds. The ring is left and entered 50 degrees off the stem's axis."""
    z = plan.ground(*end)
    off = math.radians(50.0)
    ahead = math.radians(heading)
    # The tangent at the entrance meets the axis this far before the centre; the turn into it takes another 6 m.
    distance = radius / math.cos(off) + 6.0
    centre = end[0] + distance * math.cos(ahead), end[1] + distance * math.sin(ahead)
    plan.spot(name, *end, z=z, gap=0.0)
    # Two halves: a road that began and ended at one junction would lead CARLA's parser from its end to its beginning.
    halves, sweep = (f"{name}_loop_out", f"{name}_loop_back"), math.pi - off
    for half, start in zip(halves, (ahead + math.pi + off, ahead), strict=True):
        plan.street(
            Street(
                half,
                End(name, 0.0),
                End(name, 0.0),
                lambda length: _ring_profile(width, outside),
                speed_kmh,
                curve=arc(centre, radius, start, sweep),
                height=level(z),
                speed_signs=False,
                follows=halves[0] if half == halves[1] else "",
            )
        )
    plan.way(Way(name, stem, halves[0], kerb=True), Way(name, halves[1], stem, kerb=True))
