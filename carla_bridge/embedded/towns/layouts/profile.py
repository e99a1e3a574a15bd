"""Cross-sections of roads: which lanes lie side by side, how wide they are along the road, how they are marked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from carla_bridge.embedded.towns.layouts.cubics import Cubics, constant

DRIVING, SIDEWALK, SHOULDER, PARKING, MEDIAN, BORDER = "driving", "sidewalk", "shoulder", "parking", "median", "border"


@dataclass(frozen=True)
class Mark:
    """A painted line, as OpenDRIVE's <roadMark>."""

    kind: str = "none"
    colour: str = "white"
    lane_change: str = "none"  # none, both, increase, decrease


NO_MARK = Mark()
EDGE = Mark("solid", "white")
BROKEN = Mark("broken", "white", "both")
MIDDLE = Mark("broken", "white")  # between the directions: seen, but not to be crossed by a lane change
MIDDLE_SOLID = Mark("solid", "yellow")


@dataclass(frozen=True)
class Lane:
    """One lane; its mark is on the border away from the road's middle."""

    kind: str
    width: Cubics  # [m] over the road's s
    mark: Mark = NO_MARK


@dataclass(frozen=True)
class Profile:
    """Lanes from the middle outwards; those on the right run along the road's curve, those on the left against it."""

    right: tuple[Lane, ...]
    left: tuple[Lane, ...]
    middle: Mark = NO_MARK

    def side(self, lane_id: int) -> tuple[Lane, ...]:
        return self.right if lane_id < 0 else self.left

    def lane(self, lane_id: int) -> Lane:
        return self.side(lane_id)[abs(lane_id) - 1]

    def inner_edge(self, lane_id: int, s: float) -> float:
        """Distance from the reference line to the lane's border that is nearer to the middle [m]."""
        return sum(lane.width.at(s) for lane in self.side(lane_id)[: abs(lane_id) - 1])

    def edge(self, sign: int, s: float, kinds: tuple[str, ...] | None = None) -> float:
        """Distance from the reference line to the outer border of one side (of its last lane of these kinds)."""
        side = self.side(sign)
        reach = [i + 1 for i, lane in enumerate(side) if kinds is None or lane.kind in kinds]
        return sum(lane.width.at(s) for lane in side[: max(reach, default=0)])

    def driving(self, sign: int) -> tuple[int, ...]:
        """Ids of one side's driving lanes, from the middle outwards."""
        return tuple(sign * (i + 1) for i, lane in enumerate(self.side(sign)) if lane.kind == DRIVING)

    def with_lane(self, sign: int, index: int, lane: Lane) -> Profile:
        """A copy with one more lane on a side."""
        side = (*self.side(sign)[:index], lane, *self.side(sign)[index:])
        return replace(self, right=side) if sign < 0 else replace(self, left=side)


def lane(kind: str, width: float, mark: Mark = NO_MARK) -> Lane:
    return Lane(kind, constant(width), mark)


def street(
    lane_width: float, *, walk_right: float = 0.0, walk_left: float = 0.0, verge: float = 0.0, middle: Mark = MIDDLE
) -> Profile:
    """One lane a direction; sidewalks of these widths, or (where there is none) an unpaved border."""

    def side(walk: float) -> tuple[Lane, ...]:
        # where there is a kerb the edge needs no line
        inner = lane(DRIVING, lane_width, NO_MARK if walk else EDGE)
        if walk:
            return inner, lane(SIDEWALK, walk)
        return (inner, lane(BORDER, verge)) if verge else (inner,)

    return Profile(side(walk_right), side(walk_left), middle)


def one_way(lanes: int, lane_width: float, *, shoulder: float, median: float = 0.0) -> Profile:
    """Lanes to the right of the reference line, a shoulder beyond them, half a median to the left."""
    driving = [lane(DRIVING, lane_width, EDGE if i == lanes - 1 else BROKEN) for i in range(lanes)]
    right = (*driving, lane(SHOULDER, shoulder)) if shoulder else tuple(driving)
    return Profile(right, (lane(MEDIAN, median),) if median else (), EDGE)
