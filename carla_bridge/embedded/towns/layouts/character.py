"""What a random town is like: its kind, its streets' cross-sections, its style, the land under it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from carla_bridge.embedded.towns.layouts.cubics import bays, constant
from carla_bridge.embedded.towns.layouts.plan import Ground
from carla_bridge.embedded.towns.layouts.profile import (
    BORDER,
    BROKEN,
    DRIVING,
    EDGE,
    MIDDLE,
    MIDDLE_SOLID,
    NO_MARK,
    PARKING,
    SIDEWALK,
    Lane,
    Mark,
    Profile,
    lane,
)
from carla_bridge.embedded.towns.site import BuildingKind, Colour, Style
from carla_bridge.embedded.types import Material

BAY_WIDTH_M, BAY_TAPER_M = 2.2, 2.0
DOUBLE = Mark("solid solid", "yellow")
MIDDLE_WHITE = Mark("solid", "white")
KINDS: dict[BuildingKind, float] = {  # share of the towns
    BuildingKind.TOWN: 0.36,
    BuildingKind.HOUSES: 0.26,
    BuildingKind.VILLAGE: 0.14,
    BuildingKind.INDUSTRIAL: 0.14,
    BuildingKind.RURAL: 0.1,
}
LANDS: tuple[Colour, ...] = (
    (0.357, 0.478, 0.235),
    (0.42, 0.50, 0.27),
    (0.50, 0.49, 0.30),
    (0.30, 0.42, 0.24),
    (0.46, 0.44, 0.33),
)
PAVEMENTS: tuple[Colour, ...] = (
    (0.608, 0.596, 0.569),
    (0.55, 0.53, 0.49),
    (0.66, 0.62, 0.56),
    (0.52, 0.53, 0.55),
    (0.60, 0.52, 0.47),
)

Shares = tuple[tuple[float, float], ...]  # of a street's length


@dataclass(frozen=True)
class Section:
    """A cross-section: lanes a direction, sidewalks on either side (0: an unpaved edge), bays where cars are parked."""

    lanes: int
    lane_width: float
    walks: tuple[float, float]  # right, left of the street's curve
    verge: float
    middle: Mark
    edge_lines: bool = False
    bays: tuple[Shares, Shares] = ((), ())

    def __call__(self, length: float) -> Profile:
        return Profile(self._side(0, length), self._side(1, length), self.middle)

    def _side(self, index: int, length: float) -> tuple[Lane, ...]:
        walk, spans = self.walks[index], [(a * length, b * length) for a, b in self.bays[index]]
        outermost = EDGE if self.edge_lines or not walk else NO_MARK
        side = [lane(DRIVING, self.lane_width, BROKEN) for _ in range(self.lanes - 1)]
        side.append(lane(DRIVING, self.lane_width, outermost))
        if spans:
            side.append(Lane(PARKING, bays(spans, BAY_WIDTH_M, BAY_TAPER_M, length), NO_MARK))
        side.append(Lane(SIDEWALK, constant(walk)) if walk else lane(BORDER, self.verge))
        return tuple(side)


@dataclass(frozen=True)
class Character:
    """signals: share of the junctions that have lights; least_signals: so many at least. kmh: of avenues, of streets
    that go straight on for long, of all others."""

    grid: bool
    winding: float
    avenues: int
    signals: float
    least_signals: int
    crosswalks: float  # share of the junctions with zebras
    parking: float  # share of the streets with parked cars
    bare: float  # share of the side streets without sidewalk
    lane_widths: tuple[float, float, float]
    walk: float
    verge: float
    middle: Mark
    edge_lines: bool
    kmh: tuple[float, float, float]
    ground: Ground
    style: Style

    def avenue(self, rng: np.random.Generator) -> Section:
        middle = MIDDLE_SOLID if self.middle.colour == "yellow" else MIDDLE_WHITE
        return Section(2, self.lane_widths[0], (self.walk + 0.4,) * 2, self.verge, middle, self.edge_lines)

    def street(self, rng: np.random.Generator, *, major: bool, length: float) -> Section:
        width = self.lane_widths[1 if major else 2]
        walks = (self.walk, self.walk)
        if not major and rng.random() < self.bare:
            walks = ((0.0, 0.0), (self.walk, 0.0), (0.0, self.walk))[int(rng.integers(3))]
        middle = self.middle if major or any(walks) else NO_MARK
        spots: tuple[Shares, Shares] = ((), ())
        if rng.random() < self.parking and length > 85.0:
            spots = (_bays(rng), _bays(rng)) if rng.random() < 0.6 else ((), _bays(rng))
        return Section(1, width, walks, self.verge, middle, self.edge_lines, spots)


def _bays(rng: np.random.Generator) -> Shares:
    """Before and behind the middle, where there may be a crosswalk."""
    first = float(rng.uniform(0.22, 0.28)), float(rng.uniform(0.38, 0.44))
    second = float(rng.uniform(0.56, 0.62)), float(rng.uniform(0.70, 0.77))
    return [(first,), (second,), (first, second)][int(rng.integers(3))]


def draw_character(rng: np.random.Generator) -> Character:
    kind = list(KINDS)[int(rng.choice(len(KINDS), p=list(KINDS.values())))]
    urban = kind in (BuildingKind.TOWN, BuildingKind.INDUSTRIAL)
    regime = float(rng.random())
    signals, least = (0.6, 3) if regime < 0.68 else (0.45, 2) if regime < 0.92 else (0.1, 0)
    avenues = int(rng.choice([0, 1, 2], p=[0.52, 0.38, 0.1])) if least else 0
    widths = sorted((float(w) for w in rng.uniform(3.0, 3.6, 3).round(2)), reverse=True)
    middle = (MIDDLE, MIDDLE_SOLID, MIDDLE_WHITE, DOUBLE)[int(rng.choice(4, p=[0.45, 0.25, 0.15, 0.15]))]
    fast = float(rng.choice([40.0, 50.0]))
    return Character(
        grid=bool(rng.random() < (0.7 if urban else 0.35)),
        winding=0.0 if rng.random() < (0.5 if urban else 0.15) else float(rng.uniform(0.3, 1.0)),
        avenues=avenues,
        signals=signals,
        least_signals=least,
        crosswalks=float(rng.uniform(0.4, 1.0)),
        parking=float(rng.choice([0.0, 0.25, 0.5])),
        bare=float(rng.choice([0.0, 0.3])) if urban else float(rng.uniform(0.1, 0.9)),
        lane_widths=(widths[1], widths[0], widths[2]),
        walk=float(rng.uniform(1.5, 2.6)),
        verge=float(rng.uniform(0.6, 1.2)),
        middle=middle,
        edge_lines=bool(rng.random() < 0.35),
        kmh=(50.0, fast, 30.0 if fast < 50.0 or rng.random() < 0.5 else 40.0),
        ground=_ground(rng),
        style=_style(rng, kind, avenues),
    )


def _ground(rng: np.random.Generator) -> Ground:
    """Flat, or a long swell and two hills; the steepest slope is a few per cent."""
    flat = rng.random() < 0.45
    height, wave = float(rng.uniform(0.8, 3.2)), float(rng.uniform(60.0, 110.0))
    hills = [(float(x), float(y), float(h)) for x, y, h in rng.uniform((-180, -180, -1), (180, 180, 1), (2, 3))]
    phase = float(rng.uniform(0.0, math.tau))
    if flat:
        return lambda x, y: 0.0

    def ground(x: float, y: float) -> float:
        swell = 0.15 * height * math.sin(x / wave + 0.6 * y / wave + phase)
        return swell + sum(h * height * math.exp(-((x - a) ** 2 + (y - b) ** 2) / 2.0 / 95.0**2) for a, b, h in hills)

    return ground


def _style(rng: np.random.Generator, kind: BuildingKind, avenues: int) -> Style:
    return Style(
        buildings=kind,
        building_density=float(rng.uniform(0.4, 0.95)),
        tree_density=float(rng.uniform(0.2, 0.85)),
        lamp_spacing_m=float(rng.uniform(24.0, 48.0)),
        parked_share=float(rng.uniform(0.3, 0.8)),
        terrain_colour=LANDS[int(rng.integers(len(LANDS)))],
        sidewalk_colour=PAVEMENTS[int(rng.integers(len(PAVEMENTS)))],
        sidewalk_material=Material.PAVING if rng.random() < 0.7 else Material.PLAIN,
        lights_across=bool(rng.random() < (0.75 if avenues else 0.45)),
    )
