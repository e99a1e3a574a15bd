"""Towns drawn at random, `Random<N>`: the same number gives the same town.

A sketch of streets is drawn and built again and again until its roads keep clear of one another, its bends suit their
speeds and every lane leads to every other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from carla_bridge.embedded.towns.layouts.character import Character, Section, draw_character
from carla_bridge.embedded.towns.layouts.furniture import Control
from carla_bridge.embedded.towns.layouts.network import Network, Road
from carla_bridge.embedded.towns.layouts.plan import End, Plan, Street, Way
from carla_bridge.embedded.towns.layouts.profile import SIDEWALK, lane
from carla_bridge.embedded.towns.layouts.rings import Ring, roundabout, serve
from carla_bridge.embedded.towns.layouts.sketches import Arm, Sketch, draw
from carla_bridge.embedded.towns.layouts.soundness import RING_PART, is_sound
from carla_bridge.embedded.towns.site import Style

ATTEMPTS = 2000
RING = Ring(radius=14.0, width=4.6, reach=30.0, opening=34.0)
RING_ANGLE = math.radians(78.0)  # between its arms
RING_SHARE = 0.3  # of the junctions that could be one
LATERAL_MPS2 = 3.6
SPEEDS_KMH = (50.0, 40.0, 30.0)


@dataclass(frozen=True)
class RandomTown:
    """A road network that can be driven, the style of what stands beside it, the seed of its scenery."""

    network: Network
    style: Style
    seed: int


def random_town(number: int) -> RandomTown:
    """Raises ValueError if no attempt succeeds, which no number tried so far has done."""
    character = draw_character(np.random.default_rng([number, 0]))
    for attempt in range(1, ATTEMPTS + 1):
        rng = np.random.default_rng([number, attempt])
        sketch = draw(rng, grid=character.grid, winding=character.winding)
        network = None if sketch is None else _network(f"Random{number}", sketch, character, rng)
        if network is not None:
            return RandomTown(network, character.style, number)
    raise ValueError(f"Random{number}: no road network found in {ATTEMPTS} attempts")


def _network(name: str, sketch: Sketch, character: Character, rng: np.random.Generator) -> Network | None:
    """The sketch as a network, or None where it is no good one."""
    plan = _Draft(name, sketch, character, rng).plan()
    network = plan.build()
    limits = {road.name: _limit(road) for road in network.roads}
    if any(limit is None for limit in limits.values()):
        return None
    for street in list(plan.streets.values()):
        plan.street(replace(street, speed_kmh=min(street.speed_kmh, limits[street.name] or 0.0)))
    network = plan.build()
    return network if is_sound(network, plan) else None


def _limit(road: Road) -> float | None:
    """The highest speed that the road's bends allow; None where that is too low."""
    if RING_PART in road.name:
        return RING.speed_kmh
    radius = road.curve.tightest_radius
    return next((kmh for kmh in SPEEDS_KMH if (kmh / 3.6) ** 2 / radius <= LATERAL_MPS2), None)


class _Draft:
    """One sketch on its way to a plan: who has to stop where, how wide the streets are."""

    def __init__(self, name: str, sketch: Sketch, character: Character, rng: np.random.Generator) -> None:
        self._name, self._sketch, self._character, self._rng = name, sketch, character, rng
        strokes = sketch.strokes()
        self._rank = {link: i for i, stroke in enumerate(strokes) for link in stroke}
        avenues = {link for stroke in strokes[: character.avenues] if len(stroke) > 1 for link in stroke}
        majors = {link for stroke in strokes[: max(2, len(strokes) // 4)] if len(stroke) > 1 for link in stroke}
        self._avenues, self._majors = avenues, majors - avenues
        self._sections = [self._section(link) for link in range(len(sketch.links))]
        self._rings: set[int] = set()
        self._controls: dict[tuple[int, int, bool], Control] = {}  # node, link, at its start
        for node, lit in self._lit().items():
            self._decide(node, lit)

    def _section(self, link: int) -> Section:
        if link in self._avenues:
            return self._character.avenue(self._rng)
        return self._character.street(self._rng, major=link in self._majors, length=self._sketch.length(link))

    def _touched(self, node: int) -> bool:
        return any(arm.link in self._avenues for arm in self._sketch.arms[node])

    def _lit(self) -> dict[int, bool]:
        """Which junctions have lights: those of avenues, and others by chance until there are enough."""
        nodes = list(self._sketch.points)
        lit = {node: self._touched(node) or self._rng.random() < self._character.signals for node in nodes}
        for node in self._rng.permutation(nodes).tolist():
            if sum(lit.values()) < self._character.least_signals:
                lit[node] = True
        return lit

    def _decide(self, node: int, lit: bool) -> None:
        arms = self._sketch.arms[node]
        headings = [arm.heading for arm in arms]
        gaps = [(b - a) % math.tau for a, b in zip(headings, [*headings[1:], *headings[:1]], strict=True)]
        chance = float(self._rng.random())
        if lit:
            wanted = [Control.LIGHT] * len(arms)
        elif min(gaps) > RING_ANGLE and chance < RING_SHARE:
            self._rings.add(node)
            wanted = [Control.YIELD] * len(arms)
        elif chance < 0.55:
            wanted = [Control.STOP] * len(arms)
        else:
            through = min((self._rank[arm.link] for arm in arms if arm.straight is not None), default=None)
            minor = Control.NONE if chance > 0.93 else Control.YIELD if chance > 0.78 else Control.STOP
            wanted = [Control.NONE if self._rank[arm.link] == through else minor for arm in arms]
        for arm, control in zip(arms, wanted, strict=True):
            self._controls[node, arm.link, arm.at_start] = control

    def plan(self) -> Plan:
        plan = Plan(self._name, self._character.ground)
        walk = lane(SIDEWALK, self._character.walk)
        for node, (x, y) in self._sketch.points.items():
            if node in self._rings:
                headings = [math.degrees(arm.heading) for arm in self._sketch.arms[node]]
                z = self._character.ground(x, y)
                roundabout(plan, f"j{node}", (x, y), headings, z=z, measures=RING, outside=walk)
            else:
                plan.spot(f"j{node}", x, y, radius=float(self._rng.uniform(7.5, 10.5)))
        zebras = {
            node: self._rng.random() < self._character.crosswalks * (1.0 if self._lights(node) else 0.6)
            for node in self._sketch.points
        }
        ends: dict[tuple[int, bool], End] = {}
        for node, arms in self._sketch.arms.items():
            for k, arm in enumerate(arms):
                at = f"j{node}.{k}" if node in self._rings else f"j{node}"
                control = self._controls[node, arm.link, arm.at_start]
                walked = any(self._sections[arm.link].walks)
                crosswalk = bool(zebras[node] and walked and self._rng.random() < 0.85)
                ends[arm.link, arm.at_start] = End(at, math.degrees(arm.heading), control, crosswalk)
        for number, link in enumerate(self._sketch.links):
            plan.street(self._street(number, link.via, ends[number, True], ends[number, False]))
        for node, arms in self._sketch.arms.items():
            if node in self._rings:
                for k, arm in enumerate(arms):
                    serve(plan, f"j{node}", k, into=_name(arm.link), out=_name(arm.link))
            elif self._touched(node):
                plan.way(*self._turns(node, arms))
        return plan

    def _lights(self, node: int) -> bool:
        arm = self._sketch.arms[node][0]
        return self._controls[node, arm.link, arm.at_start] is Control.LIGHT

    def _street(self, number: int, via: tuple[tuple[float, float], ...], start: End, end: End) -> Street:
        section = self._sections[number]
        halfway = self._sketch.length(number) > 140.0 and any(section.walks) and section.lanes == 1
        kmh = self._character.kmh[0 if number in self._avenues else 1 if number in self._majors else 2]
        return Street(
            _name(number),
            start,
            end,
            section,
            kmh,
            via=via,
            crosswalks=(0.5,) if halfway and self._rng.random() < 0.4 * self._character.crosswalks else (),
            speed_signs=bool(self._rng.random() < 0.5),
        )

    def _turns(self, node: int, arms: tuple[Arm, ...]) -> list[Way]:
        """Which lane turns where, in a junction that an avenue meets.

        Lefts go from and to the innermost lane, rights from and to the outermost; straight on from every lane that
        finds one beyond, and where two lanes would have to become one, from the one that has no turn to itself."""
        found = []
        for i, arm in enumerate(arms):
            lanes = self._sections[arm.link].lanes
            outs = [arms[(i + step) % len(arms)] for step in range(1, len(arms))]  # from the rightmost on
            bends = [math.remainder(out.heading - arm.heading - math.pi, math.tau) for out in outs]
            has_left = any(bend > math.pi / 4 for bend in bends)
            for k, (out, bend) in enumerate(zip(outs, bends, strict=True)):
                beyond = self._sections[out.link].lanes
                if bend > math.pi / 4:
                    pairs = {(1, 1)} | ({(lanes, beyond)} if k == 0 else set())
                elif bend < -math.pi / 4:
                    pairs = {(lanes, beyond)} | ({(1, 1)} if k == len(outs) - 1 else set())
                elif beyond >= lanes:
                    pairs = {(min(place, lanes), place) for place in range(1, beyond + 1)}
                else:
                    pairs = {(lanes, 1)} if has_left or k == 0 else {(1, 1)}
                for pair in sorted(pairs):
                    kerb = k == 0 and pair == (lanes, beyond)
                    found.append(Way(f"j{node}", _name(arm.link), _name(out.link), (pair,), kerb=kerb))
        return found


def _name(link: int) -> str:
    return f"street_{link}"
