"""What closes the view: a belt of trees around the land, and hills behind it. Right-handed OpenDRIVE coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from carla_bridge.embedded.towns.dressing.palette import FOREST, HILLS, shaded
from carla_bridge.embedded.towns.meshes import MeshBuilder
from carla_bridge.embedded.types import Label, Material

Array = npt.NDArray[np.float64]

RING_PARTS = 120
BELTS = ((0.0, 11.0, 17.0), (7.0, 6.0, 10.0))  # inset, lowest and highest top [m]: tall trees behind lower ones
BELT_PART_M = 13.0
CORNER_SHARE = 0.35  # of the land's half width: how round its corners are for the belts
HILL_ROWS = ((0.0, 0.0, 0.0), (90.0, 6.0, 16.0), (230.0, 24.0, 58.0))  # off, lowest, highest [m]
HILL_PART_M = 85.0


def add_forest_ring(builder: MeshBuilder, rng: np.random.Generator, radius: float) -> None:
    """A ring of foliage at the edge of the ground, so that streets do not end at a bare horizon."""
    count = RING_PARTS
    for ring, (inset, low, high) in enumerate(BELTS):
        angle = -np.arange(count + 1) * (2.0 * math.pi / count)  # clockwise: the faces look inwards
        reach = radius - inset + rng.uniform(-3.0, 3.0, count)
        height = rng.uniform(low, high, count)
        closed = np.append(np.arange(count), 0)
        foot = np.column_stack([reach[closed] * np.cos(angle), reach[closed] * np.sin(angle), np.zeros(count + 1)])
        for i in range(count):
            part = foot[i : i + 2]
            top = part + np.column_stack([np.zeros((2, 2)), height[closed[i : i + 2]]])
            builder.ribbon(part, top, FOREST[ring], Label.VEGETATION, Material.FOLIAGE)


def _border(bounds: tuple[float, float, float, float], inset: float, corner: float, part: float) -> Array:
    """(N, 2) points clockwise around the bounds, `inset` inside them, with round corners; not closed."""
    x0, y0, x1, y1 = bounds[0] + inset, bounds[1] + inset, bounds[2] - inset, bounds[3] - inset
    r = max(1.0, min(corner, (x1 - x0) / 2.0 - 1.0, (y1 - y0) / 2.0 - 1.0))
    pieces = []
    arcs = ((x1 - r, y1 - r, 90.0), (x1 - r, y0 + r, 0.0), (x0 + r, y0 + r, -90.0), (x0 + r, y1 - r, -180.0))
    for cx, cy, start in arcs:
        angle = np.radians(start - np.linspace(0.0, 90.0, 13))
        pieces.append(np.column_stack([cx + r * np.cos(angle), cy + r * np.sin(angle)]))
    outline = np.concatenate([*pieces, pieces[0][:1]])
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(outline, axis=0).T))])
    count = max(24, int(s[-1] / part))
    at = np.arange(count) * (s[-1] / count)
    return np.column_stack([np.interp(at, s, outline[:, 0]), np.interp(at, s, outline[:, 1])])


def _ripple(rng: np.random.Generator, count: int) -> Array:
    """(count,) smooth periodic noise in 0..1: a few waves of random phase."""
    phase = np.arange(count) * (2.0 * math.pi / count)
    total = np.zeros(count)
    for wave in (3, 5, 8, 13, 21):
        total += np.sin(wave * phase + rng.uniform(0.0, 2.0 * math.pi)) / math.sqrt(wave)
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-9))


def add_backdrop(
    builder: MeshBuilder,
    rng: np.random.Generator,
    bounds: tuple[float, float, float, float],
    height: Callable[[Array], Array],
    hilly: bool,
) -> None:
    """Belts of trees just inside the bounds, and a range of hills from the bounds outwards."""
    corner = CORNER_SHARE * min(bounds[2] - bounds[0], bounds[3] - bounds[1]) / 2.0
    long_way = 2.0 * (bounds[2] - bounds[0] + bounds[3] - bounds[1])
    part = max(BELT_PART_M, long_way / 220.0)
    for ring, (inset, low, high) in enumerate(BELTS):
        middle = _border(bounds, inset + 5.0, corner, part)
        foot = middle + rng.uniform(-2.0, 2.0, middle.shape)
        tops = rng.uniform(low, high, len(foot))
        closed = np.append(np.arange(len(foot)), 0)
        foot, tops = foot[closed], tops[closed]
        z = np.asarray(height(foot))
        lower, upper = np.column_stack([foot, z - 1.0]), np.column_stack([foot, z + tops])
        for i in range(len(foot) - 1):
            tone = shaded(FOREST[ring], float(rng.uniform(0.9, 1.1)))
            builder.ribbon(lower[i : i + 2], upper[i : i + 2], tone, Label.VEGETATION, Material.FOLIAGE)
    _add_hills(builder, rng, bounds, height, 1.0 if hilly else 0.6)


def _add_hills(
    builder: MeshBuilder,
    rng: np.random.Generator,
    bounds: tuple[float, float, float, float],
    height: Callable[[Array], Array],
    scale: float,
) -> None:
    """Slopes of meadow and wood that rise from the land's edge; coarse, for they are always far."""
    part = max(HILL_PART_M, 2.0 * (bounds[2] - bounds[0] + bounds[3] - bounds[1]) / 60.0)
    inner = _border(bounds, 0.0, 1.0, part)
    count = len(inner)
    edge = np.asarray(height(inner))
    base = float(np.mean(edge))
    centre = np.array([(bounds[0] + bounds[2]) / 2.0, (bounds[1] + bounds[3]) / 2.0])
    out = inner - centre
    out /= np.hypot(*out.T)[:, None]
    rows = []
    for off, low, high in HILL_ROWS:
        z = edge - 0.3 if off == 0.0 else base + scale * (low + (high - low) * _ripple(rng, count))
        rows.append(np.column_stack([inner + off * out, z]))
    for k in range(len(rows) - 1):
        near, far = rows[k], rows[k + 1]
        for i in range(count):
            j = (i + 1) % count
            colour = shaded(HILLS[int(rng.integers(len(HILLS)))], 1.0 if k < 2 else 0.92)
            wooded = rng.random() < 0.45
            colour = FOREST[int(rng.integers(2))] if wooded else colour
            material = Material.FOLIAGE if wooded else Material.GRASS
            builder.quad([near[i], near[j], far[j], far[i]], colour, Label.TERRAIN, material)
