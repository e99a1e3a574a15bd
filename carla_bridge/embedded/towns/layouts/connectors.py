"""Connectors: which lanes of a junction's arms lead into one another, and the roads that carry them through it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from carla_bridge.embedded.towns.curves import Curve, turn
from carla_bridge.embedded.towns.layouts.cubics import Cubics, blend, constant, hermite
from carla_bridge.embedded.towns.layouts.network import Arm, Connector, ConnectorLane, Numbers
from carla_bridge.embedded.towns.layouts.profile import BROKEN, DRIVING, MIDDLE, NO_MARK, PARKING, Lane

TURN_KMH = 30.0  # no faster where a junction bends more than this
TURN_BEND = math.radians(35.0)


@dataclass(frozen=True)
class Pair:
    """A wanted connector: lanes (their ids) of two arms, side by side. kerb: take along what lies outside the last
    lane; median: and what lies left of the first; painted: lines are drawn through the junction."""

    incoming: Arm
    outgoing: Arm
    lanes: tuple[tuple[int, int], ...]
    kerb: bool
    median: bool
    painted: bool = False
    curve: Curve | None = None


def every_way(arms: Sequence[Arm]) -> list[Pair]:
    """All turns: left from and to the innermost lane, right from and to the outermost, straight on from every lane."""
    ordered = sorted(arms, key=lambda arm: arm.heading % math.tau)
    found = []
    for i, incoming in enumerate(ordered):
        for step in range(1, len(ordered)):
            outgoing = ordered[(i + step) % len(ordered)]
            a, b = incoming.lanes_in, outgoing.lanes_out
            if not a or not b:
                continue
            bend = math.remainder(outgoing.heading - incoming.heading - math.pi, math.tau)
            if bend > math.pi / 4:
                pairs = [(a[0], b[0])]
            elif bend < -math.pi / 4:
                pairs = [(a[-1], b[-1])]
            else:
                pairs = [(lane, b[min(k, len(b) - 1)]) for k, lane in enumerate(a)]
            for pair in pairs:
                found.append(Pair(incoming, outgoing, (pair,), step == 1 and pair[0] == a[-1], False))
    return found


def connector(numbers: Numbers, junction: int, pair: Pair) -> Connector:
    incoming, outgoing = pair.incoming, pair.outgoing
    start = incoming.beside(0.0, incoming.inner_edge(pair.lanes[0][0]))
    end = outgoing.beside(0.0, -outgoing.inner_edge(pair.lanes[0][1]))
    curve = pair.curve or turn(start, incoming.heading + math.pi, end, outgoing.heading)
    length = curve.length
    z0, z1 = incoming.road.height.at(incoming.s), outgoing.road.height.at(outgoing.s)
    m0, m1 = incoming.slope(outwards=False), outgoing.slope(outwards=True)
    right = []
    for k, (before, after) in enumerate(pair.lanes):
        last = k == len(pair.lanes) - 1
        edge = (outgoing.road.profile.lane(after).mark if pair.kerb else MIDDLE) if pair.painted else NO_MARK
        mark = edge if last else BROKEN
        width = _width(incoming.width(before), outgoing.width(after), length)
        right.append(ConnectorLane(Lane(DRIVING, width, mark), before, after))
    if pair.kerb:
        right += _beyond(incoming, pair.lanes[-1][0], outgoing, pair.lanes[-1][1], length)
    left: list[ConnectorLane] = []
    if pair.median:
        left = _beyond(incoming, 0, outgoing, 0, length)
    return Connector(
        id=numbers.next("connector"),
        junction=junction,
        incoming=incoming,
        outgoing=outgoing,
        curve=curve,
        height=constant(z0) if z0 == z1 and m0 == m1 == 0.0 else hermite([(0.0, z0, m0), (length, z1, m1)]),
        right=tuple(right),
        left=tuple(left),
        speed_kmh=min(incoming.road.speed_kmh, outgoing.road.speed_kmh, TURN_KMH if _bends(curve) else math.inf),
        middle=incoming.road.profile.middle if pair.painted and pair.median else NO_MARK,
    )


def _bends(curve: Curve) -> bool:
    return sum(abs(part.length * part.curvature) for part in curve.segments) > TURN_BEND


def _width(start: float, end: float, length: float) -> Cubics:
    return constant(start) if start == end else blend(start, end, length)


def _beyond(incoming: Arm, before: int, outgoing: Arm, after: int, length: float) -> list[ConnectorLane]:
    """What lies outside two lanes, kind by kind from the middle outwards; with before and after 0 what lies left of the
    first lane."""
    sides: list[dict[str, tuple[int, float]]] = []
    for arm, lane_id, sign in ((incoming, before, incoming.sign_in), (outgoing, after, -outgoing.sign_in)):
        sign = sign if lane_id else -sign
        found = {}
        for i, lane in enumerate(arm.road.profile.side(sign)[abs(lane_id) :]):
            width = lane.width.at(arm.s)
            if lane.kind == DRIVING:
                break
            if lane.kind != PARKING and width > 0.0:
                found[lane.kind] = (sign * (abs(lane_id) + i + 1), width)
        sides.append(found)
    kinds = list(dict.fromkeys((*sides[0], *sides[1])))
    lanes = []
    for kind in sorted(kinds, key=("median", "shoulder", "border", "sidewalk").index):
        first, last = sides[0].get(kind), sides[1].get(kind)
        widths = _width(first[1] if first else 0.0, last[1] if last else 0.0, length)
        lanes.append(ConnectorLane(Lane(kind, widths), first[0] if first else None, last[0] if last else None))
    return lanes


def phases(arms: Sequence[Arm]) -> tuple[tuple[int, ...], ...]:
    """Each light of a junction is a phase of its own, in counter-clockwise order of the arms."""
    phases = []
    for arm in sorted(arms, key=lambda arm: arm.heading % math.tau):
        orientation = "-" if arm.at_start else "+"
        phases += [(s.id,) for s in arm.road.signals if s.dynamic and s.orientation == orientation]
    return tuple(phases)
