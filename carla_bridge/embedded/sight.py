"""Lines of sight through solids, bodies and the ground: `world.cast_ray` and `world.project_point`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from carla_bridge.embedded.actors import Vec3
from carla_bridge.embedded.bodies import Bodies
from carla_bridge.embedded.raycast import hit_boxes, ray_boxes
from carla_bridge.embedded.roads import Roads
from carla_bridge.embedded.types import Box, Label


class Sight:
    def __init__(self, solids: Sequence[Box], bodies: Bodies, roads: Roads) -> None:
        self._solids, self._bodies, self._roads = ray_boxes(solids), bodies, roads

    def cast_ray(self, a: Vec3, b: Vec3) -> list[tuple[Vec3, Label]]:
        """Where the segment enters solids, bodies and the ground, nearest first."""
        hits: list[tuple[float, Label]] = []
        for boxes in (self._solids, self._bodies.ray_boxes()):
            entry = hit_boxes(
                np.asarray(a, np.float64),
                np.asarray(b, np.float64),
                boxes.centres,
                boxes.axes,
                boxes.extents,
                boxes.radii,
            )
            hits += [(float(entry[k]), Label(int(boxes.labels[k]))) for k in np.flatnonzero(entry >= 0.0)]
        if a[2] > 0.0 >= b[2]:
            part = a[2] / (a[2] - b[2])
            hits.append((part, self._roads.surface(a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1]))))
        hits.sort(key=lambda hit: hit[0])
        return [
            ((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])), label) for t, label in hits
        ]

    def project_point(self, origin: Vec3, direction: Vec3, distance: float) -> tuple[Vec3, Label] | None:
        """The first thing within `distance` of the origin in a direction."""
        length = math.sqrt(sum(d * d for d in direction))
        if length == 0.0:
            return None
        k = distance / length
        hits = self.cast_ray(
            origin, (origin[0] + k * direction[0], origin[1] + k * direction[1], origin[2] + k * direction[2])
        )
        return hits[0] if hits else None
