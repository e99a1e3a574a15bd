"""Decks: where a road crosses above another it gets an underside and a face on either side."""

from __future__ import annotations

import numpy as np

from carla_bridge.embedded.towns.meshes import MeshBuilder, colour_of
from carla_bridge.embedded.towns.xodr.cells import Cells
from carla_bridge.embedded.towns.xodr.model import Array
from carla_bridge.embedded.types import Label

CONCRETE = colour_of("#8d8b86")
DECK_M = 0.7
BELOW_ROAD_M = 0.06


def _lowered(points: Array, by: float) -> Array:
    lower = points.copy()
    lower[..., 2] -= by
    return lower


def add_bridges(builder: MeshBuilder, cells: Cells) -> None:
    """One slab per piece of road: the faces are those of its outermost lanes."""
    rows = np.flatnonzero(cells.bridge)
    groups: dict[tuple[int, float], list[int]] = {}
    for cell in rows:
        s = float(cells.strips[cells.strip[cell]].s[cells.place[cell]])
        groups.setdefault((int(cells.road[cell]), s), []).append(int(cell))
    for members in groups.values():
        ids = [cells.strips[cells.strip[c]].lane.id for c in members]
        right, left = (members[int(k)] for k in (np.argmin(ids), np.argmax(ids)))
        edges = np.concatenate([cells.corners[right, :2], cells.corners[left, 2:]])  # counter-clockwise from above
        lift = max(float(cells.strips[cells.strip[c]].lift.max()) for c in (right, left))
        low = _lowered(edges, DECK_M)
        builder.quad(low[::-1], CONCRETE, Label.BRIDGE)
        for k in range(4):  # the sides reach up to the lanes' edges, the ends stay below the road
            n = (k + 1) % 4
            top = edges if k % 2 == 0 else _lowered(edges, lift + BELOW_ROAD_M)
            builder.quad(np.array([low[k], low[n], top[n], top[k]]), CONCRETE, Label.BRIDGE)
