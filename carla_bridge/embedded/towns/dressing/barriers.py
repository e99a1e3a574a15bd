"""Hedges, fences, walls, guard rails and noise barriers: profiles drawn along a line."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely

from carla_bridge.embedded.towns.dressing.palette import CONCRETE, FENCE_WOOD, HEDGES, STEEL, STONES, shaded
from carla_bridge.embedded.towns.dressing.stage import Spot, Stage, Walk
from carla_bridge.embedded.towns.meshes import Colour
from carla_bridge.embedded.types import Label, Material

Array = npt.NDArray[np.float64]

PIECE_M = 12.0  # of a barrier on a slope: the land bends little over this
ROOT_M = 0.25  # how far barriers reach into the ground
RAIL_FROM_KMH = 70.0
DROP_M, DROP_REACH_M = 1.6, 6.0  # a fall of the land this near a road needs a rail
RAIL_OFF_M = 0.45  # behind the verge
RAIL_PIECE_M = 8.0
BRIDGE_M = 1.5  # above the land: what is higher is a bridge
NOISE_OFF_M = 1.6
NOISE_PIECE_M = 5.0
NOISE_HEIGHT_M = 3.2


def _pieces(start: Array, end: Array, longest: float) -> Array:
    count = max(1, math.ceil(float(np.hypot(*(end - start))) / longest))
    return start + (end - start) * (np.arange(count + 1) / count)[:, None]


def draw(
    stage: Stage,
    line: Array,
    half_width: float,
    height: float,
    colour: Colour,
    label: Label,
    material: Material = Material.PLAIN,
    *,
    cap: Colour | None = None,
    from_ground: float = -ROOT_M,
    solid: bool = True,
    levels: Array | None = None,
) -> None:
    """A wall of constant cross-section along (N, 2) points, its faces following the land, or `levels` (N,).
    from_ground: its foot."""
    ahead = np.diff(line, axis=0)
    ahead /= np.maximum(np.hypot(*ahead.T), 1e-9)[:, None]
    tangent = np.concatenate([ahead[:1], ahead[:-1] + ahead[1:], ahead[-1:]])
    tangent /= np.maximum(np.hypot(*tangent.T), 0.3)[:, None]
    left = np.column_stack([-tangent[:, 1], tangent[:, 0]]) * half_width
    z = stage.z(line) if levels is None else levels
    sides = []
    for points in (line - left, line + left):
        sides.append((np.column_stack([points, z + from_ground]), np.column_stack([points, z + height])))
    (right_low, right_high), (left_low, left_high) = sides
    add = stage.builder.ribbon
    add(right_low, right_high, colour, label, material)
    add(left_high, left_low, colour, label, material)
    add(right_high, left_high, cap if cap is not None else colour, label, material)
    if from_ground > 0.0:
        add(left_low, right_low, colour, label, material)
    quad = stage.builder.quad
    quad([left_low[0], right_low[0], right_high[0], left_high[0]], colour, label, material)
    quad([right_low[-1], left_low[-1], left_high[-1], right_high[-1]], colour, label, material)
    if not solid:
        return
    for i in range(len(line) - 1):
        a, b = line[i], line[i + 1]
        heading = math.atan2(b[1] - a[1], b[0] - a[0])
        spot = Spot(float(a[0] + b[0]) / 2.0, float(a[1] + b[1]) / 2.0, 0.0, heading)
        low, high = float(min(z[i], z[i + 1])), float(max(z[i], z[i + 1]))
        stage.solid(spot, float(np.hypot(*(b - a))) / 2.0, half_width, low, high + height, label)


def enclose(stage: Stage, start: tuple[float, float], end: tuple[float, float], kind: str, colour: Colour) -> None:
    """A straight garden boundary: hedge, fence, wall or rail (no taller than a driver's eye), if its land is free."""
    a, b = np.array(start), np.array(end)
    if np.hypot(*(b - a)) < 0.8:
        return
    strip = shapely.LineString([a, b]).buffer(0.3, quad_segs=1, cap_style="flat")
    if not stage.lots.free(strip):
        return
    line = np.array([a, b]) if stage.flat else _pieces(a, b, PIECE_M)
    if kind == "hedge":
        tall = stage.uniform(0.9, 1.5)
        draw(stage, line, 0.28, tall, colour, Label.VEGETATION, Material.FOLIAGE, cap=shaded(colour, 1.08))
    elif kind == "fence":
        draw(stage, line, 0.03, 0.95, colour, Label.FENCES, cap=shaded(colour, 1.1))
    elif kind == "rail":
        _rail_fence(stage, line, colour)
    else:
        stone_wall(stage, line, colour)


def stone_wall(stage: Stage, line: Array, colour: Colour) -> None:
    """Dry stone: pieces of slightly different greys under a light coping."""
    line = np.concatenate(
        [_pieces(line[i], line[i + 1], 3.2)[: None if i == len(line) - 2 else -1] for i in range(len(line) - 1)]
    )
    tall = stage.uniform(0.8, 1.1)
    for i in range(len(line) - 1):
        tone = shaded(colour, stage.uniform(0.88, 1.08))
        draw(stage, line[i : i + 2], 0.2, tall + stage.uniform(-0.04, 0.04), tone, Label.WALLS, cap=shaded(tone, 1.15))


def _rail_fence(stage: Stage, line: Array, colour: Colour) -> None:
    """Two thin rails on posts, as around a paddock."""
    for low, high in ((0.45, 0.55), (0.95, 1.05)):
        draw(stage, line, 0.025, high, colour, Label.FENCES, from_ground=low, solid=high > 1.0)
    posts = np.concatenate([_pieces(line[i], line[i + 1], 3.0)[:-1] for i in range(len(line) - 1)])
    z = stage.z(posts)
    for (x, y), level in zip(posts, z, strict=True):
        spot = Spot(float(x), float(y), 0.0, 0.0)
        stage.block(spot, 0.05, 0.05, float(level) - 0.1, float(level) + 1.12, colour, Label.FENCES)


def boundary(stage: Stage) -> tuple[str, Colour]:
    """What one garden has around it."""
    kind = ("hedge", "hedge", "fence", "fence", "wall", "none")[int(stage.rng.integers(6))]
    colours = {"hedge": HEDGES, "fence": FENCE_WOOD, "wall": STONES}
    return kind, stage.pick(colours.get(kind, HEDGES))


def _offset_runs(
    stage: Stage, walk: Walk, off: float, piece: float, clearance: float, *, only_drops: bool = False
) -> list[Array]:
    """Lines `off` behind the verge, cut where roads, sight lines or something else come in the way.
    only_drops: and where the land beside the road does not fall away."""
    count = max(1, int(walk.length // piece))
    spots = [walk.spot(s) for s in np.linspace(0.0, walk.length, count + 1)]
    points = np.array([spot.at(0.0, off) for spot in spots])
    drops = np.array([spot.z for spot in spots]) - stage.z([spot.at(0.0, DROP_REACH_M) for spot in spots])
    wanted = np.maximum(drops[:-1], drops[1:]) > DROP_M if only_drops else np.ones(count, dtype=bool)
    runs: list[list[Array]] = [[]]
    strips = []
    for i in range(count):
        strip = shapely.LineString(points[i : i + 2]).buffer(clearance, quad_segs=1, cap_style="flat")
        if wanted[i] and stage.lots.free(strip):
            runs[-1] = runs[-1] or [points[i]]
            runs[-1].append(points[i + 1])
            strips.append(strip)
        elif runs[-1]:
            runs.append([])
    for strip in strips:  # only now: neighbours touch
        stage.lots.take(strip)
    return [np.array(run) for run in runs if len(run) > 2]


def add_guard_rails(stage: Stage) -> None:
    """A steel beam on posts along fast roads and on embankments."""
    for walk in stage.town_walks():
        if walk.length < 24.0 or not stage.chance(2.0 * stage.thin):
            continue
        fast = walk.verge.speed_kmh >= RAIL_FROM_KMH
        beyond = walk.verge.points[:, :2] + DROP_REACH_M * walk.verge.outward
        if not fast and float((walk.verge.points[:, 2] - stage.z(beyond)).max()) < DROP_M:
            continue
        for line in _offset_runs(stage, walk, RAIL_OFF_M, RAIL_PIECE_M, 0.1, only_drops=not fast):
            draw(stage, line, 0.05, 0.76, STEEL, Label.GUARD_RAIL, from_ground=0.46)
            z = stage.z(line)
            for i in range(len(line) - 1):
                heading = math.atan2(*(line[i + 1] - line[i])[::-1])
                for share in (0.25, 0.75):
                    x, y = line[i] * (1.0 - share) + line[i + 1] * share
                    level = float(z[i] * (1.0 - share) + z[i + 1] * share)
                    post = Spot(float(x), float(y), level, heading)
                    for v, flip in ((-0.03, False), (0.03, True)):
                        u0, u1 = (0.05, -0.05) if flip else (-0.05, 0.05)
                        stage.panel(post, u0, u1, level - 0.1, level + 0.6, v, shaded(STEEL, 0.8), Label.GUARD_RAIL)


def add_parapets(stage: Stage) -> None:
    """Concrete edges where a road runs well above the land: bridges."""
    for walk in stage.walks:
        points = walk.verge.points
        high = points[:, 2] - stage.z(points[:, :2]) > BRIDGE_M
        first = 0
        while first < len(points):
            if not high[first]:
                first += 1
                continue
            last = first
            while last + 1 < len(points) and high[last + 1]:
                last += 1
            if last - first >= 2:
                part = slice(max(0, first - 1), last + 2)
                line = points[part, :2] + 0.22 * walk.verge.outward[part]
                keep = _sparse(np.column_stack([line, points[part, 2]]))
                draw(
                    stage,
                    line[keep],
                    0.16,
                    0.95,
                    CONCRETE,
                    Label.GUARD_RAIL,
                    cap=shaded(CONCRETE, 1.12),
                    from_ground=-0.9,
                    levels=points[part, 2][keep],
                )
            first = last + 1


def _sparse(line: Array) -> list[int]:
    """Rows that keep a polyline within 3 cm, at most 8 m apart."""
    kept = [0]
    for i in range(1, len(line) - 1):
        a, b = line[kept[-1]], line[i + 1]
        share = (np.arange(kept[-1] + 1, i + 1) - kept[-1]) / (i + 1 - kept[-1])
        straight = a + (b - a) * share[:, None]
        away = np.abs(line[kept[-1] + 1 : i + 1] - straight).max()
        if away > 0.03 or np.hypot(*(b - a)[:2]) > 8.0:
            kept.append(i)
    return [*kept, len(line) - 1]


def add_noise_barriers(stage: Stage, share: float) -> None:
    """Tall panels between posts behind the guard rail, where people live beside a fast road."""
    for walk in stage.town_walks():
        if walk.verge.speed_kmh < RAIL_FROM_KMH or walk.length < 60.0 or not stage.chance(share * stage.thin):
            continue
        base = stage.pick((CONCRETE, shaded(FENCE_WOOD[0], 0.9), (0.36, 0.45, 0.38)))
        for line in _offset_runs(stage, walk, NOISE_OFF_M, NOISE_PIECE_M, 0.25):
            for i in range(len(line) - 1):
                tone = shaded(base, 0.94 if i % 2 else 1.04)
                draw(stage, line[i : i + 2], 0.07, NOISE_HEIGHT_M, tone, Label.WALLS, cap=shaded(base, 1.15))
                post = Spot(float(line[i][0]), float(line[i][1]), 0.0, math.atan2(*(line[i + 1] - line[i])[::-1]))
                level = float(stage.z([line[i]])[0])
                stage.block(
                    post, 0.1, 0.13, level - ROOT_M, level + NOISE_HEIGHT_M + 0.15, shaded(CONCRETE, 0.8), Label.WALLS
                )
