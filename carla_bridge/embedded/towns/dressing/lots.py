"""Land that is still free to build on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import shapely

CELL_M = 24.0  # of the grid that finds neighbours


class Lots:
    """Keeps roads, sight lines and what stands already apart from what comes next."""

    def __init__(
        self,
        blocked: shapely.Geometry,
        bounds: tuple[float, float, float, float],
        *,
        clearance: float = 0.0,
        sight: shapely.Geometry | None = None,
    ) -> None:
        """blocked: nothing comes within `clearance` [m] of it; sight: only flat things may lie there."""
        self._blocked = blocked
        self._clearance = clearance
        self._sight = sight if sight is not None else shapely.Point()
        self._bounds = bounds
        shapely.prepare(self._blocked)
        shapely.prepare(self._sight)
        self._cells: dict[tuple[int, int], list[shapely.Geometry]] = {}

    def on_road(self, outline: shapely.Geometry) -> bool:
        if self._clearance > 0.0:
            return bool(shapely.dwithin(self._blocked, outline, self._clearance))
        return bool(self._blocked.intersects(outline))

    def free(self, outline: shapely.Geometry, *, flat: bool = False) -> bool:
        """Whether nothing is there yet; flat: it lies on the ground and hides nothing."""
        x0, y0, x1, y1 = outline.bounds
        centre = outline.centroid
        radius = math.hypot(x1 - x0, y1 - y0) / 2.0
        low_x, low_y, high_x, high_y = self._bounds
        if centre.x - radius < low_x or centre.x + radius > high_x:
            return False
        if centre.y - radius < low_y or centre.y + radius > high_y:
            return False
        for cell in self._touched(outline):
            if any(other.intersects(outline) for other in self._cells.get(cell, ())):
                return False
        return not self.on_road(outline) and (flat or not self._sight.intersects(outline))

    def take(self, outline: shapely.Geometry) -> None:
        for cell in self._touched(outline):
            self._cells.setdefault(cell, []).append(outline)

    def taken_near(self, outline: shapely.Geometry) -> list[shapely.Geometry]:
        """Everything taken in the cells that the outline's bounding box touches, each once, in a fixed order."""
        found: dict[int, shapely.Geometry] = {}
        for cell in self._touched(outline):
            for other in self._cells.get(cell, ()):
                found[id(other)] = other
        return list(found.values())

    def road_near(self, window: Sequence[float]) -> shapely.Geometry:
        """The blocked land inside x0, y0, x1, y1."""
        return shapely.clip_by_rect(self._blocked, *window)

    def _touched(self, outline: shapely.Geometry) -> list[tuple[int, int]]:
        x0, y0, x1, y1 = (math.floor(v / CELL_M) for v in outline.bounds)
        return [(column, row) for column in range(x0, x1 + 1) for row in range(y0, y1 + 1)]
