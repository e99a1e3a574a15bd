"""What every scenery builder needs at hand: the land, the places along its roads, and what has been built so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.towns.dressing.blocks import solid_box
from carla_bridge.embedded.towns.dressing.lots import Lots
from carla_bridge.embedded.towns.meshes import Colour, MeshBuilder, rectangle
from carla_bridge.embedded.towns.site import Site, Style, Verge
from carla_bridge.embedded.types import Box, Label, Material, StreetLamp

Array = npt.NDArray[np.float64]

PACE_M = 500.0
ISLAND_M2 = 400.0, 1000.0  # of a roundabout; a farm may well stand in a turning loop, which is smaller
FLAT_WITHIN_M = 0.02  # land that varies less is flat
SHEET_M = 0.02  # thickness of glass and sheet metal
LIFT_M = 0.035  # of what lies on the ground, so that the ground cannot show through


@dataclass(frozen=True)
class Spot:
    """A place with a direction: u runs along the road, v away from it, z is the ground."""

    x: float
    y: float
    z: float
    heading: float  # of u

    def at(self, u: float, v: float) -> tuple[float, float]:
        c, s = math.cos(self.heading), math.sin(self.heading)
        return self.x + u * c - v * s, self.y + u * s + v * c

    def points(self, local: npt.ArrayLike) -> Array:
        """(N, 2) u, v -> (N, 2) x, y."""
        p = np.asarray(local, dtype=np.float64).reshape(-1, 2)
        c, s = math.cos(self.heading), math.sin(self.heading)
        return np.column_stack([self.x + p[:, 0] * c - p[:, 1] * s, self.y + p[:, 0] * s + p[:, 1] * c])

    def moved(self, u: float, v: float, turn: float = 0.0) -> Spot:
        x, y = self.at(u, v)
        return replace(self, x=x, y=y, heading=self.heading + turn)

    def outline(self, eu: float, ev: float) -> Array:
        """(4, 2) counter-clockwise corners of the rectangle around this spot."""
        return rectangle((self.x, self.y), self.heading, eu, ev)

    def polygon(self, eu: float, ev: float) -> shapely.Polygon:
        return shapely.Polygon(self.outline(eu, ev))


@dataclass(frozen=True)
class Walk:
    """A verge to walk along."""

    verge: Verge
    s: Array  # (N,) distance of each of its points from the first

    @property
    def length(self) -> float:
        return float(self.s[-1])

    def spot(self, s: float) -> Spot:
        """The place s metres along the verge."""
        i = int(np.clip(np.searchsorted(self.s, s) - 1, 0, len(self.s) - 2))
        step = self.s[i + 1] - self.s[i]
        share = min(max((s - self.s[i]) / step if step > 0.0 else 0.0, 0.0), 1.0)
        point = self.verge.points[i] * (1.0 - share) + self.verge.points[i + 1] * share
        out = self.verge.outward[i] * (1.0 - share) + self.verge.outward[i + 1] * share
        return Spot(float(point[0]), float(point[1]), float(point[2]), math.atan2(out[1], out[0]) - math.pi / 2.0)


def walks(verges: tuple[Verge, ...]) -> tuple[Walk, ...]:
    """All verges that are long enough to matter."""
    found = []
    for verge in verges:
        if len(verge.points) < 2:
            continue
        steps = np.hypot(*np.diff(verge.points[:, :2], axis=0).T)
        if steps.sum() > 1.0:
            found.append(Walk(verge, np.concatenate([[0.0], np.cumsum(steps)])))
    return tuple(found)


@dataclass
class Stage:
    """A site while it is being dressed."""

    builder: MeshBuilder
    site: Site
    style: Style
    rng: np.random.Generator
    lots: Lots
    walks: tuple[Walk, ...]
    flat: bool  # the land has no slopes
    centre: tuple[float, float]  # of the built-up area
    radius: float  # of the built-up area
    thin: float  # 0..1: how much of what the style asks for the triangle budget allows
    islands: shapely.Geometry = field(default_factory=shapely.Polygon)  # nobody builds there
    solids: list[Box] = field(default_factory=list)
    lamps: list[StreetLamp] = field(default_factory=list)

    def z(self, points: npt.ArrayLike) -> Array:
        """(N,) height of the land at (N, 2) points."""
        return np.asarray(self.site.height(np.asarray(points, dtype=np.float64).reshape(-1, 2)), dtype=np.float64)

    def levels(self, outline: Array) -> tuple[float, float]:
        """Lowest and highest ground along an outline."""
        z = self.z(outline)
        return float(z.min()), float(z.max())

    def grounded(self, spot: Spot) -> Spot:
        """The same place at the height of the land."""
        return replace(spot, z=float(self.z([(spot.x, spot.y)])[0]))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, colours: tuple[Colour, ...]) -> Colour:
        return colours[int(self.rng.integers(len(colours)))]

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def town_walks(self) -> Iterator[Walk]:
        """Verges along which one can build: outside junctions."""
        return (walk for walk in self.walks if not walk.verge.in_junction)

    def paced_walks(self, allowed: float) -> Iterator[tuple[Walk, float]]:
        """The same with a pace in 0..1 to multiply densities with, so that about `allowed` triangles are spent evenly
        along all of them: a proportional controller with a lead of PACE_M."""
        found = list(self.town_walks())
        total, start, done = sum(walk.length for walk in found), self.builder.triangle_count, 0.0
        lead = allowed * min(1.0, PACE_M / max(total, 1.0))
        for walk in found:
            spent = self.builder.triangle_count - start
            yield walk, float(np.clip((allowed * done / total + lead - spent) / max(lead, 1.0), 0.0, 1.0))
            done += walk.length

    def on_island(self, polygon: shapely.Polygon) -> bool:
        return bool(self.islands.intersects(polygon))

    def claim(self, polygon: shapely.Polygon, *, flat: bool = False) -> bool:
        """Takes the land if it is free."""
        if not self.lots.free(polygon, flat=flat):
            return False
        self.lots.take(polygon)
        return True

    def solid(self, spot: Spot, eu: float, ev: float, z0: float, z1: float, label: Label) -> None:
        self.solids.append(solid_box((spot.x, spot.y), z0, z1, spot.heading, eu, ev, label))

    def block(
        self,
        spot: Spot,
        eu: float,
        ev: float,
        z0: float,
        z1: float,
        colour: Colour,
        label: Label = Label.BUILDINGS,
        material: Material = Material.PLAIN,
        *,
        bottom: bool = False,
        top: bool = True,
        roof: Colour | None = None,
    ) -> None:
        """A box around the spot; roof: its top's colour if that differs."""
        outline = spot.outline(eu, ev)
        plain_roof = (roof, Material.PLAIN) if roof is not None else None
        self.builder.loft(outline, z0, outline, z1, colour, label, material, bottom=bottom, top=top, roof=plain_roof)

    def panel(
        self,
        spot: Spot,
        u0: float,
        u1: float,
        z0: float,
        z1: float,
        v: float,
        colour: Colour,
        label: Label = Label.BUILDINGS,
        material: Material = Material.PLAIN,
        *,
        both: bool = False,
    ) -> None:
        """An upright rectangle at v that faces the road (-v)."""
        a, b = spot.at(u0, v), spot.at(u1, v)
        corners = np.array([[*a, z0], [*b, z0], [*b, z1], [*a, z1]])
        self.builder.quad(corners, colour, label, material)
        if both:  # the back a little behind: two faces in one plane would be in each other's way
            a, b = spot.at(u0, v + SHEET_M), spot.at(u1, v + SHEET_M)
            behind = np.array([[*b, z0], [*a, z0], [*a, z1], [*b, z1]])
            self.builder.quad(behind, colour, label, material)

    def carpet(
        self,
        spot: Spot,
        eu: float,
        ev: float,
        colour: Colour,
        label: Label = Label.GROUND,
        material: Material = Material.PLAIN,
        lift: float = LIFT_M,
    ) -> None:
        """A rectangle that lies on the land and follows it."""
        columns = 1 if self.flat else max(1, math.ceil(2.0 * eu / 4.0))
        rows = 1 if self.flat else max(1, math.ceil(2.0 * ev / 4.0))
        u, v = np.meshgrid(np.linspace(-eu, eu, columns + 1), np.linspace(-ev, ev, rows + 1))
        plan = spot.points(np.column_stack([u.ravel(), v.ravel()]))
        vertices = np.column_stack([plan, self.z(plan) + lift])
        i, j = (g.ravel() for g in np.meshgrid(np.arange(columns), np.arange(rows)))
        a = j * (columns + 1) + i
        b = a + columns + 1
        triangles = np.concatenate([np.column_stack([a, a + 1, b + 1]), np.column_stack([a, b + 1, b])])
        self.builder.add(vertices, triangles, colour, label, material)


def is_flat(height: Callable[[Array], Array], bounds: tuple[float, float, float, float]) -> bool:
    """Whether the land is a plane z = constant, judged from a grid of samples."""
    x, y = np.meshgrid(np.linspace(bounds[0], bounds[2], 25), np.linspace(bounds[1], bounds[3], 25))
    return bool(np.ptp(height(np.column_stack([x.ravel(), y.ravel()]))) < FLAT_WITHIN_M)


def islands(footprint: shapely.Geometry) -> shapely.Geometry:
    """What roundabouts go round: holes of their size in what roads cover."""
    holes = [shapely.Polygon(ring) for part in shapely.get_parts(footprint) for ring in part.interiors]
    return shapely.union_all([hole for hole in holes if ISLAND_M2[0] < hole.area < ISLAND_M2[1]])
